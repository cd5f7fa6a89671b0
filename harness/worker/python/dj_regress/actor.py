"""An actor of one arm: a forked zygote with its own folder, database, ledger and clock."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.apps import apps
from django.core.management import call_command
from django.db import connections

from dj_regress import jobs, project
from dj_regress.cluster import SimulatedCluster, announce, run_command
from dj_regress.holds import Hold, hang
from dj_regress.journal import Processes, record_enqueuing, record_executions
from dj_regress.namespace import Namespace
from dj_regress.process import State, show
from dj_regress.raised import Swallowed, tell_of_threads
from dj_regress.statements import record
from dj_regress.worker import Holds, Journal, Ledger
from dj_regress.world import WATCH, World, inhabit


class Actor:
    """The steps that the controller can ask of this process."""

    def __init__(self, journal: Journal, module: str | None) -> None:
        """Without a module it is a simulated cluster; with an empty one it has the standard names only."""
        self._journal = journal
        self._processes: Processes | None = None
        self._cluster = SimulatedCluster() if module is None else None
        self._namespace = Namespace(module or "", Swallowed(journal))
        self._serves = False

    @property
    def cluster(self) -> SimulatedCluster:
        """The simulated cluster."""
        if self._cluster is None:
            raise RuntimeError("this actor is not a cluster")
        return self._cluster

    def migrate(self) -> None:
        """Run all migrations on this arm's database; the log tells how far those of a project are."""
        with one_database():
            call_command("migrate", verbosity=0 if State.tree is None else 1, interactive=False)
        connections.close_all()

    def seed(self, words: list[str]) -> None:
        """Fill the database of a project."""
        if State.tree is None:
            raise RuntimeError("the shop has no seed")
        project.seed(words, State.tree["root"])
        connections.close_all()

    def login(self, fields: dict[str, Any]) -> tuple[str, str]:
        """Make a session of a user; returns the cookie's name and value."""
        from dj_regress import session

        return session.login(fields)

    def create_cache_tables(self) -> None:
        """Create the tables of the caches that live in the database."""
        call_command("createcachetable", verbosity=0)
        connections.close_all()

    def run_cluster(self) -> None:
        """Become a real cluster; returns when its sentinel is up."""
        if State.tree is not None:
            announce()
        # Kept: multiprocessing only remembers it as long as somebody else does.
        self._processes = Processes(self._journal)
        run_command()
        self._journal.up()

    def serve(self, socket: str, threads: int) -> None:
        """Serve the app's pages from now on, in threads of their own."""
        if self._serves:
            raise RuntimeError("this actor serves already")
        try:
            from dj_regress import web
        except ModuleNotFoundError as error:
            if error.name != "waitress":
                raise
            raise RuntimeError("waitress is not installed here: an actor that serves needs it") from error
        web.serve(socket, threads, self._journal)
        self._serves = True

    def start(self) -> int:
        """Start the simulated cluster; returns the beats."""
        return self.cluster.start()

    def restart(self) -> int:
        """Restart the simulated cluster; returns the beats."""
        return self.cluster.restart()

    def beat(self, count: int) -> int:
        """Let the simulated cluster beat; returns the beats."""
        return self.cluster.beat(count)

    def drain(self, at_most: int) -> int:
        """Run what is queued; returns the tasks."""
        return self.cluster.drain(at_most)

    def tick(self, count: int) -> None:
        """Run the simulated cluster's scheduler."""
        self.cluster.tick(count)

    def enqueue(self, order: jobs.Enqueue) -> tuple[int, Exception | None]:
        """Put tasks into the queue; returns the calls that went well, and what refused the next."""
        return jobs.enqueue(order)

    def schedule(self, order: jobs.Schedule) -> None:
        """Create a schedule."""
        jobs.schedule(order)

    def tasks(self) -> jobs.Tasks:
        """Say what django-q2 knows of tasks."""
        return jobs.tasks()

    def python(self, source: str, times: int) -> None:
        """Execute source of the case."""
        self._namespace.execute(source, times)

    def read(self, expressions: list[tuple[str, str]]) -> dict[str, Any]:
        """Evaluate expressions of the case."""
        return self._namespace.read(expressions)


def enter(
    name: str,
    module: str | None,
    directory: str,
    service_file: str,
    ledger: str,
    clock: str,
    log: str,
    journal: str,
    holds: list[Hold],
    holds_file: str,
    world: World | None,
) -> Actor:
    """Make this process the actor `name`."""
    redirect(log)
    if world is not None:
        # After the log, which need not be there.
        inhabit(world)
    os.chdir(directory)
    if State.tree is not None:
        project.settle(State.tree, Path(ledger).parent)
    # libpq reads both when it connects.
    os.environ["PGSERVICEFILE"] = service_file
    os.environ["PGAPPNAME"] = f"dj-regress/{name}"
    # The shop reads these when something happens.
    os.environ["SHOP_EFFECTS"] = journal
    os.environ["SHOP_ACTOR"] = name
    show(clock)
    record(Ledger(ledger, name))
    entries = Journal(journal, name)
    WATCH.tell(entries)
    tell_of_threads(entries)
    if holds:
        hang(holds, Holds(holds_file, entries))
    if apps.is_installed("django_q"):
        # After the holds: a task that is held before it is called has not been executed.
        record_executions(entries)
        record_enqueuing(entries)
    return Actor(entries, module)


@contextmanager
def one_database() -> Iterator[None]:
    """Let all tables be in the one database that every alias of a project is: its migrations run once."""
    from django.db import router

    routers = router.routers
    router.routers = []
    try:
        yield
    finally:
        router.routers = routers


def redirect(log: str) -> None:
    """Append standard output and error to the log; handlers that hold the streams follow."""
    target = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A killed process must not take its last lines with it.
            stream.reconfigure(line_buffering=True)
        stream.flush()
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(target)
