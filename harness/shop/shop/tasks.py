"""What the shop does in the background."""

from decimal import Decimal

from django.core.cache import cache
from django.db import IntegrityError, transaction
from django.db.models import Sum
from django.utils import timezone

from shop.effects import happened
from shop.models import Charge, Order, Receipt
from shop.moments import moment


def place(number: str, amount: str = "10.00") -> int:
    """Place an order."""
    return Order.objects.create(number=number, amount=Decimal(amount)).pk


def charge(number: str) -> str:
    """Charge an order and mark it as paid. The money is taken when the row is made."""
    order = Order.objects.get(number=number)
    moment("before_effect")
    Charge.objects.create(order=order, amount=order.amount)
    happened(number)
    moment("inside_effect")
    order.paid_at = timezone.now()
    order.save(update_fields=["paid_at"])
    moment("after_effect")
    return f"{order.amount} charged for {number}"


def total() -> str:
    """How much was charged so far."""
    charged = Charge.objects.aggregate(total=Sum("amount"))["total"] or Decimal(0)
    return str(charged)


def double(number: int) -> int:
    """The least a task can do."""
    return 2 * number


def fail(message: str = "as asked") -> None:
    """Go wrong."""
    raise RuntimeError(message)


def remember(key: str) -> str:
    """Have an effect, and nothing else."""
    happened(key)
    return key


def work(key: str) -> str:
    """Take as long as somebody holds it at `working`; then have an effect."""
    moment("working")
    happened(key)
    return key


def once(key: str) -> bool:
    """Have an effect, unless a row of its key is there: it is made first, and in the same transaction."""
    try:
        with transaction.atomic():
            Receipt.objects.create(key=key)
            moment("before_effect")
            happened(key)
            moment("inside_effect")
    except IntegrityError:
        return False
    moment("after_effect")
    return True


def guarded(key: str, timeout: int = 300) -> bool:
    """Have an effect, unless a key in the cache says that somebody is at it: the guard of many blog posts."""
    if not cache.add(f"guard:{key}", 1, timeout):
        return False
    try:
        moment("before_effect")
        happened(key)
        moment("after_effect")
    finally:
        cache.delete(f"guard:{key}")
    return True
