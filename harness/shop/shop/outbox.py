"""Telling others about an order: right away, or by an outbox in its transaction."""

from decimal import Decimal

from django.db import transaction
from django.utils import timezone
from django_q.tasks import async_task

from shop.models import Message, Order
from shop.moments import moment


def place_and_tell(number: str, amount: str = "10.00", consumer: str = "shop.tasks.remember") -> None:
    """Place an order, then queue the task that tells of it: two writes, and something may come between."""
    Order.objects.create(number=number, amount=Decimal(amount))
    moment("placed")
    async_task(consumer, number)


def place(number: str, amount: str = "10.00") -> None:
    """Place an order and write the message about it, both or neither."""
    with transaction.atomic():
        Order.objects.create(number=number, amount=Decimal(amount))
        moment("placed")
        Message.objects.create(key=number)


def relay(consumer: str = "shop.tasks.once") -> int:
    """Queue a task for each message that was not sent: at least once: consumers tell them apart."""
    unsent = Message.objects.filter(sent_at=None).order_by("pk")
    with transaction.atomic():
        messages = list(unsent.select_for_update(skip_locked=True))
        for message in messages:
            async_task(consumer, message.key)
            moment("told")
            message.sent_at = timezone.now()
            message.save(update_fields=["sent_at"])
    return len(messages)
