"""What makes an order cheaper: promotions, the coupons that open them, and who used which how often."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from pasargad.catalog.models import Category, Product
from pasargad.counters import Counting

CODE = RegexValidator(r"^[A-Z0-9-]{3,40}$", "Capital letters, digits and dashes, at least three.")


class Promotion(models.Model):
    """One way to save. Promotions apply by priority, each to what the earlier ones left.

    One that does not combine never applies beside another: either it alone, or all that combine, whichever saves more.
    """

    class Kind(models.TextChoices):
        PERCENTAGE = "percentage", _("Percentage off")
        FIXED = "fixed", _("Amount off")
        FREE_SHIPPING = "free_shipping", _("Free shipping")
        BUY_X_GET_Y = "buy_x_get_y", _("Buy some, get the cheapest cheaper")

    name = models.CharField(max_length=80, help_text="As shoppers see it: Spring sale")
    kind = models.CharField(max_length=15, choices=Kind)
    is_automatic = models.BooleanField("campaign", default=False, help_text="Applies by itself, without a coupon")
    is_active = models.BooleanField(default=True)
    basis_points = models.PositiveIntegerField(
        "percentage in hundredths",
        default=0,
        validators=[MaxValueValidator(10_000)],
        help_text="1500 is 15 %. For buy some, get the cheapest cheaper: 10000 is free.",
    )
    amount_minor = models.PositiveIntegerField("amount off (minor units)", default=0)
    buy_quantity = models.PositiveSmallIntegerField("pieces to buy", default=0)
    get_quantity = models.PositiveSmallIntegerField("pieces that get cheaper", default=0)
    products = models.ManyToManyField(Product, blank=True, related_name="+")
    categories = models.ManyToManyField(
        Category, blank=True, related_name="+", help_text="Everything below counts too. No product, no category: all."
    )
    minimum_minor = models.PositiveIntegerField(
        "order of at least (minor units)", default=0, help_text="All goods, before discounts"
    )
    first_order_only = models.BooleanField(default=False)
    logged_in_only = models.BooleanField(default=False)
    per_customer_limit = models.PositiveSmallIntegerField(
        "uses of one customer",
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(1000)],
        help_text="Over all coupons of this promotion. Empty: no limit.",
    )
    starts_at = models.DateTimeField(null=True, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True)
    priority = models.SmallIntegerField(default=0, help_text="Lower applies first")
    combinable = models.BooleanField("combines with others", default=False)

    class Meta:
        ordering = ["priority", "id"]
        constraints = [
            models.CheckConstraint(condition=Q(basis_points__lte=10_000), name="promotions_percentage"),
            models.CheckConstraint(
                condition=Q(starts_at__isnull=True) | Q(ends_at__isnull=True) | Q(starts_at__lt=F("ends_at")),
                name="promotions_dates",
                violation_error_message="It must start before it ends.",
            ),
        ]
        indexes = [models.Index(fields=["id"], condition=Q(is_automatic=True, is_active=True), name="promotions_live")]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        needed = {
            self.Kind.PERCENTAGE: ("basis_points",),
            self.Kind.FIXED: ("amount_minor",),
            self.Kind.BUY_X_GET_Y: ("basis_points", "buy_quantity", "get_quantity"),
        }
        missing = (
            [name for name in needed.get(self.Kind(self.kind), ()) if not getattr(self, name)] if self.kind else []
        )
        if missing:
            raise ValidationError(dict.fromkeys(missing, "This kind of promotion needs a number here."))


class Coupon(Counting):
    """A code that opens a promotion. `used` counts what is redeemed and not released."""

    COUNTERS = frozenset({"used"})

    promotion = models.ForeignKey(Promotion, on_delete=models.PROTECT, related_name="coupons")
    code = models.CharField(max_length=40, unique=True, validators=[CODE])
    limit = models.PositiveIntegerField("uses in all", null=True, blank=True, help_text="Empty: no limit")
    used = models.PositiveIntegerField(default=0, editable=False)
    is_active = models.BooleanField(default=True)

    class Meta:
        ordering = ["code"]
        constraints = [
            # The last line of defence; the conditional UPDATE refuses before it has to.
            models.CheckConstraint(condition=Q(limit__isnull=True) | Q(used__lte=F("limit")), name="promotions_limit"),
        ]

    def __str__(self) -> str:
        return self.code

    def clean(self) -> None:
        if self.limit is not None and self.limit < self.used:
            raise ValidationError({"limit": f"It was used {self.used} times already."})


class Redemption(models.Model):
    """One use by one order (`reference`). `number` counts a customer's uses where those are limited."""

    class State(models.TextChoices):
        ACTIVE = "active", "Used"
        RELEASED = "released", "Given back"
        # The order was paid after it expired, when others had used the coupon up: its price was promised.
        BEYOND = "beyond", "Beyond the limit"

    promotion = models.ForeignKey(Promotion, on_delete=models.PROTECT, related_name="redemptions")
    coupon = models.ForeignKey(Coupon, on_delete=models.PROTECT, null=True, blank=True, related_name="redemptions")
    reference = models.CharField(max_length=60)
    customer_key = models.CharField(max_length=64)
    number = models.PositiveSmallIntegerField(null=True, blank=True)
    amount_minor = models.PositiveIntegerField(help_text="What it saved, shipping included")
    state = models.CharField(max_length=10, choices=State, default=State.ACTIVE)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["reference", "promotion"], name="promotions_redeemed_once"),
            models.UniqueConstraint(
                fields=["promotion", "customer_key", "number"],
                condition=Q(state="active"),
                name="promotions_customer_number",
            ),
        ]
        indexes = [
            models.Index(fields=["promotion", "customer_key"], name="promotions_customer"),
        ]

    def __str__(self) -> str:
        return f"{self.promotion_id} by {self.reference}"
