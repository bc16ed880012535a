"""What every template may use. Nothing here looks at cookies, so pages stay the same for everybody."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from pasargad.catalog.money import Money
from pasargad.catalog.selectors import category_tree
from pasargad.flags import Features
from pasargad.shipping.selectors import promise_kept

from .presenting import Node, nodes


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
        "navigation": SimpleLazyObject(navigation),
    }


def free_from() -> Money | None:
    limit = promise_kept().free_from_minor
    return Money(limit, settings.SHOP.currency) if limit else None


def navigation() -> tuple[Node, ...]:
    return nodes(category_tree())
