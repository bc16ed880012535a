from django.contrib.postgres.operations import AddIndexConcurrently, ValidateConstraint
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("orders", "0002_frozen_quote")]

    operations = [
        ValidateConstraint("order", "orders_order_sum"),
        ValidateConstraint("order", "orders_order_discount"),
        ValidateConstraint("orderline", "orders_line_discount"),
        AddIndexConcurrently(
            "order",
            models.Index(fields=["customer_key"], condition=~models.Q(customer_key=""), name="orders_order_customer"),
        ),
    ]
