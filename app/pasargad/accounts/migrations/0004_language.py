from django.db import migrations, models


class Migration(migrations.Migration):
    pasargad_phase = "expand"
    dependencies = [("accounts", "0003_library_tables")]
    operations = [
        migrations.AddField(
            model_name="user",
            name="language",
            field=models.CharField(blank=True, db_default="", default="", editable=False, max_length=10),
        ),
    ]
