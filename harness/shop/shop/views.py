"""The shop's pages."""

from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404

from shop.models import Order


def order(request: HttpRequest, number: str) -> JsonResponse:
    """One order: whether it is paid, and how often it was charged."""
    found = get_object_or_404(Order, number=number)
    return JsonResponse(
        {"number": found.number, "paid": found.paid_at is not None, "charges": found.charges.count()}
    )
