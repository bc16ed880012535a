from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0001_initial"),
    ]

    operations = [
        migrations.AlterField(
            model_name="mail",
            name="state",
            field=models.CharField(
                choices=[
                    ("pending", "Pending"),
                    ("sent", "Sent"),
                    ("given_up", "Given up"),
                    ("withdrawn", "Not wanted any more"),
                ],
                default="pending",
                max_length=10,
            ),
        ),
    ]
