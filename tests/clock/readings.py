"""What all clocks show, in this process and in a child of each kind: a line of JSON, and another for each line of input."""

import datetime
import json
import multiprocessing
import sys
import time
from multiprocessing.connection import Connection


def readings() -> dict[str, float]:
    names = ["REALTIME", "REALTIME_COARSE", "TAI", "MONOTONIC", "MONOTONIC_RAW", "MONOTONIC_COARSE", "BOOTTIME"]
    numbers = {"REALTIME_COARSE": 5, "MONOTONIC_COARSE": 6}
    clocks = {name: numbers.get(name, getattr(time, f"CLOCK_{name}", None)) for name in names}
    return {
        "wall time": time.time(),
        "wall time_ns": time.time_ns() / 1e9,
        "wall datetime": datetime.datetime.now(datetime.timezone.utc).timestamp(),
        "wall localtime": time.mktime(time.localtime()),
        "steady monotonic": time.monotonic(),
        "steady perf_counter": time.perf_counter(),
        "processor": time.process_time(),
        **{
            f"{'steady' if 'MONO' in name or 'BOOT' in name else 'wall'} {name}": time.clock_gettime(number)
            for name, number in clocks.items()
            if number is not None
        },
    }


def child(connection: Connection) -> None:
    while connection.recv():
        connection.send(readings())


if __name__ == "__main__":
    children = {}
    for kind in ["fork", "spawn"]:
        context = multiprocessing.get_context(kind)
        connection, other = context.Pipe()
        context.Process(target=child, args=(other,), daemon=True).start()
        children[kind] = connection
    while True:
        found = {"here": readings()}
        for kind, connection in children.items():
            connection.send(True)
            found[kind] = connection.recv()
        print(json.dumps(found), flush=True)
        if not sys.stdin.readline():
            break
    for connection in children.values():
        connection.send(False)
