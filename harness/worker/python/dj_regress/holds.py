"""Hangs holds on functions: who calls one stops there, if the controller has armed it."""

import functools
import importlib
import inspect
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, Literal, TypedDict

from dj_regress.worker import Holds


class Hold(TypedDict):
    """A hold of the case."""

    id: int
    moment: str
    at_return: bool
    call: int
    holder: Literal["process", "thread", "every_thread"]
    role: str | None


Reach = Callable[[], None]
"""Tells that the moment has come; it returns at once, or when the process (or thread) may go on."""


def hang(holds: list[Hold], shared: Holds) -> None:
    """Hang up all holds of an actor. Until they are armed they only cost a call."""
    for hold in holds:
        try:
            hang_one(hold["moment"], hold["at_return"], reach_of(hold, shared))
        except (ImportError, AttributeError, TypeError) as error:
            raise ValueError(f"cannot hold at {hold['moment']!r}: {error}") from error


def reach_of(hold: Hold, shared: Holds) -> Reach:
    """Choose what happens there, by who is held. A thread has no role."""
    if hold["holder"] == "thread":
        return functools.partial(shared.reach_thread, hold["id"], hold["call"])
    if hold["holder"] == "every_thread":
        return functools.partial(shared.reach_every_thread, hold["id"])
    return functools.partial(shared.reach, hold["id"], hold["call"], hold["role"])


def hang_one(moment: str, at_return: bool, reach: Reach) -> None:
    """Find what a moment means, and watch it."""
    if moment == "before_task":
        watch_before_task(reach)
    elif moment == "after_task":
        watch_after_task(reach)
    elif moment in ("before_ack", "after_ack"):
        # In all releases tasks are acknowledged by nothing else, nearly always in the monitor's process.
        watch(broker_class(), "acknowledge", reach, at_return=moment == "after_ack")
    elif ":" in moment:
        owner, name = place(moment)
        watch(owner, name, reach, at_return=at_return)
    else:
        owner, name = place("shop.moments:moment")
        watch(owner, name, reach, at_return=at_return, only=moment)


def place(path: str) -> tuple[Any, str]:
    """Resolve `module:function` or `module:Class.method`: the module or class, and the name in it."""
    module, _, names = path.partition(":")
    *outer, name = names.split(".")
    owner = functools.reduce(getattr, outer, importlib.import_module(module))
    return owner, name


def watch(owner: Any, name: str, reach: Reach, *, at_return: bool, only: str | None = None) -> None:
    """Watch a function of a module or a class; with `only`, calls that have it as their first argument."""
    found = inspect.getattr_static(owner, name, None)
    if found is None:
        raise AttributeError(f"there is no {name} in {owner.__name__}")
    is_bound = isinstance(found, staticmethod | classmethod)
    function = found.__func__ if is_bound else found
    if isinstance(function, type) or not callable(function):
        kind = "a class (name a method of it)" if isinstance(function, type) else type(function).__name__
        raise TypeError(f"{name} is no function, but {kind}")
    watched = watching(function, reach, at_return, only)
    if isinstance(owner, type) and name not in vars(owner):
        # Inherited: only calls by this class are meant.
        setattr(owner, name, type(found)(watched) if is_bound else watched)
    else:
        replace(function, watched)


def watching(function: Callable[..., Any], reach: Reach, at_return: bool, only: str | None) -> Any:
    """Build what stands in for a function. It looks like it: multiprocessing's targets keep their names."""

    def passes(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        return only is None or only in args[:1] or kwargs.get("name") == only

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            if not at_return and passes(args, kwargs):
                reach()
            result = await function(*args, **kwargs)
            if at_return and passes(args, kwargs):
                reach()
            return result

        return coroutine

    @functools.wraps(function)
    def plain(*args: Any, **kwargs: Any) -> Any:
        if not at_return and passes(args, kwargs):
            reach()
        result = function(*args, **kwargs)
        if at_return and passes(args, kwargs):
            reach()
        return result

    return plain


def replace(function: Any, replacement: Any) -> None:
    """Put another function in the place of one, whoever has imported it: in all modules and their classes."""
    seen: set[type] = set()
    for module in list(sys.modules.values()):
        if not isinstance(module, ModuleType):
            continue
        namespace = vars(module)
        for name, value in list(namespace.items()):
            if value is function:
                namespace[name] = replacement
            elif isinstance(value, type) and value not in seen:
                seen.add(value)
                replace_in(value, function, replacement)


def replace_in(owner: type, function: Any, replacement: Any) -> None:
    """Do the same in a class."""
    for name, value in list(vars(owner).items()):
        if value is function:
            setattr(owner, name, replacement)
        elif isinstance(value, staticmethod | classmethod) and value.__func__ is function:
            setattr(owner, name, type(value)(replacement))


def watch_before_task(reach: Reach) -> None:
    """Watch for the last moment before a worker calls a task's function."""
    from django_q.signals import pre_execute

    def before(**_: Any) -> None:
        reach()

    pre_execute.connect(before, weak=False)


def watch_after_task(reach: Reach) -> None:
    """Watch for the first moment after a task's function has come back.

    Not every release has a signal there, and those that have one send it with the timer locked: a worker that
    is killed then takes the guard with it, which waits for that lock.
    """
    from django_q.worker import worker

    @functools.wraps(worker)
    def watched(task_queue: Any, result_queue: Any, timer: Any, *rest: Any, **kwargs: Any) -> Any:
        return worker(task_queue, result_queue, Timer(timer, reach), *rest, **kwargs)

    replace(worker, watched)


class Timer:
    """A worker's timer. It asks for its lock once for each task: when it is about to hand on the result."""

    def __init__(self, timer: Any, reach: Reach) -> None:
        """Everything but `get_lock` is the timer's own."""
        self._timer = timer
        self._reach = reach

    @property
    def value(self) -> float:
        """Seconds left to the task, or one of django-q2's negative numbers."""
        return float(self._timer.value)

    @value.setter
    def value(self, seconds: float) -> None:
        self._timer.value = seconds

    def get_lock(self) -> Any:
        """Give the lock that the result is handed on under."""
        self._reach()
        return self._timer.get_lock()


def broker_class() -> type:
    """Find the class of this project's broker without making one, which would connect."""
    from django.utils.module_loading import import_string
    from django_q.conf import Conf

    if Conf.BROKER_CLASS:
        return import_string(Conf.BROKER_CLASS)
    if Conf.ORM:
        return import_string("django_q.brokers.orm.ORM")
    for name in ("IRON_MQ", "SQS", "MONGO"):
        if getattr(Conf, name, None):
            raise TypeError(f"where the broker {name} acknowledges is not known: name its method")
    return import_string("django_q.brokers.redis_broker.Redis")
