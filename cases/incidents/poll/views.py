"""An export is begun, and asked for until it is done."""

from django.http import HttpRequest, JsonResponse
from django_q.tasks import async_task, fetch


def status(request: HttpRequest, task: str) -> JsonResponse:
    """How far a task is. Nothing is said of how long that holds."""
    return JsonResponse({"state": "PENDING" if fetch(task) is None else "SUCCESS"})


def export(request: HttpRequest) -> JsonResponse:
    """Begin an export."""
    return JsonResponse({"id": async_task("shop.tasks.total")}, status=202)
