"""Orders: what was bought at which price, frozen when it was placed, and everything that happened since."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Upper
from django.utils.translation import gettext_lazy as _

from pasargad.catalog.models import Variant
from pasargad.catalog.money import Money

# Where mails about an order go whose buyer was erased: to nobody.
ERASED_EMAIL = "erased@privacy.invalid"
JSON: models.JSONField[Any, Any] = models.JSONField()


class Status(models.TextChoices):
    AWAITING_PAYMENT = "awaiting_payment", _("Awaiting payment")
    PAID = "paid", _("Paid")
    PROCESSING = "processing", _("In production")
    READY_FOR_PICKUP = "ready_for_pickup", _("Ready for pickup")
    SHIPPED = "shipped", _("Shipped")
    DELIVERED = "delivered", _("Delivered")
    EXPIRED = "expired", _("Expired")
    CANCELLED = "cancelled", _("Cancelled")
    REFUND_DUE = "refund_due", _("Refund due")
    REFUNDED = "refunded", _("Refunded")


# The only ways an order may go. Expired and cancelled orders can still turn out to be paid: money comes first.
# Of orders that count as paid, only those that cost nothing are cancelled (`order_cancel` sees to it).
TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.AWAITING_PAYMENT: frozenset({Status.PAID, Status.EXPIRED, Status.CANCELLED, Status.REFUND_DUE}),
    Status.EXPIRED: frozenset({Status.PAID, Status.REFUND_DUE}),
    Status.CANCELLED: frozenset({Status.REFUND_DUE}),
    Status.PAID: frozenset(
        {Status.PROCESSING, Status.READY_FOR_PICKUP, Status.SHIPPED, Status.REFUND_DUE, Status.CANCELLED}
    ),
    Status.PROCESSING: frozenset({Status.READY_FOR_PICKUP, Status.SHIPPED, Status.REFUND_DUE, Status.CANCELLED}),
    Status.READY_FOR_PICKUP: frozenset({Status.DELIVERED, Status.REFUND_DUE, Status.CANCELLED}),
    Status.SHIPPED: frozenset({Status.DELIVERED, Status.REFUND_DUE}),
    Status.DELIVERED: frozenset({Status.REFUND_DUE}),
    Status.REFUND_DUE: frozenset({Status.REFUNDED}),
    # A bank can send a refund back long after it looked fine.
    Status.REFUNDED: frozenset({Status.REFUND_DUE}),
}


# Nobody paid: what was ordered is free again.
GIVEN_UP = (Status.EXPIRED, Status.CANCELLED)


class Delivery(models.TextChoices):
    SHIPPING = "shipping", _("Send it to me")
    PICKUP = "pickup", _("I collect it")


# What happens only to orders of one delivery.
ONLY_FOR = {Status.READY_FOR_PICKUP: Delivery.PICKUP, Status.SHIPPED: Delivery.SHIPPING}


class Order(models.Model):
    """Money in minor units of `currency`. `token` (128 bits) opens the order's page to whoever has the link."""

    number = models.CharField(max_length=20, unique=True)
    token = models.CharField(max_length=32, unique=True)
    idempotency_key = models.CharField(max_length=120, unique=True)
    request_digest = models.CharField(max_length=64)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True)
    status = models.CharField(max_length=20, choices=Status, default=Status.AWAITING_PAYMENT)

    email = models.EmailField(max_length=254)
    name = models.CharField(max_length=120)
    phone = models.CharField(max_length=40, blank=True)
    delivery = models.CharField(max_length=10, choices=Delivery)
    street = models.CharField(max_length=120, blank=True)
    street2 = models.CharField(max_length=120, blank=True)
    city = models.CharField(max_length=80, blank=True)
    state = models.CharField(max_length=80, blank=True)
    zip = models.CharField(max_length=20, blank=True)
    country = models.CharField(max_length=2, blank=True)
    note = models.CharField(max_length=500, blank=True)
    # What the shop writes about it is in the language it was made in; "" is the shop's own.
    language = models.CharField(max_length=10, blank=True, default="", db_default="")

    # The customer for limits of promotions, and how the goods travel: frozen like the prices.
    customer_key = models.CharField(max_length=64, blank=True, default="", db_default="", editable=False)
    shipping_zone = models.CharField(max_length=80, blank=True, default="", db_default="")
    shipping_method = models.CharField(max_length=60, blank=True, default="", db_default="")
    shipping_carrier = models.CharField(max_length=10, blank=True, default="", db_default="")
    shipping_service = models.CharField(max_length=60, blank=True, default="", db_default="")
    shipping_grams = models.PositiveIntegerField(default=0, db_default=0)
    pickup_address: models.JSONField[Any, Any] = models.JSONField(default=list, db_default=Value([], JSON), blank=True)

    currency = models.CharField(max_length=3)
    subtotal_minor = models.PositiveIntegerField(help_text="Goods before discounts")
    discount_minor = models.PositiveIntegerField(default=0, db_default=0, help_text="Taken off the goods")
    coupon_code = models.CharField(max_length=40, blank=True, default="", db_default="")
    # [{"promotion", "name", "code", "minor", "shipping_minor"}] and [{"name", "ppm", "base_minor", "minor"}].
    discounts: models.JSONField[Any, Any] = models.JSONField(default=list, db_default=Value([], JSON), blank=True)
    taxes: models.JSONField[Any, Any] = models.JSONField(default=list, db_default=Value([], JSON), blank=True)
    shipping_tax_minor = models.PositiveIntegerField(default=0, db_default=0)
    shipping_minor = models.PositiveIntegerField(help_text="After discounts")
    tax_minor = models.PositiveIntegerField()
    tax_inclusive = models.BooleanField()
    total_minor = models.PositiveIntegerField()
    refunded_minor = models.PositiveIntegerField(default=0, db_default=0, editable=False)

    placed_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    paid_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-placed_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    tax_inclusive=True,
                    total_minor=F("subtotal_minor") - F("discount_minor") + F("shipping_minor"),
                )
                | Q(
                    tax_inclusive=False,
                    total_minor=F("subtotal_minor") - F("discount_minor") + F("shipping_minor") + F("tax_minor"),
                ),
                name="orders_order_sum",
            ),
            models.CheckConstraint(condition=Q(discount_minor__lte=F("subtotal_minor")), name="orders_order_discount"),
        ]
        indexes = [
            models.Index(fields=["-placed_at", "-id"], name="orders_order_newest"),
            models.Index(fields=["expires_at"], condition=Q(status="awaiting_payment"), name="orders_order_expiry"),
            models.Index(fields=["status"], condition=~Q(status="delivered"), name="orders_order_open"),
            models.Index(Upper("email"), condition=Q(user=None), name="orders_order_guest_email"),
            models.Index(fields=["customer_key"], condition=~Q(customer_key=""), name="orders_order_customer"),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def total(self) -> Money:
        return Money(self.total_minor, self.currency)

    @property
    def reference(self) -> str:
        """What names this order in the stock's books."""
        return f"order:{self.pk}"

    def may_become(self, to: Status) -> bool:
        """Whether an order of this delivery may go from its status to another."""
        return to in TRANSITIONS[Status(self.status)] and ONLY_FOR.get(to, self.delivery) == self.delivery


class OrderLine(models.Model):
    """Frozen: later changes of the product change nothing here."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines")
    variant = models.ForeignKey(Variant, on_delete=models.PROTECT, related_name="+")
    sku = models.CharField(max_length=40)
    product_name = models.CharField(max_length=120)
    variant_name = models.CharField(max_length=120, blank=True)
    options: models.JSONField[Any, Any] = models.JSONField(default=list)
    quantity = models.PositiveIntegerField()
    # Pieces whose money was given back, returns left out: they count for themselves.
    refunded_quantity = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    # Those of them that had left the house: nothing of what is still to be sent is held back for them.
    refunded_sent_quantity = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    unit_price_minor = models.PositiveIntegerField()
    total_minor = models.PositiveIntegerField(help_text="Before discounts and added tax")
    discount_minor = models.PositiveIntegerField(default=0, db_default=0, help_text="This line's part of all discounts")
    tax_minor = models.PositiveIntegerField(default=0, db_default=0, help_text="This line's part of the tax")
    # [{"name", "ppm", "minor"}]
    tax_rates: models.JSONField[Any, Any] = models.JSONField(default=list, db_default=Value([], JSON), blank=True)
    weight_grams = models.PositiveIntegerField(default=0)
    made_to_order = models.BooleanField(default=False)
    lead_days = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["order", "variant"], name="orders_line_once"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="orders_line_quantity"),
            models.CheckConstraint(
                condition=Q(total_minor=F("quantity") * F("unit_price_minor")), name="orders_line_total"
            ),
            models.CheckConstraint(condition=Q(discount_minor__lte=F("total_minor")), name="orders_line_discount"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} x {self.sku}"

    @property
    def owed(self) -> int:
        """How many pieces the buyer gets by parcel: all but those refunded before they left."""
        return max(0, self.quantity - self.refunded_quantity + self.refunded_sent_quantity)


class OrderEvent(models.Model):
    """One step of an order's history; replaying the steps gives its status."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="events")
    before = models.CharField(max_length=20, choices=Status, blank=True)
    after = models.CharField(max_length=20, choices=Status)
    actor = models.CharField(max_length=100)
    note = models.CharField(max_length=300, blank=True)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.before or 'new'} → {self.after}"


# Django looks for models here; theirs is a file of their own.
from .return_models import ReturnEvent, ReturnLine, ReturnRequest  # noqa: E402, F401
