"""What this process and its children tell the journal by themselves."""

from multiprocessing import process, util
from multiprocessing.process import BaseProcess
from typing import Any

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
        journal.executed(str(task["id"]))

    pre_execute.connect(tell, weak=False, dispatch_uid="dj_regress.journal")
    post_execute.connect(tell_end, weak=False, dispatch_uid="dj_regress.journal")


def dotted(function: Any) -> str:
    """Name a task's function, which is a name already or the function itself."""
    if isinstance(function, str):
        return function
    module = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", None)
    return f"{module}.{name}" if module and name else repr(function)
