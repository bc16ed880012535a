"""Parcels: what of an order is in them, who carries them, and where they are."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from pasargad.orders.models import Order, OrderLine
from pasargad.shipping.models import ShippingMethod


class Shipment(models.Model):
    """One parcel of an order, which may have several.

    `BUYING` is stored before a carrier is asked for a label: what is left in it has an unknown outcome, and is asked
    about, never bought again blindly.
    """

    class State(models.TextChoices):
        PREPARED = "prepared", _("Being packed")
        BUYING = "buying", _("Label ordered")
        LABELLED = "labelled", _("Labelled")
        IN_TRANSIT = "in_transit", _("On its way")
        PROBLEM = "problem", _("Held up")
        DELIVERED = "delivered", _("Delivered")
        RETURNED = "returned", _("Came back")
        CANCELLED = "cancelled", _("Cancelled")

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="shipments")
    carrier = models.CharField(max_length=10, choices=ShippingMethod.Carrier, default=ShippingMethod.Carrier.OWN)
    state = models.CharField(max_length=10, choices=State, default=State.PREPARED)
    service = models.CharField(max_length=60, blank=True)
    grams = models.PositiveIntegerField("weight (g)", default=0)
    length_mm = models.PositiveIntegerField("length (mm)", default=0)
    width_mm = models.PositiveIntegerField("width (mm)", default=0)
    height_mm = models.PositiveIntegerField("height (mm)", default=0)
    rate_id = models.CharField(max_length=64, blank=True, editable=False)
    provider_id = models.CharField(max_length=64, null=True, blank=True, unique=True, editable=False)
    # What the carrier calls itself where its parcels are tracked, for example usps.
    tracking_carrier = models.CharField(max_length=40, blank=True)
    tracking_number = models.CharField(max_length=64, blank=True)
    tracking_url = models.URLField(max_length=300, blank=True)
    label_url = models.URLField(max_length=1000, blank=True, editable=False)
    cost_minor = models.PositiveIntegerField("what it cost us (minor units)", default=0, editable=False)
    currency = models.CharField(max_length=3, blank=True, editable=False)
    error = models.CharField(max_length=300, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    sent_at = models.DateTimeField(null=True, blank=True, editable=False)
    delivered_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["id"]
        verbose_name = "parcel"
        indexes = [
            models.Index(fields=["tracking_number"], condition=~Q(tracking_number=""), name="shipments_tracking"),
            models.Index(fields=["updated_at"], condition=Q(state="buying"), name="shipments_buying"),
            models.Index(fields=["-created_at", "-id"], name="shipments_newest"),
        ]

    def __str__(self) -> str:
        return f"Parcel {self.pk} of {self.order_id}"

    @property
    def reference(self) -> str:
        """What names this parcel at carriers."""
        return f"shipment:{self.pk}"


class ShipmentLine(models.Model):
    shipment = models.ForeignKey(Shipment, on_delete=models.CASCADE, related_name="lines")
    order_line = models.ForeignKey(OrderLine, on_delete=models.PROTECT, related_name="shipped")
    quantity = models.PositiveIntegerField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["shipment", "order_line"], name="shipments_line_once"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="shipments_line_quantity"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} x {self.order_line_id}"


class TrackingEvent(models.Model):
    """What a carrier told of a parcel; told again, it is the same event."""

    shipment = models.ForeignKey(Shipment, on_delete=models.CASCADE, related_name="events")
    status = models.CharField(max_length=20)
    text = models.CharField(max_length=200, blank=True)
    place = models.CharField(max_length=120, blank=True)
    at = models.DateTimeField()

    class Meta:
        ordering = ["at", "id"]
        constraints = [
            models.UniqueConstraint(fields=["shipment", "at", "status", "text"], name="shipments_event_once")
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.status}"
