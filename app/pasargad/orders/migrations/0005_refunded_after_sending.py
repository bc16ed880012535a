from django.db import migrations, models


class Migration(migrations.Migration):
    pasargad_phase = "expand"
    dependencies = [("orders", "0004_returns_and_refunds")]
    operations = [
        migrations.AddField(
            model_name="orderline",
            name="refunded_sent_quantity",
            field=models.PositiveIntegerField(db_default=0, default=0, editable=False),
        ),
    ]
