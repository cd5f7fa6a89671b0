"""Tasks and schedules of django-q2: puts them there, and says what became of them."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from datetime import timezone as zone
from typing import Any, TypedDict

INDEX = "$i"
"""In arguments and groups: which call it is, from 0."""


class Enqueue(TypedDict):
    """Tasks to put into the queue."""

    task: str
    args: list[Any]
    kwargs: dict[str, Any]
    iter: bool
    chain: list[tuple[str, list[Any]]]
    times: int
    group: str | None
    cached: Any
    options: dict[str, Any]
    until_refused: bool


class Schedule(TypedDict):
    """A schedule to create."""

    task: str
    args: list[Any]
    kwargs: dict[str, Any]
    kind: str
    fields: dict[str, Any]
    due: dict[str, int]


class Tasks(TypedDict):
    """What django-q2 says of tasks, by id."""

    queued: list[str]
    succeeded: list[str]
    failed: list[str]


def enqueue(order: Enqueue) -> tuple[int, Exception | None]:
    """Put tasks into the queue; returns how many calls went well, and what refused the next one."""
    for index in range(order["times"]):
        try:
            call(order, index)
        except Exception as error:
            if not order["until_refused"]:
                raise
            return index, error
    return order["times"], None


def call(order: Enqueue, index: int) -> None:
    """Call what an app calls, once."""
    from django_q.tasks import async_chain, async_iter, async_task

    options = dict(order["options"])
    if order["group"] is not None:
        options["group"] = str(numbered(order["group"], index))
    if order["cached"] is not None:
        options["cached"] = order["cached"]
    if order["chain"]:
        # django-q2 takes the list apart.
        links = [(task, tuple(numbered(args, index))) for task, args in order["chain"]]
        async_chain(links, **options)
        return
    args, kwargs = numbered(order["args"], index), numbered(order["kwargs"], index)
    if order["iter"]:
        # As one writes it in Python: several arguments of one task are a tuple.
        args = [tuple(item) if isinstance(item, list) else item for item in args]
        async_iter(order["task"], args, **kwargs, **options)
    else:
        async_task(order["task"], *args, **kwargs, **options)


def numbered(value: Any, index: int) -> Any:
    """Put the index of the call where the case says so; alone it is a number."""
    if value == INDEX:
        return index
    if isinstance(value, str):
        return value.replace(INDEX, str(index))
    if isinstance(value, list):
        return [numbered(item, index) for item in value]
    if isinstance(value, dict):
        return {key: numbered(item, index) for key, item in value.items()}
    return value


def schedule(order: Schedule) -> None:
    """Create a schedule as an admin would: its arguments are texts."""
    from django_q.models import Schedule as Row

    due = moment(order["due"])
    row = Row(
        func=order["task"],
        args=str(tuple(order["args"])) if order["args"] else None,
        kwargs=str(order["kwargs"]) if order["kwargs"] else None,
        schedule_type=getattr(Row, order["kind"].upper()),
        next_run=due,
        **order["fields"],
    )
    row.full_clean()
    row.save()
    if order["due"] != {"in": 0} and row.next_run != due:
        # Since 1.8.0 a new cron schedule comes by its next run itself. The case wants another one.
        row.next_run = due
        row.save(update_fields=["next_run"])


def moment(due: dict[str, int]) -> datetime:
    """So many nanoseconds ``in`` the future, or ``at`` so many since the epoch; naive, if the project is."""
    from django.conf import settings
    from django.utils import timezone

    ((when, nanoseconds),) = due.items()
    distance = timedelta(microseconds=nanoseconds / 1000)
    if when == "in":
        return timezone.now() + distance
    date = datetime(1970, 1, 1, tzinfo=zone.utc) + distance
    return date if settings.USE_TZ else timezone.make_naive(date)


def tasks() -> Tasks:
    """Say what is queued, and what has a row of its result."""
    from django_q.models import Failure, Success

    return Tasks(
        queued=sorted(queued()),
        succeeded=sorted(Success.objects.values_list("id", flat=True)),
        failed=sorted(Failure.objects.values_list("id", flat=True)),
    )


def queued() -> Iterator[str]:
    """The tasks in the queues of all clusters, read by django-q2's own classes."""
    from django_q.brokers import get_broker
    from django_q.conf import Conf
    from django_q.models import OrmQ

    if Conf.ORM:
        for row in OrmQ.objects.using(Conf.ORM):
            yield row.task_id()
        return
    broker = get_broker()
    if not hasattr(broker.connection, "lrange"):
        raise RuntimeError(f"the queue of the broker {broker.info()} cannot be listed")
    for queue in broker.connection.scan_iter(match="django_q:*:q"):
        for package in broker.connection.lrange(queue, 0, -1):
            # The ORM's row decodes a package, and bears one that cannot be decoded.
            yield OrmQ(payload=package).task_id()
