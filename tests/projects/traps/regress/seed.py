"""What every arm begins with."""

from django.contrib.auth.models import User

from shop.models import Customer, Order


def fill() -> None:
    """Make twenty orders of as many customers. Each puts a task into the queue."""
    User.objects.create_user("ann")
    for number in range(20):
        Order.objects.create(number=f"order-{number}", customer=Customer.objects.create(name=f"customer {number}"))
