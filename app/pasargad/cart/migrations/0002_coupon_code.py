from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("cart", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="cart",
            name="coupon_code",
            field=models.CharField(blank=True, db_default="", default="", max_length=40),
        ),
    ]
