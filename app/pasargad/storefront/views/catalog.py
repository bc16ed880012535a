"""Pages of the catalogue: the same for everybody, so that shared caches may keep them."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from pasargad.catalog import selectors
from pasargad.catalog.models import Category, Product, Variant

from .. import presenting
from ..caching import shared
from ..forms import AddToCartForm
from ..limits import limited
from ..paging import address, paginate
from ..presenting import Card, Choice, Crumb
from ..structured import product_data

SORT_LABELS = {"newest": "Newest", "price": "Price: low to high", "-price": "Price: high to low", "name": "Name"}
HOME_CARDS = 8
RELATED_CARDS = 4
LONGEST_QUERY = 80
TIMES = " \N{MULTIPLICATION SIGN} "


@shared
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    featured = selectors.products_featured(HOME_CARDS)
    newest = selectors.products_newest(HOME_CARDS, besides=featured)
    found = selectors.availability([*featured, *newest])
    context = {
        "featured": [presenting.card(product, found) for product in featured],
        "newest": [presenting.card(product, found) for product in newest],
        "categories": [presenting.node(branch) for branch in selectors.category_tree()],
    }
    return render(request, "storefront/home.html", context)


@shared
@require_safe
@limited("search", methods=("GET",))
def _search(request: HttpRequest) -> HttpResponse:
    return _list(request, None)


@require_safe
def product_list(request: HttpRequest) -> HttpResponse:
    """All goods, or those that a search finds; searching costs more, so only it is limited."""
    return _search(request) if request.GET.get("q") else _all(request)


@shared
def _all(request: HttpRequest) -> HttpResponse:
    return _list(request, None)


@shared
@require_safe
def category(request: HttpRequest, slug: str) -> HttpResponse:
    found = Category.objects.filter(slug=slug, is_active=True).first()
    if found is None:
        raise Http404
    return _list(request, found)


@shared
@require_safe
def product(request: HttpRequest, slug: str) -> HttpResponse:
    try:
        found = selectors.product_get(slug)
    except Product.DoesNotExist:
        raise Http404 from None
    return product_page(request, found, sku=request.GET.get("variant", ""))


def product_page(
    request: HttpRequest, product: Product, *, sku: str = "", form: AddToCartForm | None = None, status: int = 200
) -> HttpResponse:
    """Show a product; with a form in error, show what was typed."""
    variants = selectors.variants_of(product)
    if not variants:
        raise Http404
    chosen = next((variant for variant in variants if variant.sku == sku), None) or _first_buyable(variants)
    shown = [presenting.variant_view(product, variant, variant is chosen) for variant in variants]
    pictures = [view for image in selectors.images_of(product) if (view := presenting.picture(image))]
    related = selectors.products_related(product, RELATED_CARDS)
    found = selectors.availability(related)
    crumbs = [*_crumbs(product.category.slug), Crumb(product.name, reverse("product", args=[product.slug]))]
    context = {
        "product": product,
        "images": pictures,
        "variants": shown,
        "selected": next(view for view in shown if view.selected),
        "form": form or AddToCartForm(initial={"variant": chosen.sku, "quantity": 1}),
        "breadcrumbs": crumbs,
        "related": [presenting.card(other, found) for other in related],
        "facts": _facts(product, chosen),
        "structured_data": product_data(product, shown, pictures, crumbs),
    }
    return render(request, "storefront/product.html", context, status=status)


def _list(request: HttpRequest, category: Category | None) -> HttpResponse:
    path = reverse("category", args=[category.slug]) if category else reverse("product_list")
    sort, page, query, only_available = _asked(request)
    size = settings.SHOP.page_size
    listing = selectors.products_list(
        category=category, query=query, only_available=only_available, sort=sort, page=page, size=size
    )
    if page > 1 and not listing.products:
        raise Http404
    parameters = {
        "q": query,
        "sort": "" if sort == "newest" else sort,
        "available": "1" if only_available else "",
    }
    tree = selectors.category_tree()
    way = selectors.branch_path(tree, category.slug) if category else []
    below = way[-1].children if way else ([] if category else tree)
    found = selectors.availability(listing.products)
    context: dict[str, Any] = {
        "title": category.name if category else (f"Search: {query}" if query else "All prints"),
        "category": category,
        "breadcrumbs": _crumbs(category.slug) if category else [],
        "categories": [presenting.node(branch) for branch in below],
        "cards": _cards(listing.products, found),
        "page": paginate(page, size, listing.total, path, parameters),
        "sorts": _sorts(path, parameters, sort),
        "filters": _filters(path, parameters, only_available),
        "q": query,
    }
    return render(request, "storefront/product_list.html", context)


def _asked(request: HttpRequest) -> tuple[str, int, str, bool]:
    """Return what the address asks for; what makes no sense is an unknown page."""
    sort = request.GET.get("sort", "newest")
    number = request.GET.get("page", "1")
    if sort not in selectors.SORTS or not number.isascii() or not number.isdigit() or not 1 <= int(number) <= 100_000:
        raise Http404
    query = " ".join(request.GET.get("q", "").replace("\0", "").split())[:LONGEST_QUERY]
    if not settings.FEATURES.search:
        query = ""
    return sort, int(number), query, request.GET.get("available") == "1"


def _cards(products: list[Product], found: dict[int, Any]) -> list[Card]:
    return [presenting.card(product, found) for product in products]


def _sorts(path: str, parameters: dict[str, str], current: str) -> list[Choice]:
    return [
        Choice(
            label, value, address(path, {**parameters, "sort": "" if value == "newest" else value}), value == current
        )
        for value, label in SORT_LABELS.items()
    ]


def _filters(path: str, parameters: dict[str, str], only_available: bool) -> list[Choice]:
    url = address(path, {**parameters, "available": "" if only_available else "1"})
    return [Choice("Available only", "1", url, only_available)]


def _crumbs(slug: str) -> list[Crumb]:
    way = selectors.branch_path(selectors.category_tree(), slug)
    return [
        Crumb("Shop", reverse("product_list")),
        *(Crumb(branch.name, reverse("category", args=[branch.slug])) for branch in way),
    ]


def _first_buyable(variants: list[Variant]) -> Variant:
    usable = (variant for variant in variants if variant.made_to_order or variant.available > 0)
    return next(usable, variants[0])


def _facts(product: Product, variant: Variant) -> list[tuple[str, str]]:
    facts = [("Material", product.material)]
    if variant.width_mm and variant.depth_mm and variant.height_mm:
        sides = (variant.width_mm, variant.depth_mm, variant.height_mm)
        facts.append(("Size", f"{TIMES.join(map(str, sides))} mm"))
    if variant.weight_grams:
        facts.append(("Weight", f"{variant.weight_grams} g"))
    if variant.print_minutes:
        facts.append(("Print time", _duration(variant.print_minutes)))
    facts.append(("Article", variant.sku))
    return [(label, value) for label, value in facts if value]


def _duration(minutes: int) -> str:
    hours, rest = divmod(minutes, 60)
    return " ".join(text for number, text in ((hours, f"{hours} h"), (rest, f"{rest} min")) if number)
