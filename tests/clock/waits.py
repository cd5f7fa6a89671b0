"""How long waits of 0.4 s take, in this process and in a child of each kind, after the line of input that says that the clock
was moved by an hour; and one wait that had begun before.
"""

import asyncio
import json
import multiprocessing
import queue
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

LENGTH = 0.4
HOUR = 3600

# Whoever waits for the length of the jump is ended by the kernel's own timer.
LIMIT = 60


def condition() -> None:
    lock = threading.Condition()
    with lock:
        lock.wait_for(lambda: False, LENGTH)


def get() -> None:
    try:
        queue.Queue().get(timeout=LENGTH)
    except queue.Empty:
        pass


def receive() -> None:
    here, there = socket.socketpair()
    with here, there:
        here.settimeout(LENGTH)
        try:
            here.recv(1)
        except TimeoutError:
            pass


def wait_for_child() -> None:
    try:
        subprocess.run(["sleep", "60"], timeout=LENGTH)
    except subprocess.TimeoutExpired:
        pass


def taken_lock() -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire(timeout=LENGTH)


def join() -> None:
    never = threading.Event()
    thread = threading.Thread(target=never.wait, daemon=True)
    thread.start()
    thread.join(LENGTH)
    never.set()


def waits() -> dict[str, Callable[[], object]]:
    kinds = multiprocessing.get_context("spawn")
    return {
        "Event.wait": lambda: threading.Event().wait(LENGTH),
        "Queue.get": get,
        "Condition.wait_for": condition,
        "Lock.acquire": taken_lock,
        "Semaphore.acquire": lambda: threading.Semaphore(0).acquire(timeout=LENGTH),
        "Thread.join": join,
        "time.sleep": lambda: time.sleep(LENGTH),
        "select": lambda: select.select([], [], [], LENGTH),
        "poll": lambda: select.poll().poll(LENGTH * 1000),
        "epoll": lambda: select.epoll().poll(LENGTH),
        "asyncio.sleep": lambda: asyncio.run(asyncio.sleep(LENGTH)),
        "socket": receive,
        "subprocess": wait_for_child,
        "multiprocessing.Semaphore": lambda: kinds.Semaphore(0).acquire(timeout=LENGTH),
        "multiprocessing.Event": lambda: kinds.Event().wait(LENGTH),
    }


def measured() -> dict[str, float]:
    took: dict[str, float] = {}

    def measure(name: str, wait: Callable[[], object]) -> None:
        start = time.monotonic()
        wait()
        took[name] = time.monotonic() - start

    threads = [threading.Thread(target=measure, args=pair) for pair in waits().items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return took


def child(connection: Connection) -> None:
    signal.alarm(LIMIT)
    connection.send(None)
    connection.recv()
    connection.send(measured())


if __name__ == "__main__":
    signal.alarm(LIMIT)
    across: list[float] = []

    def wait_across() -> None:
        start = time.monotonic()
        threading.Event().wait(LENGTH)
        across.append(time.monotonic() - start - HOUR)

    children = {}
    for kind in ["fork", "spawn"]:
        context = multiprocessing.get_context(kind)
        connection, other = context.Pipe()
        context.Process(target=child, args=(other,), daemon=True).start()
        connection.recv()
        children[kind] = connection
    waiting = threading.Thread(target=wait_across)
    waiting.start()
    print("waiting", flush=True)
    sys.stdin.readline()
    before = time.time()
    for connection in children.values():
        connection.send(True)
    found = {"here": measured()}
    found |= {kind: connection.recv() for kind, connection in children.items()}
    waiting.join()
    found["here"]["across"] = across[0]
    print(json.dumps({"took": found, "wall": time.time() - before}), flush=True)
