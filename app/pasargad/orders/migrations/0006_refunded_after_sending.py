from django.db import migrations, models


class Migration(migrations.Migration):
    pasargad_phase = "expand"
    dependencies = [("orders", "0005_guests_by_email")]
    operations = [
        migrations.AddField(
            model_name="orderline",
            name="refunded_sent_quantity",
            field=models.PositiveIntegerField(db_default=0, default=0, editable=False),
        ),
    ]
