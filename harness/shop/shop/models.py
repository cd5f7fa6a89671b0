"""Orders, the charges made for them, and what makes sure that nothing is done twice."""

from django.db import models
from django.utils import timezone


class Order(models.Model):
    """Something a customer has to pay for."""

    number = models.CharField(max_length=40, unique=True)
    amount = models.DecimalField(max_digits=10, decimal_places=2)
    placed_at = models.DateTimeField(default=timezone.now)
    paid_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        """Its number."""
        return self.number


class Charge(models.Model):
    """Money taken for an order. Two for one order are one too many."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="charges")
    amount = models.DecimalField(max_digits=10, decimal_places=2)
    made_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        """What was charged for what."""
        return f"{self.amount} for {self.order}"


class Receipt(models.Model):
    """Something that was done, and must not be done again: its key is unique."""

    key = models.CharField(max_length=80, unique=True)
    made_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        """Its key."""
        return self.key


class Message(models.Model):
    """The outbox: what others have to be told, written in the transaction that it tells of."""

    key = models.CharField(max_length=80, unique=True)
    written_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        """Its key."""
        return self.key
