"""Prices, which are long in the making, and kept for a minute."""

from django.core.cache import cache
from django.db import connection, transaction
from django.http import HttpRequest, JsonResponse

from shop.moments import moment

KEY = "prices"
KEPT = 60


def prices(request: HttpRequest) -> JsonResponse:
    """The list of all prices: the one that is kept, or a new one."""
    found = cache.get(KEY)
    if found is None:
        found = renewed()
    return JsonResponse({"prices": found})


def renewed() -> str:
    """Make the list, and keep it."""
    with transaction.atomic():
        made = computed()
        cache.set(KEY, made, KEPT)
    return made


def price(request: HttpRequest, product: int) -> JsonResponse:
    """One price, kept by itself."""
    key = f"price-{product}"
    found = cache.get(key)
    if found is None:
        found = computed()
        cache.set(key, found, KEPT)
    return JsonResponse({"price": found})


def computed() -> str:
    """What nobody wants to do more often than need be."""
    moment("computing")
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(sum(amount), 0) FROM shop_order")
        return str(cursor.fetchone()[0])
