"""The names that a case's Python steps and readings can use."""

import ast
import importlib
import linecache
from types import CodeType
from typing import Any, Literal

from dj_regress.raised import Handlers, Swallowed
from dj_regress.readings import nothing_written, plain


class Namespace:
    """One actor's globals: they live from step to step."""

    def __init__(self, module: str, swallowed: Swallowed) -> None:
        """Take a copy of the module's globals, and add the standard names it does not have."""
        self._globals = standard_names()
        self._globals["__name__"] = "__case__"
        if module:
            self._globals.update(vars(importlib.import_module(module)))
        self._globals[Swallowed.NAME] = swallowed

    def execute(self, source: str, times: int) -> None:
        """Execute source so many times; the loop's index is `i`."""
        code = compiled(source, "<python step>", "exec")
        for index in range(times):
            self._globals["i"] = index
            exec(code, self._globals)

    def read(self, expressions: list[tuple[str, str]]) -> dict[str, Any]:
        """Evaluate expressions, as they are written one after the other. None of them may write."""
        values = {}
        for name, expression in expressions:
            code = compiled(expression.strip(), f"<read {name}>", "eval")
            with nothing_written():
                values[name] = plain(eval(code, self._globals))
        return values


def compiled(source: str, filename: str, mode: Literal["exec", "eval"]) -> CodeType:
    """Compile; tracebacks show the source's lines."""
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    tree = ast.fix_missing_locations(Handlers().visit(ast.parse(source, filename, mode)))
    return compile(tree, filename, mode, dont_inherit=True)


def standard_names() -> dict[str, Any]:
    """The app's models, then what a step most often needs of Django and django-q2."""
    from datetime import datetime, timedelta

    from django.apps import apps
    from django.conf import settings
    from django.core.cache import cache, caches
    from django.core.management import call_command
    from django.db import connection, connections, transaction
    from django.utils import timezone

    names: dict[str, Any] = {
        "cache": cache,
        "caches": caches,
        "call_command": call_command,
        "connection": connection,
        "connections": connections,
        "datetime": datetime,
        "settings": settings,
        "timedelta": timedelta,
        "timezone": timezone,
        "transaction": transaction,
    }
    if apps.is_installed("django_q"):
        names |= django_q_names()
    for model in apps.get_models():
        # Of two apps with a model of one name, the first installed has it.
        names.setdefault(model.__name__, model)
    return names


def django_q_names() -> dict[str, Any]:
    """The public functions of django-q2."""
    from django_q.brokers import get_broker
    from django_q.conf import Conf
    from django_q.status import Stat
    from django_q.tasks import async_chain, async_iter, async_task, fetch, result, schedule

    return {
        "Conf": Conf,
        "Stat": Stat,
        "async_chain": async_chain,
        "async_iter": async_iter,
        "async_task": async_task,
        "fetch": fetch,
        "get_broker": get_broker,
        "result": result,
        "schedule": schedule,
    }
