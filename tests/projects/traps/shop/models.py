"""Orders of customers."""

from django.db import models


class Customer(models.Model):
    """Who orders."""

    name = models.CharField(max_length=50)


class Order(models.Model):
    """What is ordered."""

    customer = models.ForeignKey(Customer, models.CASCADE)
    number = models.CharField(max_length=50)
    amount = models.DecimalField(max_digits=9, decimal_places=2, default=0)
    receipt = models.FileField(upload_to="receipts", blank=True)
