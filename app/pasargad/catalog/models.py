"""What is sold: a tree of categories, products, their variants (what one can put in a cart), pictures and stock."""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex, GistIndex
from django.contrib.postgres.search import SearchVectorField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Func, Q, Value
from django.utils.translation import gettext_lazy as _

from pasargad.counters import Counting

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


class Product(Counting):
    """`price_minor` and `price_to_minor` repeat the range of the variants' prices, so that lists need no join."""

    COUNTERS = frozenset({"rating_sum", "rating_count"})

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
    # Of approved reviews; only `reviews.services` changes them, by differences, in the transaction of the review.
    rating_sum = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    rating_count = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = ProductQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["state", "-published_at", "-id"], name="catalog_product_newest"),
            models.Index(fields=["state", "price_minor", "id"], name="catalog_product_price"),
            models.Index(fields=["category", "state", "-published_at", "-id"], name="catalog_product_category"),
            models.Index(fields=["-published_at", "-id"], condition=Q(featured=True), name="catalog_product_featured"),
            models.Index(fields=["state", "name", "id"], name="catalog_product_name"),
            models.Index(fields=["category", "state", "price_minor", "id"], name="catalog_product_near"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(published_at__isnull=False) | ~Q(state="published"),
                name="catalog_product_published_at",
                violation_error_message="A published product needs the time of its publication.",
            ),
            models.CheckConstraint(
                condition=Q(rating_sum__gte=F("rating_count"), rating_sum__lte=F("rating_count") * 5),
                name="catalog_product_rating",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Variant(Counting):
    """What is put in a cart: one SKU. Made-to-order goods are printed after the order and hold no stock."""

    COUNTERS = frozenset({"on_hand", "reserved"})

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
    lead_from_print_time = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Work the lead time out from the print time and the workshop's capacity",
    )
    low_stock_from = models.PositiveIntegerField(
        null=True, blank=True, help_text="At so many pieces or fewer, print more; empty: the shop's own threshold"
    )
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


class Kind(models.TextChoices):
    PRODUCT = "product", "Product"
    CATEGORY = "category", "Category"


class FormerSlug(models.Model):
    """An address that once led to a product or category, and still does until somebody else takes it.

    Triggers of the database write these rows, so that no way of changing a slug can forget it. A row names what it
    leads to, not another address: chains cannot arise.
    """

    kind = models.CharField(max_length=10, choices=Kind)
    slug = models.SlugField(max_length=120)
    product = models.ForeignKey(Product, on_delete=models.CASCADE, null=True, related_name="former_slugs")
    category = models.ForeignKey(Category, on_delete=models.CASCADE, null=True, related_name="former_slugs")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind", "slug"], name="catalog_formerslug_once"),
            models.CheckConstraint(
                condition=Q(kind="product", product__isnull=False, category__isnull=True)
                | Q(kind="category", product__isnull=True, category__isnull=False),
                name="catalog_formerslug_target",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.slug}"


class Attribute(models.Model):
    """Something that can be said of goods, such as finish or height; `code` names it in addresses of lists."""

    class Type(models.TextChoices):
        TEXT = "text", "Text"
        NUMBER = "number", "Number"
        CHOICE = "choice", "One of a list"

    code = models.SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=60)
    type = models.CharField(max_length=10, choices=Type)
    unit = models.CharField(max_length=12, blank=True, help_text="Of numbers, for example mm or h")
    is_facet = models.BooleanField(default=False, help_text="Offer it as a filter of lists")
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["position", "name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(unit="") | Q(type="number"),
                name="catalog_attribute_unit",
                violation_error_message="Only numbers have a unit.",
            )
        ]

    def __str__(self) -> str:
        return self.name


class AttributeChoice(models.Model):
    attribute = models.ForeignKey(Attribute, on_delete=models.CASCADE, related_name="choices")
    value = models.CharField(max_length=60)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["position", "value"]
        constraints = [models.UniqueConstraint(fields=["attribute", "value"], name="catalog_choice_once")]

    def __str__(self) -> str:
        return self.value


