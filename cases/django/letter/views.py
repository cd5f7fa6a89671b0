"""A letter that is sent at most once a minute, whoever asks for it."""

from django.core.cache import cache
from django.http import HttpRequest, JsonResponse
from django.utils import timezone

from shop.effects import happened


def letter(request: HttpRequest) -> JsonResponse:
    """Send it, unless that was done within a minute. `add` is what many take for a lock."""
    if not cache.add("letter", True, 60):
        return JsonResponse({"sent": None})
    happened("letter")
    return JsonResponse({"sent": timezone.now()})
