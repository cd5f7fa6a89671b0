"""What this process and its children tell the journal by themselves."""

import functools
import threading
from collections.abc import Callable
from multiprocessing import process, util
from multiprocessing.process import BaseProcess
from typing import Any

from dj_regress import raised
from dj_regress.worker import Journal

ROLES = {"Sentinel": "sentinel", "pusher": "pusher", "monitor": "monitor", "worker": "worker"}
"""What django-q2 starts its processes with, and what they are called in a case."""


class Processes:
    """The processes of a real cluster: each says what it is, right after its fork.

    Their titles cannot be trusted: setproctitle rewrites them. Children that are spawned instead of forked do
    not know of this, and say nothing.
    """

    def __init__(self, journal: Journal) -> None:
        """Watch from here on; this process is the parent of all."""
        self._journal = journal
        journal.process("parent")
        # multiprocessing calls it when the child knows what it was started with, and has done nothing yet.
        util.register_after_fork(self, Processes.born)

    def born(self) -> None:
        """Tell of a child, in the child."""
        self._journal.process(role(process.current_process()))


def role(child: BaseProcess) -> str:
    """Say what a process is by the function that it was started with."""
    target = getattr(child, "_target", None)
    if target is None:
        return f"other:{type(child).__name__}"
    name = getattr(target, "__name__", type(target).__name__)
    if getattr(target, "__module__", "").split(".")[0] == "django_q" and name in ROLES:
        return ROLES[name]
    return f"other:{name}"


def record_executions(journal: Journal) -> None:
    """Tell of every task whose function is about to be called, and of every one that is done with."""
    from django_q.signals import post_execute, pre_execute

    def tell(task: dict[str, Any], **_: Any) -> None:
        group = task.get("group")
        journal.execution(str(task["id"]), dotted(task["func"]), str(group) if group else None)

    def tell_end(task: dict[str, Any], **_: Any) -> None:
        # The monitor sends it when it has saved and acknowledged the result. The last part of an iter
        # then has the id of its group.
        failed = not task.get("success", True)
        journal.executed(str(task["id"]), failed)
        if failed:
            raised.tell_formatted(journal, "task", str(task.get("result")))

    pre_execute.connect(tell, weak=False, dispatch_uid="dj_regress.journal")
    post_execute.connect(tell_end, weak=False, dispatch_uid="dj_regress.journal")


def record_enqueuing(journal: Journal) -> None:
    """Tell of every task that was put into the queue: by a step, a view, a schedule or another task."""
    from django_q.signals import pre_enqueue

    from dj_regress.holds import broker_class

    # django-q2 says that it is about to, and nothing when it has: that is when the broker comes back.
    announced = threading.local()
    try:
        broker: Any = broker_class()
    except TypeError:
        # One that is not known: what is announced is believed.
        broker = None

    def announce(task: dict[str, Any], **_: Any) -> None:
        if broker is None:
            journal.accepted(str(task["id"]))
        announced.task = str(task["id"])

    pre_enqueue.connect(announce, weak=False, dispatch_uid="dj_regress.journal")
    if broker is None:
        return
    enqueue = broker.enqueue

    @functools.wraps(enqueue)
    def watched(*args: Any, **kwargs: Any) -> Any:
        task, announced.task = getattr(announced, "task", None), None
        result = enqueue(*args, **kwargs)
        if task is not None:
            when_committed(lambda: journal.accepted(task))
        return result

    broker.enqueue = watched


def when_committed(tell: Callable[[], None]) -> None:
    """Tell it at once, or, where the queue is a table, when its row is really there."""
    from django.db import transaction
    from django_q.conf import Conf

    if not Conf.ORM:
        tell()
        return
    try:
        transaction.on_commit(tell, using=Conf.ORM)
    except transaction.TransactionManagementError:
        # The app commits by hand.
        tell()


def dotted(function: Any) -> str:
    """Name a task's function, which is a name already or the function itself."""
    if isinstance(function, str):
        return function
    module = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", None)
    return f"{module}.{name}" if module and name else repr(function)
