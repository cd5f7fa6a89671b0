"""What a case reads: values whose type is kept, and looks that leave nothing behind."""

import math
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

SAFE = 2**63
"""Integers beyond this are no numbers of JSON."""

WRITES = re.compile(r"\s*(INSERT|UPDATE|DELETE|TRUNCATE|MERGE|COPY|CREATE|ALTER|DROP)\b", re.IGNORECASE)
"""Statements that write."""

TYPES = "an integer, a float, a Decimal, a text, a bool, None, a date, or a list of these"


def plain(value: Any) -> Any:
    """Return a value as JSON has it. What JSON has no word for carries its type: `{"decimal": "9.99"}`.

    Raises TypeError for what is no value: the text of an object has its address in it, and that of a QuerySet
    ends after twenty rows.
    """
    if value is None or isinstance(value, bool | str):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, int):
        return int(value) if -SAFE <= value < SAFE else {"integer": str(int(value))}
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"float": str(float(value))}
    if isinstance(value, Decimal):
        return {"decimal": str(value)}
    if isinstance(value, datetime | date | time):
        return {"date": value.isoformat()}
    if isinstance(value, timedelta):
        return value.total_seconds()
    return of_many(value)


def of_many(value: Any) -> Any:
    """Return several values: lists and querysets in their order, sets in the order of their texts."""
    from django.db.models import Model, QuerySet

    if isinstance(value, set | frozenset):
        return [plain(item) for item in sorted(value, key=lambda item: (type(item).__name__, repr(item)))]
    if isinstance(value, QuerySet):
        items = list(value)
        if any(isinstance(item, Model) for item in items):
            raise TypeError(
                "a QuerySet of rows is no value: read what you mean of them, "
                'e.g. `rows.values_list("pk", flat=True)`'
            )
        return [plain(item) for item in items]
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise TypeError(
                f"a mapping whose keys are no texts cannot be read: {sorted(map(repr, value))[:3]}"
            )
        return {"mapping": {key: plain(item) for key, item in value.items()}}
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    raise TypeError(f"a {type(value).__name__} cannot be read: a reading is {TYPES}")


def cache_tables() -> list[str]:
    """Name the tables of caches that are in the database."""
    from django.conf import settings

    caches = settings.CACHES.values()
    return [str(cache["LOCATION"]) for cache in caches if cache["BACKEND"].endswith("DatabaseCache")]


@contextmanager
def nothing_written() -> Iterator[None]:
    """Let every statement within be part of a transaction that cannot write and is rolled back.

    It begins with the first statement: what asks no database needs none that answers. A cache in the database
    deletes what has expired when it is asked: where there is one, its tables may be written to, and nothing
    else.
    """
    from django.db import connections, transaction

    begun: set[str] = set()
    tables = cache_tables()
    with ExitStack() as stack:

        def begin(
            execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]
        ) -> Any:
            connection = context["connection"]
            if connection.alias not in begun and not connection.in_atomic_block:
                begun.add(connection.alias)
                stack.enter_context(transaction.atomic(using=connection.alias))
                stack.callback(connection.set_rollback, True)
                if not tables:
                    with connection.cursor() as cursor:
                        cursor.execute("SET TRANSACTION READ ONLY")
            if tables and WRITES.match(str(sql)) and not any(table in str(sql) for table in tables):
                raise RuntimeError(f"a reading writes: {str(sql)[:80]}")
            return execute(sql, params, many, context)

        with ExitStack() as wrappers:
            for connection in connections.all():
                if connection.vendor == "postgresql":
                    wrappers.enter_context(connection.execute_wrapper(begin))
            yield
