from django.db import migrations, models


class Migration(migrations.Migration):
    pasargad_phase = "expand"
    dependencies = [("notifications", "0002_not_wanted")]
    operations = [
        migrations.AddField(
            model_name="mail",
            name="language",
            field=models.CharField(blank=True, db_default="", default="", max_length=10),
        ),
    ]
