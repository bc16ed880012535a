import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("orders", "0003_frozen_quote_checks"),
    ]

    operations = [
        migrations.CreateModel(
            name="Shipment",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                (
                    "carrier",
                    models.CharField(
                        choices=[
                            ("own", "By hand: we write the number in"),
                            ("shippo", "Shippo"),
                        ],
                        default="own",
                        max_length=10,
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("prepared", "Being packed"),
                            ("buying", "Label ordered"),
                            ("labelled", "Labelled"),
                            ("in_transit", "On its way"),
                            ("problem", "Held up"),
                            ("delivered", "Delivered"),
                            ("returned", "Came back"),
                            ("cancelled", "Cancelled"),
                        ],
                        default="prepared",
                        max_length=10,
                    ),
                ),
                ("service", models.CharField(blank=True, max_length=60)),
                (
                    "grams",
                    models.PositiveIntegerField(default=0, verbose_name="weight (g)"),
                ),
                (
                    "length_mm",
                    models.PositiveIntegerField(default=0, verbose_name="length (mm)"),
                ),
                (
                    "width_mm",
                    models.PositiveIntegerField(default=0, verbose_name="width (mm)"),
                ),
                (
                    "height_mm",
                    models.PositiveIntegerField(default=0, verbose_name="height (mm)"),
                ),
                (
                    "rate_id",
                    models.CharField(blank=True, editable=False, max_length=64),
                ),
                (
                    "provider_id",
                    models.CharField(
                        blank=True,
                        editable=False,
                        max_length=64,
                        null=True,
                        unique=True,
                    ),
                ),
                ("tracking_carrier", models.CharField(blank=True, max_length=40)),
                ("tracking_number", models.CharField(blank=True, max_length=64)),
                ("tracking_url", models.URLField(blank=True, max_length=300)),
                (
                    "label_url",
                    models.URLField(blank=True, editable=False, max_length=1000),
                ),
                (
                    "cost_minor",
                    models.PositiveIntegerField(
                        default=0,
                        editable=False,
                        verbose_name="what it cost us (minor units)",
                    ),
                ),
                (
                    "currency",
                    models.CharField(blank=True, editable=False, max_length=3),
                ),
                ("error", models.CharField(blank=True, editable=False, max_length=300)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "sent_at",
                    models.DateTimeField(blank=True, editable=False, null=True),
                ),
                (
                    "delivered_at",
                    models.DateTimeField(blank=True, editable=False, null=True),
                ),
                (
                    "order",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="shipments",
                        to="orders.order",
                    ),
                ),
            ],
            options={
                "verbose_name": "parcel",
                "ordering": ["id"],
            },
        ),
        migrations.CreateModel(
            name="ShipmentLine",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("quantity", models.PositiveIntegerField()),
                (
                    "order_line",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="shipped",
                        to="orders.orderline",
                    ),
                ),
                (
                    "shipment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="lines",
                        to="shipments.shipment",
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
            },
        ),
        migrations.CreateModel(
            name="TrackingEvent",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("status", models.CharField(max_length=20)),
                ("text", models.CharField(blank=True, max_length=200)),
                ("place", models.CharField(blank=True, max_length=120)),
                ("at", models.DateTimeField()),
                (
                    "shipment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="events",
                        to="shipments.shipment",
                    ),
                ),
            ],
            options={
                "ordering": ["at", "id"],
            },
        ),
        migrations.AddIndex(
            model_name="shipment",
            index=models.Index(
                condition=models.Q(("tracking_number", ""), _negated=True),
                fields=["tracking_number"],
                name="shipments_tracking",
            ),
        ),
        migrations.AddIndex(
            model_name="shipment",
            index=models.Index(
                condition=models.Q(("state", "buying")),
                fields=["updated_at"],
                name="shipments_buying",
            ),
        ),
        migrations.AddIndex(
            model_name="shipment",
            index=models.Index(fields=["-created_at", "-id"], name="shipments_newest"),
        ),
        migrations.AddConstraint(
            model_name="shipmentline",
            constraint=models.UniqueConstraint(fields=("shipment", "order_line"), name="shipments_line_once"),
        ),
        migrations.AddConstraint(
            model_name="shipmentline",
            constraint=models.CheckConstraint(condition=models.Q(("quantity__gt", 0)), name="shipments_line_quantity"),
        ),
        migrations.AddConstraint(
            model_name="trackingevent",
            constraint=models.UniqueConstraint(
                fields=("shipment", "at", "status", "text"), name="shipments_event_once"
            ),
        ),
    ]
