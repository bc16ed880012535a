import django.db.models.expressions
from django.conf import settings
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):
    # Rows of the code before have no discount, so the new sum is the old one for them.
    pasargad_phase = "expand"

    dependencies = [
        ("catalog", "0001_initial"),
        ("orders", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="order",
            name="orders_order_total",
        ),
        migrations.RemoveConstraint(
            model_name="order",
            name="orders_order_total_positive",
        ),
        migrations.AddField(
            model_name="order",
            name="coupon_code",
            field=models.CharField(blank=True, db_default="", default="", max_length=40),
        ),
        migrations.AddField(
            model_name="order",
            name="customer_key",
            field=models.CharField(blank=True, db_default="", default="", editable=False, max_length=64),
        ),
        migrations.AddField(
            model_name="order",
            name="discount_minor",
            field=models.PositiveIntegerField(db_default=0, default=0, help_text="Taken off the goods"),
        ),
        migrations.AddField(
            model_name="order",
            name="discounts",
            field=models.JSONField(blank=True, db_default=models.Value([], models.JSONField()), default=list),
        ),
        migrations.AddField(
            model_name="order",
            name="pickup_address",
            field=models.JSONField(blank=True, db_default=models.Value([], models.JSONField()), default=list),
        ),
        migrations.AddField(
            model_name="order",
            name="shipping_carrier",
            field=models.CharField(blank=True, db_default="", default="", max_length=10),
        ),
        migrations.AddField(
            model_name="order",
            name="shipping_grams",
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="order",
            name="shipping_method",
            field=models.CharField(blank=True, db_default="", default="", max_length=60),
        ),
        migrations.AddField(
            model_name="order",
            name="shipping_service",
            field=models.CharField(blank=True, db_default="", default="", max_length=60),
        ),
        migrations.AddField(
            model_name="order",
            name="shipping_tax_minor",
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="order",
            name="shipping_zone",
            field=models.CharField(blank=True, db_default="", default="", max_length=80),
        ),
        migrations.AddField(
            model_name="order",
            name="taxes",
            field=models.JSONField(blank=True, db_default=models.Value([], models.JSONField()), default=list),
        ),
        migrations.AddField(
            model_name="orderline",
            name="discount_minor",
            field=models.PositiveIntegerField(db_default=0, default=0, help_text="This line's part of all discounts"),
        ),
        migrations.AddField(
            model_name="orderline",
            name="tax_minor",
            field=models.PositiveIntegerField(db_default=0, default=0, help_text="This line's part of the tax"),
        ),
        migrations.AddField(
            model_name="orderline",
            name="tax_rates",
            field=models.JSONField(blank=True, db_default=models.Value([], models.JSONField()), default=list),
        ),
        migrations.AlterField(
            model_name="order",
            name="shipping_minor",
            field=models.PositiveIntegerField(help_text="After discounts"),
        ),
        migrations.AlterField(
            model_name="order",
            name="subtotal_minor",
            field=models.PositiveIntegerField(help_text="Goods before discounts"),
        ),
        migrations.AlterField(
            model_name="orderline",
            name="total_minor",
            field=models.PositiveIntegerField(help_text="Before discounts and added tax"),
        ),
        AddConstraintNotValid(
            model_name="order",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("tax_inclusive", True),
                        (
                            "total_minor",
                            django.db.models.expressions.CombinedExpression(
                                django.db.models.expressions.CombinedExpression(
                                    models.F("subtotal_minor"), "-", models.F("discount_minor")
                                ),
                                "+",
                                models.F("shipping_minor"),
                            ),
                        ),
                    ),
                    models.Q(
                        ("tax_inclusive", False),
                        (
                            "total_minor",
                            django.db.models.expressions.CombinedExpression(
                                django.db.models.expressions.CombinedExpression(
                                    django.db.models.expressions.CombinedExpression(
                                        models.F("subtotal_minor"), "-", models.F("discount_minor")
                                    ),
                                    "+",
                                    models.F("shipping_minor"),
                                ),
                                "+",
                                models.F("tax_minor"),
                            ),
                        ),
                    ),
                    _connector="OR",
                ),
                name="orders_order_sum",
            ),
        ),
        AddConstraintNotValid(
            model_name="order",
            constraint=models.CheckConstraint(
                condition=models.Q(("discount_minor__lte", models.F("subtotal_minor"))), name="orders_order_discount"
            ),
        ),
        AddConstraintNotValid(
            model_name="orderline",
            constraint=models.CheckConstraint(
                condition=models.Q(("discount_minor__lte", models.F("total_minor"))), name="orders_line_discount"
            ),
        ),
    ]
