"""A django-q2 cluster played inside one process: its own Sentinel and Stat, no children."""

import logging
import multiprocessing
import pickle
import queue
import signal
import traceback
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

STOP = "STOP"
"""django-q2's own word for the end of a queue."""


class SimulatedCluster:
    """What a cluster's guard loop and its three kinds of children do, one step at a time."""

    def __init__(self) -> None:
        """Nothing of django-q2 runs before `start`."""
        from django_q.conf import Conf

        # The ORM broker's dequeue() sleeps Conf.POLL seconds when the queue is empty, which is how
        # every drain ends.
        Conf.POLL = 0
        self._sentinel: Any = None

    def start(self) -> int:
        """Take a new identity and register with one beat."""
        self._sentinel = new_sentinel()
        self._save()
        return 1

    def restart(self) -> int:
        """Register as a new identity."""
        self._required()
        return self.start()

    def beat(self, count: int) -> int:
        """So many rounds of the guard loop, as far as it talks to a server: the stat is saved."""
        self._required()
        for _ in range(count):
            self._save()
        return count

    def tick(self, count: int) -> None:
        """Run the scheduler, as the guard does every thirty seconds that it counts."""
        from django_q.cluster import scheduler

        broker = self._required().broker
        for _ in range(count):
            with errors_raised():
                scheduler(broker=broker)

    def drain(self, at_most: int) -> int:
        """Take tasks from the broker and run them, until it has none."""
        broker = Dequeuing(self._required().broker)
        done = 0
        while True:
            if done >= at_most and broker.queue_size():
                raise RuntimeError(f"drain: {done} tasks were run and there are more (at most {at_most})")
            taken = run_once(broker)
            if taken == 0:
                return done
            done += taken

    def _required(self) -> Any:
        if self._sentinel is None:
            raise RuntimeError("the cluster is not started")
        return self._sentinel

    def _save(self) -> None:
        from django_q.status import Stat

        with errors_raised():
            Stat(self._sentinel).save()


def new_sentinel() -> Any:
    """Construct django-q2's Sentinel as its guard loop sees itself, without starting children."""
    from django_q.brokers import get_broker
    from django_q.cluster import Sentinel

    stop, started = multiprocessing.Event(), multiprocessing.Event()
    started.set()
    # Its constructor takes the signals of the process that it believes to have to itself.
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with connections_kept():
            return Sentinel(stop, started, uuid.uuid4(), broker=get_broker(), start=False)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def connections_kept() -> Iterator[None]:
    """Let a new broker not close what the last identity left open.

    The ORM broker's constructor closes connections older than CONN_MAX_AGE, by default at once. A new
    process has none to close; a restart in one process would open another each time (6 ms of 8).
    """
    from django.db import connections

    kept = [(connection, connection.close_at) for connection in connections.all(initialized_only=True)]
    for connection, _ in kept:
        connection.close_at = None
    try:
        yield
    finally:
        for connection, close_at in kept:
            connection.close_at = close_at


@contextmanager
def errors_raised() -> Iterator[None]:
    """Stat.save() and the scheduler log what goes wrong and return: such a step must not count as done."""
    logger = logging.getLogger("django-q")
    handler = Collector()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
    for record in handler.records:
        if isinstance(record.msg, BaseException):
            raise record.msg
        if record.exc_info and record.exc_info[1]:
            raise record.exc_info[1]
        raise RuntimeError(f"django-q2 logged an error: {record.getMessage()}")


class Collector(logging.Handler):
    """Keeps errors."""

    def __init__(self) -> None:
        """Listen from ERROR upwards."""
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self.records.append(record)


def run_once(broker: "Dequeuing") -> int:
    """One round of pusher, worker and monitor on in-process queues; returns the tasks run."""
    # All releases have (or import) the three here; older ones define them here.
    from django_q.cluster import monitor, pusher, worker
    from django_q.conf import Conf

    tasks, results = Pipe(), Pipe()
    # An event that is set makes the pusher stop after one round.
    event = multiprocessing.Event()
    event.set()
    pusher(tasks, event, broker)
    if broker.error is not None:
        raise broker.error
    taken = tasks.put_count
    tasks.put(STOP)
    while not tasks.empty():
        # A worker leaves early when it is recycled or a task timed out; the guard starts the next.
        worker(tasks, results, multiprocessing.Value("f", -1), Conf.TIMEOUT)
    results.put(STOP)
    monitor(results, broker)
    return taken


class Pipe:
    """What django-q2 needs of a multiprocessing queue, in one process; items are pickled as there."""

    def __init__(self) -> None:
        """Start empty."""
        self._items: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.put_count = 0

    def put(self, item: object) -> None:
        """Add an item. One that cannot be pickled is lost with a traceback, as in a queue's feeder."""
        try:
            data = pickle.dumps(item)
        except Exception:
            traceback.print_exc()
            return
        self._items.put(data)
        self.put_count += 1

    def get(self) -> Any:
        """Take the first item."""
        return pickle.loads(self._items.get_nowait())

    def empty(self) -> bool:
        """Whether nothing is left."""
        return self._items.empty()


class Dequeuing:
    """The cluster's broker, for a pusher that runs once."""

    def __init__(self, broker: Any) -> None:
        """Everything but `dequeue` is the broker's own."""
        self._broker = broker
        self.error: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        """Delegate."""
        return getattr(self._broker, name)

    def dequeue(self) -> Any:
        """Take tasks; keep an error, for which the pusher would sleep ten seconds."""
        try:
            if self._waits_when_empty() and not self._broker.queue_size():
                return None
            return self._broker.dequeue()
        except Exception as error:
            self.error = error
            return None

    def _waits_when_empty(self) -> bool:
        """Redis' dequeue blocks for a second in BLPOP; the ORM's returns, and asking costs SQL."""
        from django_q.conf import Conf

        return not Conf.ORM


def announce() -> None:
    """Let the log tell when a cluster is up, whatever a project's LOGGING hides: it is waited for."""
    logger = logging.getLogger("django-q")
    logger.disabled = False
    if logger.getEffectiveLevel() > logging.INFO:
        logger.setLevel(logging.INFO)
    handler = logging.StreamHandler()
    handler.addFilter(lambda record: record.getMessage().endswith(" running."))
    logger.addHandler(handler)


def run_command() -> None:
    """Run the ``qcluster`` command; it returns when its sentinel is up, and ends by signal."""
    from django.core.management import call_command

    call_command("qcluster")
