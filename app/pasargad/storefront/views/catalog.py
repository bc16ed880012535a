"""The first page and the pages of products: the same for everybody, so that shared caches may keep them."""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol
from urllib.parse import urlsplit

from csp.constants import SELF
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.urls import reverse
from django.utils.functional import SimpleLazyObject
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language
from django.views.decorators.http import require_safe

from pasargad.catalog import cards, selectors
from pasargad.catalog.models import Kind
from pasargad.catalog.selectors import ProductDetail
from pasargad.recommendations.selectors import recommended_for
from pasargad.reviews.selectors import reviews_of
from pasargad.shipping.selectors import promise_kept

from .. import presenting, products
from ..caching import shared
from ..forms import AddToCartForm
from ..structured import organization_data
from .lists import moved

HOME_CARDS = 8
RELATED_CARDS = 4
REVIEWS = 5


class HasSlug(Protocol):
    slug: str


@shared
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    featured = cards.cards_featured(HOME_CARDS)
    newest = cards.cards_newest(HOME_CARDS, besides=[row.id for row in featured])
    shelves = presenting.nodes(selectors.category_tree())
    context = {
        "featured": [presenting.card(row) for row in featured],
        "newest": [presenting.card(row) for row in newest],
        "categories": shelves,
        "navigation": shelves,
        "structured_data": organization_data(
            settings.SITE_URL,
            settings.BUSINESS,
            static("img/icon-512.png"),
            tuple(promise_kept().countries),
            get_language() or settings.LANGUAGE_CODE,
        ),
    }
    return render(request, "storefront/home.html", context)


@shared
@require_safe
def product(request: HttpRequest, slug: str) -> HttpResponse:
    found = selectors.product_detail(slug)
    if found is None:
        if now := selectors.slug_now(Kind.PRODUCT, slug):
            return moved(request, reverse("product", args=[now]))
        raise Http404
    return _page(request, found, sku=request.GET.get("variant", ""))


def product_page(
    request: HttpRequest, product: HasSlug, *, sku: str = "", form: AddToCartForm | None = None, status: int = 200
) -> HttpResponse:
    """Show a product; with a form in error, show what was typed."""
    found = selectors.product_detail(product.slug)
    if found is None:
        raise Http404
    return _page(request, found, sku=sku, form=form, status=status)


def _page(
    request: HttpRequest, product: ProductDetail, *, sku: str, form: AddToCartForm | None = None, status: int = 200
) -> HttpResponse:
    if not product.variants:
        raise Http404
    others = recommended_for(product.id, count=RELATED_CARDS)
    related = others.similar or selectors.cards_related(product.id, product.category.id, RELATED_CARDS)
    tree = selectors.category_tree()
    shown = products.shown(product, sku, selectors.branch_path(tree, product.category.slug))
    context = {
        "product": product,
        "shown": shown,
        "navigation": presenting.nodes(tree),
        "form": form or SimpleLazyObject(AddToCartForm),
        "problems": render_to_string("storefront/parts/refused.html", {"form": form}) if form else "",
        "quantity_field": _field(form) if form else _empty_field(settings.SHOP.cart_max_quantity, get_language()),
        "together": [presenting.card(row) for row in others.together],
        "related": [presenting.card(row) for row in related],
        "reviews": presenting.reviews(reviews_of(product.id, count=REVIEWS)) if product.rating_count else (),
    }
    response = render(request, "storefront/product.html", context, status=status)
    if origin := _origin(shown.shape_url):
        # The viewer fetches the shape; where uploads lie in a bucket, that is another origin than ours.
        response._csp_update = {"connect-src": [SELF, origin]}  # type: ignore[attr-defined]
    return response


def _origin(url: str) -> str:
    """Return the origin that an address names; a path names none."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""


def _field(form: AddToCartForm) -> SafeString:
    return mark_safe(str(form["quantity"]))  # noqa: S308  # the form's own markup, which escapes what was typed


@lru_cache(maxsize=16)
def _empty_field(most: int, language: str | None) -> SafeString:
    """Return the field as it mostly is: rendering it costs as much as a query."""
    return _field(AddToCartForm())
