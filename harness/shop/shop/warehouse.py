"""Orders as the warehouse has them, fetched page by page."""

from django_q.tasks import async_task

from shop.models import Order

PAGE = 100


def sync(page: int = 1) -> int:
    """Fetch a page of orders; the next page is a task of its own."""
    orders = Order.objects.order_by("pk")[(page - 1) * PAGE : page * PAGE]
    async_task("shop.warehouse.sync", page + 1)
    return len(orders)
