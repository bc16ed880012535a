from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models.functions import Upper


class Migration(migrations.Migration):
    # Orders are placed while the index is built.
    atomic = False
    dependencies = [
        ("orders", "0004_returns_and_refunds"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="order",
            index=models.Index(Upper("email"), condition=models.Q(("user", None)), name="orders_order_guest_email"),
        ),
    ]
