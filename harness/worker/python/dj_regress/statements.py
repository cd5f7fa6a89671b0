"""Writes down what any connection of this process, its threads and its forks executes."""

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from dj_regress.worker import Ledger


class Recorder:
    """Stands before each connection as soon as there is a ledger."""

    ledger: Ledger | None = None


def listen() -> None:
    """Hear of new connections before apps do that ask each one something: before they are set up."""
    connection_created.connect(install, dispatch_uid="dj_regress.ledger")


def record(ledger: Ledger) -> None:
    """Write to this ledger from now on."""
    Recorder.ledger = ledger
    listen()


def install(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Stand before a connection. The same wrapper object stays with an alias when it connects again."""
    ledger = Recorder.ledger
    if ledger is not None and ledger not in connection.execute_wrappers:
        connection.execute_wrappers.insert(0, ledger)
