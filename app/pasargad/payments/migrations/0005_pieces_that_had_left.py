from django.db import migrations, models


class Migration(migrations.Migration):
    pasargad_phase = "expand"
    dependencies = [("payments", "0004_dispute_deadline")]
    operations = [
        migrations.AddField(
            model_name="refundline",
            name="sent_quantity",
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
    ]
