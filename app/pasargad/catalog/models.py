"""What is sold: a tree of categories, products, their variants (what one can put in a cart), pictures and stock."""

from __future__ import annotations

from typing import Any

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Q

from .money import Money

HEX_COLOR = RegexValidator(r"^#[0-9a-f]{6}$", "Write a colour as #rrggbb.")


class Category(models.Model):
    """A node of the tree; `path` is `/1/4/` for category 4 below 1, so that a subtree is one prefix."""

    name = models.CharField(max_length=80)
    slug = models.SlugField(max_length=80, unique=True)
    description = models.TextField(blank=True)
    parent = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="children")
    path = models.CharField(max_length=255, editable=False, default="")
    position = models.PositiveSmallIntegerField(default=0)
    is_active = models.BooleanField(default=True)

    class Meta:
        ordering = ["position", "name"]
        verbose_name_plural = "categories"
        indexes = [models.Index(fields=["path"], name="catalog_category_prefix", opclasses=["varchar_pattern_ops"])]

    def __str__(self) -> str:
        return self.name


class ProductQuerySet(models.QuerySet["Product"]):
    def published(self) -> ProductQuerySet:
        return self.filter(state=Product.State.PUBLISHED)


class Product(models.Model):
    """`price_minor` and `price_to_minor` repeat the range of the variants' prices, so that lists need no join."""

    class State(models.TextChoices):
        DRAFT = "draft", "Draft"
        PUBLISHED = "published", "Published"
        ARCHIVED = "archived", "Archived"

    name = models.CharField(max_length=120)
    slug = models.SlugField(max_length=120, unique=True)
    summary = models.CharField(max_length=200, blank=True)
    description = models.TextField(blank=True)
    category = models.ForeignKey(Category, on_delete=models.PROTECT, related_name="products")
    material = models.CharField(max_length=60, blank=True)
    care = models.TextField(blank=True)
    state = models.CharField(max_length=10, choices=State, default=State.DRAFT)
    featured = models.BooleanField(default=False)
    published_at = models.DateTimeField(null=True, blank=True)
    price_minor = models.PositiveIntegerField(default=0, editable=False)
    price_to_minor = models.PositiveIntegerField(default=0, editable=False)
    cover = models.ForeignKey(
        "ProductImage", on_delete=models.SET_NULL, null=True, blank=True, related_name="+", editable=False
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = ProductQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["state", "-published_at", "-id"], name="catalog_product_newest"),
            models.Index(fields=["state", "price_minor", "id"], name="catalog_product_price"),
            models.Index(fields=["category", "state", "-published_at", "-id"], name="catalog_product_category"),
            models.Index(fields=["-published_at", "-id"], condition=Q(featured=True), name="catalog_product_featured"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(published_at__isnull=False) | ~Q(state="published"),
                name="catalog_product_published_at",
                violation_error_message="A published product needs the time of its publication.",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Variant(models.Model):
    """What is put in a cart: one SKU. Made-to-order goods are printed after the order and hold no stock."""

    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="variants")
    sku = models.CharField(
        max_length=40, unique=True, validators=[RegexValidator(r"^[A-Z0-9-]+$", "Capital letters, digits and dashes.")]
    )
    name = models.CharField(max_length=120, blank=True, help_text="What tells it from its siblings: Sand, large")
    options: models.JSONField[Any, Any] = models.JSONField(
        default=list, blank=True, help_text='Pairs in order, for example [["Colour", "Sand"], ["Size", "Large"]]'
    )
    color = models.CharField(max_length=7, blank=True, validators=[HEX_COLOR])
    price_minor = models.PositiveIntegerField()
    currency = models.CharField(max_length=3)
    weight_grams = models.PositiveIntegerField(default=0)
    width_mm = models.PositiveIntegerField(default=0)
    depth_mm = models.PositiveIntegerField(default=0)
    height_mm = models.PositiveIntegerField(default=0)
    print_minutes = models.PositiveIntegerField(default=0)
    made_to_order = models.BooleanField(default=False)
    lead_days = models.PositiveSmallIntegerField(default=0, help_text="Working days until a piece made to order leaves")
    on_hand = models.PositiveIntegerField(default=0, editable=False)
    reserved = models.PositiveIntegerField(default=0, editable=False)
    position = models.PositiveSmallIntegerField(default=0)
    is_active = models.BooleanField(default=True)

    class Meta:
        ordering = ["position", "id"]
        constraints = [
            # The last line of defence against selling what is not there; services refuse before it has to.
            models.CheckConstraint(condition=Q(reserved__lte=F("on_hand")), name="catalog_variant_reserved_on_hand"),
            models.CheckConstraint(condition=Q(price_minor__gt=0), name="catalog_variant_price"),
        ]
        indexes = [models.Index(fields=["product", "position"], name="catalog_variant_product")]

    def __str__(self) -> str:
        return self.sku

    @property
    def price(self) -> Money:
        return Money(self.price_minor, self.currency)

    @property
    def available(self) -> int:
        return self.on_hand - self.reserved


