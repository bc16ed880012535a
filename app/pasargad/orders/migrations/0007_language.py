from django.db import migrations, models


class Migration(migrations.Migration):
    pasargad_phase = "expand"
    dependencies = [("orders", "0006_refunded_after_sending")]
    operations = [
        migrations.AddField(
            model_name="order",
            name="language",
            field=models.CharField(blank=True, db_default="", default="", max_length=10),
        ),
    ]
