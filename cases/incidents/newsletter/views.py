"""A letter to all readers: whoever has an account is one."""

from django.contrib.auth.models import User
from django.http import HttpRequest, JsonResponse


def send(request: HttpRequest) -> JsonResponse:
    """Write to all readers; how many letters that were."""
    letters = 0
    for reader in User.objects.all():
        letters += bool(written_to(reader))
    return JsonResponse({"letters": letters})


def written_to(reader: User) -> str:
    """Make one letter."""
    return f"To: {reader.email}\n\nDear {reader.first_name},\n"
