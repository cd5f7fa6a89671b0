"""The ledger's pages."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from shop.models import Charge, Order


def orders(request: HttpRequest) -> JsonResponse:
    """All orders, each with what was charged for it, in the order of the charges."""
    listed = []
    for order in Order.objects.order_by("number"):
        charged = order.charges.order_by("pk")
        listed.append({"number": order.number, "charged": [str(charge.amount) for charge in charged]})
    return JsonResponse({"orders": listed})


def charges(request: HttpRequest) -> HttpResponse:
    """All charges. What a line of them says is up to a tag of the template."""
    made = Charge.objects.order_by("pk")
    return render(request, "ledger/charges.html", {"charges": made})
