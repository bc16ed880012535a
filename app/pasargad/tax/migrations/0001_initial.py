import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
from django.db import migrations, models

import pasargad.catalog.fields


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("catalog", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="TaxClass",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("code", models.SlugField(max_length=20, unique=True)),
                ("name", models.CharField(max_length=60)),
            ],
            options={
                "verbose_name_plural": "tax classes",
                "ordering": ["name"],
            },
        ),
        migrations.CreateModel(
            name="TaxZone",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=80)),
                (
                    "countries",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=20),
                        blank=True,
                        default=list,
                        help_text="Codes with commas: DE,AT. Empty: everywhere else.",
                        size=None,
                        validators=[pasargad.catalog.fields.validate_country_codes],
                    ),
                ),
                (
                    "states",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=80),
                        blank=True,
                        default=list,
                        help_text="With commas, as shoppers write them: CA,California. Empty: all.",
                        size=None,
                    ),
                ),
                (
                    "postcodes",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=20),
                        blank=True,
                        default=list,
                        help_text="Beginnings of postcodes, with commas: 941,902. Empty: all.",
                        size=None,
                    ),
                ),
                (
                    "prices_contain_tax",
                    models.BooleanField(help_text="Yes: prices are with this tax. No: it is added at checkout."),
                ),
                ("position", models.PositiveSmallIntegerField(default=0)),
                ("is_active", models.BooleanField(default=True)),
            ],
            options={
                "ordering": ["position", "id"],
            },
        ),
        migrations.CreateModel(
            name="TaxAssignment",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "category",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="catalog.category",
                    ),
                ),
                (
                    "product",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="catalog.product",
                    ),
                ),
                (
                    "tax_class",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="assignments", to="tax.taxclass"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("product__isnull", True), ("category__isnull", True), _connector="XOR"),
                        name="tax_assignment_of_one",
                        violation_error_message="Choose either a product or a category.",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="TaxRate",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(help_text="As shoppers see it: VAT, GST", max_length=40)),
                (
                    "ppm",
                    models.PositiveIntegerField(
                        help_text="8.875 % is 88750",
                        validators=[django.core.validators.MaxValueValidator(1000000)],
                        verbose_name="rate in millionths",
                    ),
                ),
                (
                    "on_shipping",
                    models.BooleanField(
                        default=True, help_text="Only of standard rates", verbose_name="also on shipping"
                    ),
                ),
                (
                    "tax_class",
                    models.ForeignKey(
                        blank=True,
                        help_text="Empty: standard",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tax.taxclass",
                    ),
                ),
                (
                    "zone",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="rates", to="tax.taxzone"
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("ppm__lte", 1000000)), name="tax_rate_at_most_all")
                ],
            },
        ),
    ]
