import django.core.validators
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("catalog", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Promotion",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(help_text="As shoppers see it: Spring sale", max_length=80)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("percentage", "Percentage off"),
                            ("fixed", "Amount off"),
                            ("free_shipping", "Free shipping"),
                            ("buy_x_get_y", "Buy some, get the cheapest cheaper"),
                        ],
                        max_length=15,
                    ),
                ),
                (
                    "is_automatic",
                    models.BooleanField(
                        default=False, help_text="Applies by itself, without a coupon", verbose_name="campaign"
                    ),
                ),
                ("is_active", models.BooleanField(default=True)),
                (
                    "basis_points",
                    models.PositiveIntegerField(
                        default=0,
                        help_text="1500 is 15 %. For buy some, get the cheapest cheaper: 10000 is free.",
                        validators=[django.core.validators.MaxValueValidator(10000)],
                        verbose_name="percentage in hundredths",
                    ),
                ),
                ("amount_minor", models.PositiveIntegerField(default=0, verbose_name="amount off (minor units)")),
                ("buy_quantity", models.PositiveSmallIntegerField(default=0, verbose_name="pieces to buy")),
                ("get_quantity", models.PositiveSmallIntegerField(default=0, verbose_name="pieces that get cheaper")),
                (
                    "minimum_minor",
                    models.PositiveIntegerField(
                        default=0,
                        help_text="All goods, before discounts",
                        verbose_name="order of at least (minor units)",
                    ),
                ),
                ("first_order_only", models.BooleanField(default=False)),
                ("logged_in_only", models.BooleanField(default=False)),
                (
                    "per_customer_limit",
                    models.PositiveSmallIntegerField(
                        blank=True,
                        help_text="Over all coupons of this promotion. Empty: no limit.",
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(1000),
                        ],
                        verbose_name="uses of one customer",
                    ),
                ),
                ("starts_at", models.DateTimeField(blank=True, null=True)),
                ("ends_at", models.DateTimeField(blank=True, null=True)),
                ("priority", models.SmallIntegerField(default=0, help_text="Lower applies first")),
                ("combinable", models.BooleanField(default=False, verbose_name="combines with others")),
                (
                    "categories",
                    models.ManyToManyField(
                        blank=True,
                        help_text="Everything below counts too. No product, no category: all.",
                        related_name="+",
                        to="catalog.category",
                    ),
                ),
                ("products", models.ManyToManyField(blank=True, related_name="+", to="catalog.product")),
            ],
            options={
                "ordering": ["priority", "id"],
            },
        ),
        migrations.CreateModel(
            name="Coupon",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "code",
                    models.CharField(
                        max_length=40,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[A-Z0-9-]{3,40}$", "Capital letters, digits and dashes, at least three."
                            )
                        ],
                    ),
                ),
                (
                    "limit",
                    models.PositiveIntegerField(
                        blank=True, help_text="Empty: no limit", null=True, verbose_name="uses in all"
                    ),
                ),
                ("used", models.PositiveIntegerField(default=0, editable=False)),
                ("is_active", models.BooleanField(default=True)),
                (
                    "promotion",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="coupons", to="promotions.promotion"
                    ),
                ),
            ],
            options={
                "ordering": ["code"],
            },
        ),
        migrations.CreateModel(
            name="Redemption",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("reference", models.CharField(max_length=60)),
                ("customer_key", models.CharField(max_length=64)),
                ("number", models.PositiveSmallIntegerField(blank=True, null=True)),
                ("amount_minor", models.PositiveIntegerField(help_text="What it saved, shipping included")),
                (
                    "state",
                    models.CharField(
                        choices=[("active", "Used"), ("released", "Given back"), ("beyond", "Beyond the limit")],
                        default="active",
                        max_length=10,
                    ),
                ),
                ("at", models.DateTimeField(auto_now_add=True)),
                (
                    "coupon",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="redemptions",
                        to="promotions.coupon",
                    ),
                ),
                (
                    "promotion",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="redemptions",
                        to="promotions.promotion",
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
            },
        ),
        migrations.AddIndex(
            model_name="promotion",
            index=models.Index(
                condition=models.Q(("is_active", True), ("is_automatic", True)), fields=["id"], name="promotions_live"
            ),
        ),
        migrations.AddConstraint(
            model_name="promotion",
            constraint=models.CheckConstraint(
                condition=models.Q(("basis_points__lte", 10000)), name="promotions_percentage"
            ),
        ),
        migrations.AddConstraint(
            model_name="promotion",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("starts_at__isnull", True),
                    ("ends_at__isnull", True),
                    ("starts_at__lt", models.F("ends_at")),
                    _connector="OR",
                ),
                name="promotions_dates",
                violation_error_message="It must start before it ends.",
            ),
        ),
        migrations.AddConstraint(
            model_name="coupon",
            constraint=models.CheckConstraint(
                condition=models.Q(("limit__isnull", True), ("used__lte", models.F("limit")), _connector="OR"),
                name="promotions_limit",
            ),
        ),
        migrations.AddIndex(
            model_name="redemption",
            index=models.Index(fields=["promotion", "customer_key"], name="promotions_customer"),
        ),
        migrations.AddConstraint(
            model_name="redemption",
            constraint=models.UniqueConstraint(fields=("reference", "promotion"), name="promotions_redeemed_once"),
        ),
        migrations.AddConstraint(
            model_name="redemption",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "active")),
                fields=("promotion", "customer_key", "number"),
                name="promotions_customer_number",
            ),
        ),
    ]
