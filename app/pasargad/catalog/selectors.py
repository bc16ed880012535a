"""What pages ask of the catalogue, in few queries however many products there are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.db.models import Count, F, Q, QuerySet
from django.db.models.functions import Coalesce

from pasargad import flags
from pasargad.memory import Recent

from .availability import SOLD_OUT, Availability
from .cards import CardRow, Cover, cards
from .models import Category, FormerSlug, Kind, Product, Variant

__all__ = ["SOLD_OUT", "Availability", "Branch", "ProductDetail", "availability_of", "category_tree", "product_detail"]

# The number changes with what is kept: during a deploy two releases read the same cache.
NAVIGATION_KEY = "catalog:tree:2"


# Neither trees nor products are compared by what they say: what was read once is one object, see `_tree_of`.
@dataclass(frozen=True, eq=False)
class Branch:
    """A category with the number of published products in and below it."""

    id: int
    name: str
    slug: str
    count: int
    children: tuple[Branch, ...]


class CategoryName(NamedTuple):
    id: int
    name: str
    slug: str


class VariantRow(NamedTuple):
    sku: str
    name: str
    options: list[Any]
    color: str
    price_minor: int
    currency: str
    pieces: int
    made_to_order: bool
    lead_days: int
    weight_grams: int
    sides_mm: tuple[int, int, int]
    print_minutes: int

    @property
    def available(self) -> Availability:
        # What is made to order is only read while that is on.
        return Availability(0, True, self.lead_days) if self.made_to_order else Availability(self.pieces, False, 0)


@dataclass(frozen=True, eq=False)
class ProductDetail:
    """Everything that a product's own page says of it."""

    id: int
    name: str
    slug: str
    summary: str
    description: str
    material: str
    care: str
    published_at: datetime | None
    rating_sum: int
    rating_count: int
    category: CategoryName
    shape: str
    variants: tuple[VariantRow, ...]
    images: tuple[Cover, ...]
    attributes: tuple[tuple[str, str, str], ...]


def category_tree() -> tuple[Branch, ...]:
    """Return the active categories that hold something, as a tree; one query, kept in the cache for a while."""
    return _recent_tree()


def _tree_kept() -> tuple[Branch, ...]:
    text = cache.get(NAVIGATION_KEY)
    if text is None:
        text = json.dumps([asdict(branch) for branch in _category_tree()])
        cache.set(NAVIGATION_KEY, text, settings.PAGES.navigation_seconds)
    return _tree_of(text)


_recent_tree = Recent(_tree_kept)


@lru_cache(maxsize=8)
def _tree_of(text: str) -> tuple[Branch, ...]:
    """Read a tree; the same text gives the same object, which spares whoever shows it work."""

    def branch(found: dict[str, Any]) -> Branch:
        return Branch(**{**found, "children": tuple(map(branch, found["children"]))})

    return tuple(map(branch, json.loads(text)))


def _category_tree() -> list[Branch]:
    published = Count("products", filter=Q(products__state=Product.State.PUBLISHED))
    rows = list(Category.objects.filter(is_active=True).annotate(published=published).order_by("position", "name"))
    active = {row.pk for row in rows}
    counts = dict.fromkeys(active, 0)
    below: dict[int | None, list[Category]] = {}
    for row in rows:
        below.setdefault(row.parent_id, []).append(row)
        for pk in map(int, filter(None, row.path.split("/"))):
            if pk in counts:
                counts[pk] += row.published

    def branches(parent: int | None) -> tuple[Branch, ...]:
        return tuple(
            Branch(row.pk, row.name, row.slug, counts[row.pk], branches(row.pk))
            for row in below.get(parent, [])
            if counts[row.pk]
        )

    return list(branches(None))


def branch_path(tree: Sequence[Branch], slug: str) -> list[Branch]:
    """Return the branches from the root to `slug`; empty if it is not in the tree."""
    for branch in tree:
        if branch.slug == slug:
            return [branch]
        if below := branch_path(branch.children, slug):
            return [branch, *below]
    return []


