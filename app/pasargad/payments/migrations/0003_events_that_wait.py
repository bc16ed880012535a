from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    # The table has a row for every message of the provider; payments must not wait while it is read.
    atomic = False

    dependencies = [("payments", "0002_refunds_disputes_watermark")]

    operations = [
        AddIndexConcurrently(
            "webhookevent",
            models.Index(condition=models.Q(("waiting", True)), fields=["subject"], name="payments_event_waiting"),
        ),
    ]
