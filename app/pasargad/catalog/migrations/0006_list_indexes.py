"""Indexes of lists by name and of neighbours by price, made while the shop sells."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("catalog", "0005_first_search_entries")]

    operations = [
        AddIndexConcurrently(
            model_name="product", index=models.Index(fields=["state", "name", "id"], name="catalog_product_name")
        ),
        AddIndexConcurrently(
            model_name="product",
            index=models.Index(fields=["category", "state", "price_minor", "id"], name="catalog_product_near"),
        ),
    ]
