import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
from django.db import migrations, models

import pasargad.catalog.fields


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="PickupPoint",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=80)),
                ("street", models.CharField(max_length=120)),
                ("city", models.CharField(max_length=80)),
                ("state", models.CharField(blank=True, max_length=80)),
                ("zip", models.CharField(blank=True, max_length=20)),
                (
                    "country",
                    models.CharField(
                        max_length=2,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[A-Z]{2}$", "Write country codes in two capital letters, for example US."
                            )
                        ],
                    ),
                ),
                ("opening_hours", models.CharField(blank=True, max_length=200)),
                ("position", models.PositiveSmallIntegerField(default=0)),
                ("is_active", models.BooleanField(default=True)),
            ],
            options={
                "ordering": ["position", "id"],
            },
        ),
        migrations.CreateModel(
            name="ShippingZone",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=80)),
                (
                    "countries",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=20),
                        blank=True,
                        default=list,
                        help_text="Codes with commas: US,CA. Empty: everywhere that no other zone names.",
                        size=None,
                        validators=[pasargad.catalog.fields.validate_country_codes],
                    ),
                ),
                (
                    "postcodes",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=20),
                        blank=True,
                        default=list,
                        help_text="Beginnings of postcodes, with commas: 967,968. Empty: all.",
                        size=None,
                    ),
                ),
                ("position", models.PositiveSmallIntegerField(default=0)),
                ("is_active", models.BooleanField(default=True)),
            ],
            options={
                "ordering": ["position", "id"],
            },
        ),
        migrations.CreateModel(
            name="ShippingMethod",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(help_text="As shoppers see it", max_length=60)),
                ("description", models.CharField(blank=True, max_length=120)),
                ("base_minor", models.PositiveIntegerField(default=0, verbose_name="base price (minor units)")),
                (
                    "per_kilogram_minor",
                    models.PositiveIntegerField(default=0, verbose_name="for each kilogram begun (minor units)"),
                ),
                (
                    "free_from_minor",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="Goods worth this much before discounts go free. Empty: never.",
                        null=True,
                        validators=[django.core.validators.MinValueValidator(1)],
                        verbose_name="free from (minor units)",
                    ),
                ),
                ("max_grams", models.PositiveIntegerField(blank=True, null=True, verbose_name="heaviest parcel (g)")),
                (
                    "max_length_mm",
                    models.PositiveIntegerField(blank=True, null=True, verbose_name="longest side of a piece (mm)"),
                ),
                (
                    "max_width_mm",
                    models.PositiveIntegerField(blank=True, null=True, verbose_name="second side of a piece (mm)"),
                ),
                (
                    "max_height_mm",
                    models.PositiveIntegerField(blank=True, null=True, verbose_name="shortest side of a piece (mm)"),
                ),
                (
                    "days_min",
                    models.PositiveSmallIntegerField(default=2, verbose_name="working days on the way, at least"),
                ),
                (
                    "days_max",
                    models.PositiveSmallIntegerField(default=5, verbose_name="working days on the way, at most"),
                ),
                (
                    "carrier",
                    models.CharField(
                        choices=[("own", "By hand: we write the number in"), ("shippo", "Shippo")],
                        default="own",
                        max_length=10,
                    ),
                ),
                (
                    "service",
                    models.CharField(
                        blank=True, help_text="The carrier's name of the service: usps_priority", max_length=60
                    ),
                ),
                ("position", models.PositiveSmallIntegerField(default=0)),
                ("is_active", models.BooleanField(default=True)),
                (
                    "zone",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="methods", to="shipping.shippingzone"
                    ),
                ),
            ],
            options={
                "ordering": ["position", "id"],
            },
        ),
        migrations.CreateModel(
            name="WeightBand",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("up_to_grams", models.PositiveIntegerField(validators=[django.core.validators.MinValueValidator(1)])),
                ("price_minor", models.PositiveIntegerField()),
                (
                    "method",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="bands", to="shipping.shippingmethod"
                    ),
                ),
            ],
            options={
                "ordering": ["up_to_grams"],
            },
        ),
        migrations.AddConstraint(
            model_name="shippingmethod",
            constraint=models.CheckConstraint(
                condition=models.Q(("days_min__lte", models.F("days_max"))),
                name="shipping_method_days",
                violation_error_message="At least must not be more than at most.",
            ),
        ),
        migrations.AddConstraint(
            model_name="weightband",
            constraint=models.UniqueConstraint(fields=("method", "up_to_grams"), name="shipping_band_once"),
        ),
    ]
