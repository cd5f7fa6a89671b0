"""Pages that say what they were asked."""

import json

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.cache import patch_cache_control
from shop.effects import happened
from shop.models import Order
from shop.moments import moment


def echo(request: HttpRequest) -> JsonResponse:
    """Say what was asked, and how often this browser has."""
    visits = int(request.COOKIES.get("visits", 0)) + 1
    is_json = request.content_type == "application/json"
    said = {
        "method": request.method,
        "path": request.get_full_path(),
        "json": json.loads(request.body) if is_json else None,
        "form": request.POST.dict(),
        "text": request.body.decode(),
        "say": request.headers.get("X-Say"),
        "visits": visits,
    }
    response = JsonResponse(said, status=201 if request.method == "POST" else 200)
    response.set_cookie("visits", str(visits))
    return response


def fresh(request: HttpRequest) -> JsonResponse:
    """Say how many orders there are, for a minute."""
    response = JsonResponse({"orders": Order.objects.count()})
    patch_cache_control(response, max_age=60)
    return response


def fails(request: HttpRequest) -> HttpResponse:
    """Go wrong."""
    raise RuntimeError("as asked")


def computed(request: HttpRequest) -> HttpResponse:
    """Something expensive, kept for whoever comes next."""
    value = cache.get("value")
    if value is None:
        moment("computing")
        happened("computed")
        value = "dear"
        cache.set("value", value)
    return HttpResponse(value)


def orders(request: HttpRequest) -> JsonResponse:
    """All orders."""
    return JsonResponse({"orders": [{"number": order.number} for order in Order.objects.order_by("number")]})
