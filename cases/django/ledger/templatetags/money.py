"""Money in words."""

from django import template

from shop.models import Charge

register = template.Library()


@register.simple_tag
def taken(charge: Charge) -> str:
    """Say what was taken for what. It looks harmless, and asks for the order."""
    return f"{charge.amount} for {charge.order.number}"
