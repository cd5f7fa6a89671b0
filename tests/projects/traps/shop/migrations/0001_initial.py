"""The first tables, and an extension that only a superuser can make."""

import django.db.models.deletion
from django.contrib.postgres.operations import CreateExtension
from django.db import migrations, models


class Migration(migrations.Migration):
    """Before it there is nothing."""

    initial = True
    dependencies: list[tuple[str, str]] = []
    operations = [
        CreateExtension("pg_stat_statements"),
        migrations.CreateModel(
            name="Customer",
            fields=[
                ("id", models.BigAutoField(primary_key=True)),
                ("name", models.CharField(max_length=50)),
            ],
        ),
        migrations.CreateModel(
            name="Order",
            fields=[
                ("id", models.BigAutoField(primary_key=True)),
                ("number", models.CharField(max_length=50)),
                ("amount", models.DecimalField(max_digits=9, decimal_places=2, default=0)),
                ("receipt", models.FileField(upload_to="receipts", blank=True)),
                ("customer", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="shop.customer")),
            ],
        ),
    ]