def slug_now(kind: Kind, slug: str) -> str | None:
    """Return the present slug of what once had this one; None if it leads nowhere (any more)."""
    former = FormerSlug.objects.filter(kind=kind, slug=slug)
    if kind == Kind.PRODUCT:
        found = former.filter(product__state=Product.State.PUBLISHED).values_list("product__slug", flat=True)
    else:
        found = former.filter(category__is_active=True).values_list("category__slug", flat=True)
    return found.first()


def product_get(slug: str) -> Product:
    """Return a published product with its category; raises Product.DoesNotExist."""
    return Product.objects.published().select_related("category", "cover").get(slug=slug)


DETAIL = """
SELECT p.id, p.name, p.slug, p.summary, p.description, p.material, p.care, p.published_at, p.rating_sum, p.rating_count,
  c.id, c.name, c.slug, coalesce(m.name, ''),
  (SELECT json_agg(json_build_array(v.sku, v.name, v.options, v.color, v.price_minor, v.currency,
      v.on_hand - v.reserved, v.made_to_order, v.lead_days, v.weight_grams,
      json_build_array(v.width_mm, v.depth_mm, v.height_mm), v.print_minutes)
      ORDER BY v.position, v.id)
    FROM catalog_variant v WHERE v.product_id = p.id AND v.is_active AND (NOT v.made_to_order OR %s))::text,
  (SELECT json_agg(json_build_array(i.digest, i.alt, i.width, i.height, i.color, i.renditions::text)
      ORDER BY i.position, i.id)
    FROM catalog_productimage i WHERE i.product_id = p.id)::text,
  (SELECT json_agg(json_build_array(a.name, coalesce(o.value, nullif(s.text, ''),
      trim_scale(s.number)::text || CASE WHEN a.unit = '' THEN '' ELSE ' ' || a.unit END), coalesce(v.sku, ''))
      ORDER BY a.position, a.name, s.id)
    FROM catalog_attributevalue s JOIN catalog_attribute a ON a.id = s.attribute_id
    LEFT JOIN catalog_attributechoice o ON o.id = s.choice_id LEFT JOIN catalog_variant v ON v.id = s.variant_id
    WHERE s.product_id = p.id)::text
FROM catalog_product p JOIN catalog_category c ON c.id = p.category_id
LEFT JOIN catalog_productmodel m ON m.product_id = p.id
WHERE p.slug = %s AND p.state = 'published'
"""


def product_detail(slug: str) -> ProductDetail | None:
    """Return a published product with all that its page shows, or None: one query."""
    with connection.cursor() as cursor:
        cursor.execute(DETAIL, [flags.is_on("made_to_order"), slug])
        row = cursor.fetchone()
    return None if row is None else _detail_of(row)


@lru_cache(maxsize=500)
def _detail_of(row: tuple[Any, ...]) -> ProductDetail:
    """Read a product; the same row gives the same object, as with trees."""
    variants, images, attributes = (json.loads(text) if text else [] for text in row[14:17])
    return ProductDetail(
        *row[:10],
        category=CategoryName(*row[10:13]),
        shape=row[13],
        variants=tuple(VariantRow(*values[:10], tuple(values[10]), values[11]) for values in variants),
        images=tuple(Cover(*values) for values in images),
        attributes=tuple(tuple(values) for values in attributes),
    )


def cards_related(product_id: int, category_id: int, count: int) -> list[CardRow]:
    """Return others of the same category, newest first."""
    wanted = (
        "SELECT p.id FROM catalog_product p WHERE p.category_id = %s AND p.state = 'published' AND p.id <> %s "
        "ORDER BY p.published_at DESC, p.id DESC LIMIT %s"
    )
    return cards(wanted, [category_id, product_id, count])


def availability_of(variant: Variant) -> Availability:
    if variant.made_to_order:
        return Availability(0, flags.is_on("made_to_order"), variant.lead_days)
    return Availability(variant.available, False, 0)


def variants_low() -> QuerySet[Variant]:
    """Return what should be printed again: variants with a threshold of their own, or the shop's, or fewer pieces."""
    threshold = Coalesce(F("low_stock_from"), settings.SHOP.low_stock_from)
    low = Variant.objects.filter(is_active=True, made_to_order=False, product__state=Product.State.PUBLISHED)
    return low.annotate(left=F("on_hand") - F("reserved"), threshold=threshold).filter(left__lte=F("threshold"))
