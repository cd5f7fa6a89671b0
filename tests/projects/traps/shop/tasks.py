"""What is done in the background."""

from pathlib import Path

from django.core.files.base import ContentFile
from django.core.mail import send_mail

from shop.models import Order


def tell(pk: int) -> None:
    """Send a letter."""
    order = Order.objects.get(pk=pk)
    send_mail(f"order {order.number}", "Thank you.", "shop@example.com", ["customer@example.com"])


def tax(pk: int) -> str:
    """Work out a tax by a file beside manage.py, and keep a receipt."""
    rate = float(Path("rate.txt").read_text())
    order = Order.objects.get(pk=pk)
    order.amount = round(100 * rate, 2)
    order.receipt.save(f"{order.number}.txt", ContentFile(b"paid"), save=False)
    order.save()
    return order.receipt.path
