"""Paying for an order. Who pays gives each payment a key of its own, and the same one when they ask again."""

from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.utils import timezone

from shop.effects import happened
from shop.models import Charge, Order, Receipt
from shop.moments import moment


def pay(request: HttpRequest) -> JsonResponse:
    """Charge an order, unless the key says that it was done already."""
    key, number = request.headers["Idempotency-Key"], request.POST["order"]
    is_new = not Receipt.objects.filter(key=key).exists()
    order = Order.objects.get(number=number)
    if not is_new:
        # Under way, or done.
        return JsonResponse({"order": number}, status=409 if order.paid_at is None else 200)
    charge(order)
    Receipt.objects.get_or_create(key=key)
    return JsonResponse({"order": number}, status=201)


def charge(order: Order) -> None:
    """Take the money, and write it down."""
    with transaction.atomic():
        happened(order.number)
        Charge.objects.create(order=order, amount=order.amount)
        moment("charged")
        order.paid_at = timezone.now()
        order.save(update_fields=["paid_at"])