class AttributeValue(models.Model):
    """What an attribute says of a product, or of one of its variants. The column follows from the attribute's type."""

    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="attribute_values")
    variant = models.ForeignKey(
        Variant, on_delete=models.CASCADE, null=True, blank=True, related_name="attribute_values"
    )
    attribute = models.ForeignKey(Attribute, on_delete=models.PROTECT, related_name="values")
    text = models.CharField(max_length=60, blank=True)
    number = models.DecimalField(max_digits=12, decimal_places=3, null=True, blank=True)
    choice = models.ForeignKey(AttributeChoice, on_delete=models.PROTECT, null=True, blank=True)

    class Meta:
        ordering = ["attribute__position", "attribute__name", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["product", "variant", "attribute"], name="catalog_value_once", nulls_distinct=False
            ),
            models.CheckConstraint(
                condition=(~Q(text="") & Q(number__isnull=True, choice__isnull=True))
                | Q(text="", number__isnull=False, choice__isnull=True)
                | Q(text="", number__isnull=True, choice__isnull=False),
                name="catalog_value_one",
                violation_error_message="Give exactly one value.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.attribute_id}: {self.text or self.number or self.choice_id}"

    def clean(self) -> None:
        """Hold the value against the attribute's type."""
        kinds = Attribute.Type
        if self.attribute_id is None:
            return
        given = {
            kinds.TEXT: bool(self.text),
            kinds.NUMBER: self.number is not None,
            kinds.CHOICE: self.choice_id is not None,
        }
        wanted = kinds(self.attribute.type)
        if [kind for kind, is_given in given.items() if is_given] != [wanted]:
            raise ValidationError({wanted.value: _("This attribute takes a value here, and only here.")})
        if self.choice is not None and self.choice.attribute_id != self.attribute_id:
            raise ValidationError({"choice": _("This choice belongs to another attribute.")})
        if self.variant is not None and self.variant.product_id != self.product_id:
            raise ValidationError({"variant": _("This variant belongs to another product.")})


class Workshop(models.Model):
    """How much the shop can print: one row, edited by staff."""

    printers = models.PositiveSmallIntegerField(default=1, validators=[MinValueValidator(1), MaxValueValidator(1000)])
    minutes_per_day = models.PositiveSmallIntegerField(
        default=480,
        validators=[MinValueValidator(1), MaxValueValidator(1440)],
        help_text="How long each printer prints on a working day",
    )
    finishing_days = models.PositiveSmallIntegerField(
        default=1, validators=[MaxValueValidator(60)], help_text="Working days to cool, clean and check a piece"
    )

    class Meta:
        verbose_name_plural = "workshop"
        constraints = [models.CheckConstraint(condition=Q(pk=1), name="catalog_workshop_one")]

    def __str__(self) -> str:
        return f"{self.printers} printers, {self.minutes_per_day} minutes a day"


def _vector(column: str, weight: str) -> Func:
    """Return an English text vector without accents, by a function that migration 0003 makes."""
    return Func(F(column), Value(weight), function="catalog_vector", output_field=SearchVectorField())


def _joined(*parts: Func) -> Func:
    return Func(*parts, template="(%(expressions)s)", arg_joiner=" || ", output_field=SearchVectorField())


class SearchEntry(models.Model):
    """What is searched and filtered of a product: written by `indexing`, which also mends what others changed."""

    product = models.OneToOneField(Product, on_delete=models.CASCADE, primary_key=True, related_name="search_entry")
    name = models.TextField()
    words = models.TextField()
    body = models.TextField()
    facets = ArrayField(models.TextField())
    indexed_at = models.DateTimeField()
    document = models.GeneratedField(
        expression=_joined(_vector("name", "A"), _vector("words", "B"), _vector("body", "D")),
        output_field=SearchVectorField(),
        db_persist=True,
    )

    class Meta:
        verbose_name_plural = "search entries"
        indexes = [
            GinIndex(fields=["document"], name="catalog_search_document"),
            GinIndex(fields=["facets"], name="catalog_search_facets"),
        ]

    def __str__(self) -> str:
        return self.name


class SearchWord(models.Model):
    """A word that some product has: what a misspelt word of a search is compared with."""

    word = models.CharField(max_length=40, primary_key=True)

    class Meta:
        indexes = [
            GistIndex(fields=["word"], name="catalog_word_similar", opclasses=["gist_trgm_ops"]),
            models.Index(fields=["word"], name="catalog_word_prefix", opclasses=["varchar_pattern_ops"]),
        ]

    def __str__(self) -> str:
        return self.word


class ProductModel(models.Model):
    """A product's shape in three dimensions, for a viewer: a binary glTF file in the media storage."""

    product = models.OneToOneField(Product, on_delete=models.CASCADE, primary_key=True, related_name="shape")
    name = models.CharField(max_length=200)
    size_bytes = models.PositiveIntegerField()
    at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.name
