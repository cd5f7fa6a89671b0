"""Pages with static files."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from shop.models import Order


def orders(request: HttpRequest) -> HttpResponse:
    """List all orders."""
    found = Order.objects.select_related("customer").order_by("pk")
    return render(request, "orders.html", {"orders": found})


def mine(request: HttpRequest) -> HttpResponse:
    """Say who asks."""
    return HttpResponse(request.user.get_username(), status=200 if request.user.is_authenticated else 403)
