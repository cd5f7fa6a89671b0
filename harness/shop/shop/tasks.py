"""What the shop does in the background."""

from decimal import Decimal

from django.db.models import Sum
from django.utils import timezone

from shop.models import Charge, Order


def place(number: str, amount: str = "10.00") -> int:
    """Place an order."""
    return Order.objects.create(number=number, amount=Decimal(amount)).pk


def charge(number: str) -> str:
    """Charge an order and mark it as paid."""
    order = Order.objects.get(number=number)
    Charge.objects.create(order=order, amount=order.amount)
    order.paid_at = timezone.now()
    order.save(update_fields=["paid_at"])
    return f"{order.amount} charged for {number}"


def total() -> str:
    """How much was charged so far."""
    charged = Charge.objects.aggregate(total=Sum("amount"))["total"] or Decimal(0)
    return str(charged)


def double(number: int) -> int:
    """The least a task can do."""
    return 2 * number
