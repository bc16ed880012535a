"""What every template may use. Nothing here looks at cookies, so pages stay the same for everybody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import SimpleLazyObject

from pasargad import languages
from pasargad.catalog.money import Money
from pasargad.catalog.selectors import category_tree
from pasargad.flags import Features
from pasargad.shipping.selectors import promise_kept

from .presenting import Node, nodes

# Pages that search engines are to keep, by the names of their addresses.
INDEXED = {"home", "product_list", "category", "product", "reviews", "info"}
# For developers, and at one address.
ENGLISH_ONLY = frozenset({"api_docs"})
# What takes forms only, and the page that shows the form.
SHOWS = {"cart_add": "cart", "cart_line": "cart", "cart_coupon": "cart", "checkout_coupon": "checkout"}


def shop(request: HttpRequest) -> dict[str, Any]:
    shipping = settings.SHIPPING
    return {
        "business": settings.BUSINESS,
        "shop": settings.SHOP,
        "shipping": {
            "base": Money(shipping.base_minor, settings.SHOP.currency),
            "base_minor": shipping.base_minor,
            "free_from": SimpleLazyObject(free_from),
            "countries": SimpleLazyObject(lambda: promise_kept().countries),
            "handling_days": shipping.handling_days,
            "transit_days": shipping.transit_days,
            "origin": shipping.origin,
            "pickup_enabled": shipping.pickup_enabled,
        },
        "features": Features(settings.FEATURES),
        "site_url": settings.SITE_URL,
        "canonical_url": f"{settings.SITE_URL}{request.path}",
        "alternates": alternates(request),
        "other_languages": other_languages(request),
        "navigation": SimpleLazyObject(navigation),
    }


@dataclass(frozen=True)
class OtherLanguage:
    code: str
    name: str
    url: str


def alternates(request: HttpRequest) -> tuple[tuple[str, str], ...]:
    """Return where search engines find this page in each language, for a page that they should find at all."""
    found = request.resolver_match
    if found is None or found.namespaces or found.url_name not in INDEXED:
        return ()
    spoken = languages.spoken()
    addresses = [(one.code, f"{settings.SITE_URL}{languages.path_in(request.path, one.code)}") for one in spoken]
    return (*addresses, ("x-default", addresses[0][1]))


def other_languages(request: HttpRequest) -> list[OtherLanguage]:
    """Return links to this page in the other languages; from what only takes forms, to the page that shows them."""
    now = languages.split(request.path)[0]
    found = request.resolver_match
    name = found.url_name if found else None
    if name in ENGLISH_ONLY:
        return []
    path = reverse(SHOWS[name]) if name in SHOWS else request.get_full_path()
    return [
        OtherLanguage(one.code, one.name, languages.path_in(path, one.code))
        for one in languages.spoken()
        if one.code != now
    ]


def free_from() -> Money | None:
    limit = promise_kept().free_from_minor
    return Money(limit, settings.SHOP.currency) if limit else None


def navigation() -> tuple[Node, ...]:
    return nodes(category_tree())
