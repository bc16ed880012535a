"""A product as its own page shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.core.files.storage import default_storage
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from pasargad.catalog.selectors import Branch, ProductDetail, VariantRow
from pasargad.memory import worked_out

from . import presenting
from .presenting import Crumb, Picture, Rating, VariantView
from .structured import product_data

TIMES = " \N{MULTIPLICATION SIGN} "


# No two are equal: what is kept by one is found by its identity, which costs nothing however much it says.
@dataclass(frozen=True, eq=False)
class Shown:
    """What a page says of a product, with one of its variants chosen."""

    product: ProductDetail
    variants: tuple[VariantView, ...]
    selected: VariantView
    sold_out: bool
    images: tuple[Picture, ...]
    shape_url: str
    breadcrumbs: tuple[Crumb, ...]
    rating: Rating | None
    facts: tuple[tuple[str, str], ...]
    structured_data: str


def shown(product: ProductDetail, sku: str, way: Sequence[Branch]) -> Shown:
    """Show a product that has variants, with the variant of this number, or the one that a page shows by itself.

    The product says how many pieces are left when it is read: as long as that stays the same, so does all of this.
    """
    chosen = next((variant for variant in product.variants if variant.sku == sku), None)
    chosen = chosen or first_buyable(product.variants)
    return _shown(product, chosen.sku, tuple(way), get_language())


@worked_out(maxsize=500)
def _shown(product: ProductDetail, sku: str, way: tuple[Branch, ...], language: str | None) -> Shown:
    variants = tuple(presenting.variant_view(product.slug, row, row.sku == sku) for row in product.variants)
    pictures = tuple(view for image in product.images if (view := presenting.picture(image)))
    trail = (*presenting.crumbs(way), Crumb(product.name, presenting.product_url(product.slug)))
    return Shown(
        product=product,
        variants=variants,
        selected=next(view for view in variants if view.selected),
        sold_out=not any(view.stock.buyable for view in variants),
        images=pictures,
        shape_url=default_storage.url(product.shape) if product.shape else "",
        breadcrumbs=trail,
        rating=presenting.rating(product.rating_sum, product.rating_count),
        facts=facts_of(product, next(row for row in product.variants if row.sku == sku)),
        structured_data=product_data(product, variants, pictures, trail),
    )


def first_buyable(variants: Sequence[VariantRow]) -> VariantRow:
    """Return the variant that a page shows unless another is asked for."""
    usable = (variant for variant in variants if variant.made_to_order or variant.pieces > 0)
    return next(usable, variants[0])


def facts_of(product: ProductDetail, variant: VariantRow) -> tuple[tuple[str, str], ...]:
    """Return what can be said of a variant, in the order of pages."""
    facts = [(_("Material"), product.material)]
    if all(variant.sides_mm):
        facts.append((_("Size"), _("%(sides)s mm") % {"sides": TIMES.join(map(str, variant.sides_mm))}))
    if variant.weight_grams:
        facts.append((_("Weight"), _("%(number)d g") % {"number": variant.weight_grams}))
    if variant.print_minutes:
        facts.append((_("Print time"), _duration(variant.print_minutes)))
    facts += [(name, value) for name, value, sku in product.attributes if sku in ("", variant.sku)]
    facts.append((_("Article"), variant.sku))
    return tuple((label, value) for label, value in facts if value)


def _duration(minutes: int) -> str:
    hours, rest = divmod(minutes, 60)
    if not hours:
        return _("%(minutes)d min") % {"minutes": rest}
    text = _("%(hours)d h %(minutes)d min") if rest else _("%(hours)d h")
    return text % {"hours": hours, "minutes": rest}
