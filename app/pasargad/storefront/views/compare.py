"""Comparing products, and what was looked at lately: both named in the address, so that shared caches may keep them."""

from __future__ import annotations

import re
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from pasargad.catalog import selectors
from pasargad.catalog.cards import cards_of_slugs
from pasargad.catalog.selectors import ProductDetail

from .. import presenting
from ..caching import shared
from ..presenting import Choice
from ..products import facts_of, first_buyable

MOST_COMPARED = 4
MOST_SEEN = 6
MORE = 6
SLUG = re.compile(r"[A-Za-z0-9_-]{1,120}")


@shared
@require_safe
def compare(request: HttpRequest) -> HttpResponse:
    """Show up to four products side by side: a query for each, and two more."""
    found = [
        product
        for slug in _slugs(request, MOST_COMPARED)
        if (product := selectors.product_detail(slug)) and product.variants
    ]
    slugs = [product.slug for product in found]
    rows = cards_of_slugs(slugs)
    labels: dict[str, None] = {}
    facts = [dict(facts_of(product, first_buyable(product.variants))) for product in found]
    for said in facts:
        labels |= dict.fromkeys(said)
    table = [(label, [said.get(label, "–") for said in facts]) for label in labels]  # noqa: RUF001
    context = {
        "cards": [(presenting.card(row), _address([slug for slug in slugs if slug != row.slug])) for row in rows],
        "table": table,
        "more": _more(found, slugs),
    }
    response = render(request, "storefront/compare.html", context)
    response.headers["X-Robots-Tag"] = "noindex"
    return response


@shared
@require_safe
def seen(request: HttpRequest) -> HttpResponse:
    """Cards for a browser that remembers by itself what was looked at: a piece of a page, not a page."""
    rows = cards_of_slugs(_slugs(request, MOST_SEEN))
    response = render(request, "storefront/parts/seen.html", {"cards": [presenting.card(row) for row in rows]})
    response.headers["X-Robots-Tag"] = "noindex"
    return response


def _slugs(request: HttpRequest, most: int) -> list[str]:
    """Return the products that the address names, each once; what is no slug names nothing."""
    return [slug for slug in dict.fromkeys(request.GET.getlist("p")) if SLUG.fullmatch(slug)][:most]


def _address(slugs: list[str]) -> str:
    query = urlencode([("p", slug) for slug in slugs])
    return f"{reverse('compare')}?{query}" if query else reverse("compare")


def _more(found: list[ProductDetail], slugs: list[str]) -> list[Choice]:
    """Offer neighbours of the first product, while there is room."""
    if not found or len(found) >= MOST_COMPARED:
        return []
    near = selectors.cards_related(found[0].id, found[0].category.id, MORE)
    return [
        Choice(_("Add %(name)s") % {"name": row.name}, row.slug, _address([*slugs, row.slug]), False)
        for row in near
        if row.slug not in slugs
    ]
