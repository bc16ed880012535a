"""What pages ask of the catalogue, in few queries however many products there are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from django.conf import settings
from django.core.cache import cache
from django.db.models import Count, Exists, F, IntegerField, Max, Min, OuterRef, Q, QuerySet
from django.db.models.functions import Cast

from .models import Category, Product, ProductImage, Variant

NAVIGATION_KEY = "catalog:tree"

SORTS = {
    "newest": ("-published_at", "-id"),
    "price": ("price_minor", "id"),
    "-price": ("-price_minor", "-id"),
    "name": ("name", "id"),
}


@dataclass
class Branch:
    """A category with the number of published products in and below it."""

    id: int
    name: str
    slug: str
    count: int = 0
    children: list[Branch] = field(default_factory=list)


@dataclass(frozen=True)
class Availability:
    """Of one variant or the best of a product: pieces in stock, or made to order within working days."""

    left: int
    made_to_order: bool
    lead_days: int


SOLD_OUT = Availability(0, False, 0)


@dataclass(frozen=True)
class Listing:
    products: list[Product]
    total: int


def category_tree() -> list[Branch]:
    """Return the active categories that hold something, as a tree; one query, kept in the cache for a while."""
    tree = cache.get(NAVIGATION_KEY)
    if tree is None:
        tree = _category_tree()
        cache.set(NAVIGATION_KEY, tree, settings.PAGES.navigation_seconds)
    return tree


def _category_tree() -> list[Branch]:
    published = Count("products", filter=Q(products__state=Product.State.PUBLISHED))
    rows = Category.objects.filter(is_active=True).annotate(published=published).order_by("path")
    branches: dict[int, Branch] = {}
    roots: list[tuple[int, Branch]] = []
    ordered = sorted(rows, key=lambda row: (row.path.count("/"), row.position, row.name))
    for row in ordered:
        branch = branches[row.pk] = Branch(row.pk, row.name, row.slug)
        above = branches.get(row.parent_id) if row.parent_id else None
        if above:
            above.children.append(branch)
        elif row.parent_id is None:
            roots.append((row.pk, branch))
        for pk in map(int, filter(None, row.path.split("/"))):
            if pk in branches:
                branches[pk].count += row.published
    return _without_empty([branch for _, branch in roots])


def _without_empty(branches: list[Branch]) -> list[Branch]:
    kept = [branch for branch in branches if branch.count]
    for branch in kept:
        branch.children = _without_empty(branch.children)
    return kept


def branch_path(tree: list[Branch], slug: str) -> list[Branch]:
    """Return the branches from the root to `slug`; empty if it is not in the tree."""
    for branch in tree:
        if branch.slug == slug:
            return [branch]
        if below := branch_path(branch.children, slug):
            return [branch, *below]
    return []


def products_list(
    *, category: Category | None = None, query: str = "", only_available: bool = False, sort: str = "newest",
    page: int = 1, size: int = 24,
) -> Listing:  # fmt: skip
    """Return one page of published products with their covers: two queries."""
    found = Product.objects.published()
    if category:
        found = found.filter(category__path__startswith=category.path)
    for word in query.split()[:6]:
        found = found.filter(Q(name__icontains=word) | Q(summary__icontains=word) | Q(material__icontains=word))
    if only_available:
        found = found.filter(Exists(_buyable().filter(product=OuterRef("pk"))))
    total = found.count()
    first = (page - 1) * size
    rows = _with_cover(found).order_by(*SORTS[sort])[first : first + size] if first < total else []
    return Listing(list(rows), total)


def products_featured(count: int) -> list[Product]:
    featured = Product.objects.published().filter(featured=True)
    return list(_with_cover(featured).order_by("-published_at", "-id")[:count])


def products_newest(count: int, *, besides: Iterable[Product] = ()) -> list[Product]:
    """Return what was published last, without what is shown elsewhere."""
    others = Product.objects.published().exclude(pk__in=[product.pk for product in besides])
    return list(_with_cover(others).order_by("-published_at", "-id")[:count])


def products_related(product: Product, count: int) -> list[Product]:
    """Return others of the same category, newest first."""
    others = Product.objects.published().filter(category_id=product.category_id).exclude(pk=product.pk)
    return list(_with_cover(others).order_by("-published_at", "-id")[:count])


def product_get(slug: str) -> Product:
    """Return a published product with its category; raises Product.DoesNotExist."""
    return Product.objects.published().select_related("category", "cover").get(slug=slug)


def variants_of(product: Product) -> list[Variant]:
    """Return what of a product can be shown, in order."""
    variants = Variant.objects.filter(product=product, is_active=True)
    if not settings.FEATURES.made_to_order:
        variants = variants.filter(made_to_order=False)
    return list(variants)


def images_of(product: Product) -> list[ProductImage]:
    return list(ProductImage.objects.filter(product=product))


def availability(products: Iterable[Product]) -> dict[int, Availability]:
    """Return the best that each product's variants offer: one query for all of them."""
    rows = (
        Variant.objects.filter(product__in=[product.pk for product in products], is_active=True)
        .values("product_id")
        .annotate(
            left=Max(F("on_hand") - F("reserved"), filter=Q(made_to_order=False)),
            to_order=Max(Cast("made_to_order", IntegerField())),
            lead=Min("lead_days", filter=Q(made_to_order=True)),
        )
    )
    may_print = settings.FEATURES.made_to_order
    return {
        row["product_id"]: Availability(row["left"] or 0, bool(row["to_order"]) and may_print, row["lead"] or 0)
        for row in rows
    }


def availability_of(variant: Variant) -> Availability:
    if variant.made_to_order:
        return Availability(0, settings.FEATURES.made_to_order, variant.lead_days)
    return Availability(variant.available, False, 0)


def _buyable() -> QuerySet[Variant]:
    in_stock = Q(made_to_order=False, on_hand__gt=F("reserved"))
    return Variant.objects.filter(in_stock | Q(made_to_order=True), is_active=True)


def _with_cover(products: QuerySet[Product]) -> QuerySet[Product]:
    """Leave out the long texts that no card shows."""
    return products.select_related("cover").defer("description", "care")
