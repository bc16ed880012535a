"""What a checkout form says of where the goods go, before it is complete enough to be valid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings

from pasargad.catalog.places import Destination
from pasargad.orders.models import Delivery
from pasargad.orders.quoting import Wish


def wish_of(typed: Mapping[str, Any], countries: Sequence[str]) -> Wish:
    """Read what can be understood; the rest is as it is on a fresh form."""

    def text(name: str, longest: int) -> str:
        return str(typed.get(name, ""))[:longest].strip()

    delivery = text("delivery", 10)
    if delivery not in Delivery.values or (delivery == Delivery.PICKUP and not settings.SHIPPING.pickup_enabled):
        delivery = Delivery.SHIPPING.value
    country = text("country", 2)
    if country not in countries:
        country = countries[0] if countries else ""
    place = Destination(country, text("state", 80), text("zip", 20))
    return Wish(delivery, place, text("method", 20), text("point", 20))
