"""Whatever is saved is told of, later."""

from typing import Any

from django.db.models.signals import post_save
from django.dispatch import receiver
from django_q.tasks import async_task

from shop.models import Order


@receiver(post_save, sender=Order)
def ordered(instance: Order, created: bool, **_: Any) -> None:
    """Put a task into the queue, also while a database is filled."""
    if created:
        async_task("shop.tasks.tell", instance.pk)