class Reservation(models.Model):
    """Goods held for somebody (`reference`, for example an order) until `expires_at`.

    Of each variant, `reserved` equals the sum of its active reservations.
    """

    class State(models.TextChoices):
        ACTIVE = "active", "Active"
        COMMITTED = "committed", "Committed"
        RELEASED = "released", "Released"

    reference = models.CharField(max_length=60)
    variant = models.ForeignKey(Variant, on_delete=models.PROTECT, related_name="reservations")
    quantity = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=State, default=State.ACTIVE)
    expires_at = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(quantity__gt=0), name="catalog_reservation_quantity"),
            models.UniqueConstraint(
                fields=["reference", "variant"], condition=Q(state="active"), name="catalog_reservation_once"
            ),
        ]
        indexes = [models.Index(fields=["expires_at"], condition=Q(state="active"), name="catalog_reservation_expiry")]

    def __str__(self) -> str:
        return f"{self.quantity} x {self.variant_id} for {self.reference}"


class StockMovement(models.Model):
    """Append-only: `on_hand` of a variant is the sum of its movements. A reference moves stock once for each kind."""

    class Kind(models.TextChoices):
        RECEIVED = "received", "Received"
        SOLD = "sold", "Sold"
        RETURNED = "returned", "Returned"
        CORRECTED = "corrected", "Corrected"

    variant = models.ForeignKey(Variant, on_delete=models.PROTECT, related_name="movements")
    kind = models.CharField(max_length=10, choices=Kind)
    quantity = models.IntegerField(help_text="Negative when goods leave")
    reference = models.CharField(max_length=60, blank=True)
    note = models.CharField(max_length=200, blank=True)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(quantity=0), name="catalog_movement_quantity"),
            models.UniqueConstraint(
                fields=["variant", "kind", "reference"], condition=~Q(reference=""), name="catalog_movement_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.quantity:+d} x {self.variant_id}"


class ProductImage(models.Model):
    """A picture; `renditions` is a list of {format, width, height, name} with names in the media storage."""

    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="images")
    variant = models.ForeignKey(Variant, on_delete=models.SET_NULL, null=True, blank=True, related_name="images")
    alt = models.CharField(max_length=200)
    digest = models.CharField(max_length=64, editable=False)
    original = models.CharField(max_length=200, editable=False)
    width = models.PositiveIntegerField(editable=False)
    height = models.PositiveIntegerField(editable=False)
    color = models.CharField(max_length=7, default="#dddddd", validators=[HEX_COLOR], editable=False)
    renditions: models.JSONField[Any, Any] = models.JSONField(default=list, editable=False)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["position", "id"]
        constraints = [models.UniqueConstraint(fields=["product", "digest"], name="catalog_image_once")]

    def __str__(self) -> str:
        return self.alt
