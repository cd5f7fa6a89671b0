"""A package that is called like the harness's own app."""

from django.apps import AppConfig
from django.db import DatabaseError


class ShopConfig(AppConfig):
    """Asks the database before there are tables."""

    name = "shop"
    known = None

    def ready(self) -> None:
        """Connect signals, and see what is there."""
        from shop import signals  # noqa: F401

        try:
            self.known = self.get_model("Order").objects.count()
        except DatabaseError:
            self.known = None
