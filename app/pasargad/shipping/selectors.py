"""The shipping rules as pricing needs them: a part of the one query in which an order reads all its rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.utils.translation import gettext_noop

from pasargad.catalog.places import Area, Destination, area
from pasargad.memory import Recent

from .models import ShippingZone
from .rules import Method, Point, Zone

RULES_SQL = """
SELECT jsonb_build_object(
    'zones', (SELECT jsonb_agg(to_jsonb(z) || jsonb_build_object('methods', (
        SELECT jsonb_agg(to_jsonb(m) || jsonb_build_object('bands', (
            SELECT jsonb_agg(jsonb_build_array(b.up_to_grams, b.price_minor))
            FROM shipping_weightband b WHERE b.method_id = m.id)) ORDER BY m.position, m.id)
        FROM shipping_shippingmethod m WHERE m.zone_id = z.id AND m.is_active)) ORDER BY z.id)
        FROM shipping_shippingzone z WHERE z.is_active),
    'points', (SELECT jsonb_agg(to_jsonb(p) ORDER BY p.position, p.id)
        FROM shipping_pickuppoint p WHERE p.is_active))
"""


def read_zones(raw: dict[str, Any]) -> list[Zone]:
    """Return the zones; without any, the one that the settings describe."""
    return [_zone(row) for row in raw["zones"] or []] or [zone_of_settings()]


def read_points(raw: dict[str, Any]) -> list[Point]:
    """Return where goods can be collected: nowhere if that is switched off, the workshop if no place is listed."""
    if not settings.SHIPPING.pickup_enabled:
        return []
    return [_point(row) for row in raw["points"] or []] or [workshop()]


@dataclass(frozen=True)
class Promise:
    """What pages for everybody may say: where we go, and from which worth of goods everybody's parcel is free."""

    countries: tuple[str, ...]
    free_from_minor: int


def promise() -> Promise:
    """Return what the zones promise; one query."""
    zones: dict[int, tuple[list[str], list[int]]] = {}
    rows = ShippingZone.objects.filter(is_active=True).values_list(
        "pk", "countries", "methods__is_active", "methods__free_from_minor"
    )
    for pk, countries, active, free_from in rows:
        limits = zones.setdefault(pk, (countries, []))[1]
        if active and free_from:
            limits.append(free_from)
    if not zones:
        return Promise(tuple(settings.SHIPPING.countries), settings.SHIPPING.free_from_minor)
    named = {code for countries, _ in zones.values() for code in countries}
    # A zone for everywhere else: the settings say where we go.
    usual = settings.SHIPPING.countries
    first = [code for code in usual if code in named or not all(countries for countries, _ in zones.values())]
    everywhere = all(limits for _, limits in zones.values())
    return Promise(
        tuple(dict.fromkeys([*first, *sorted(named)])),
        max(min(limits) for _, limits in zones.values()) if everywhere else 0,
    )


def promise_kept() -> Promise:
    """Return the promise from the cache, where it may be some seconds old."""
    return _recent_promise()


def _promise_of_cache() -> Promise:
    # Plain values: the code of two releases reads the same cache.
    countries, free_from = cache.get_or_set("shipping:promise", _promise_values, settings.PAGES.navigation_seconds)
    return Promise(tuple(countries), free_from)


_recent_promise = Recent(_promise_of_cache)


def _promise_values() -> tuple[list[str], int]:
    found = promise()
    return list(found.countries), found.free_from_minor


def countries_served() -> list[str]:
    """Return the codes of the countries that parcels go to."""
    return list(promise().countries)


def zone_of_settings() -> Zone:
    shipping = settings.SHIPPING
    method = Method(
        id=0,
        name=gettext_noop("Shipping"),
        base_minor=shipping.base_minor,
        per_kilogram_minor=shipping.per_kilogram_minor,
        free_from_minor=shipping.free_from_minor,
        days=(shipping.transit_days, shipping.transit_days),
    )
    return Zone("", Area(frozenset(shipping.countries)), 0, (method,))


def workshop() -> Point:
    place = settings.BUSINESS.address
    town = " ".join(filter(None, [f"{place.city}," if place.state else place.city, place.state, place.zip]))
    lines = tuple(filter(None, (settings.BUSINESS.name, place.street, town, place.country)))
    return Point(0, settings.BUSINESS.name, lines, Destination(place.country, place.state, place.zip))


def _zone(row: dict[str, Any]) -> Zone:
    # Everywhere else: where the settings say that we go.
    where = area(row["countries"] or settings.SHIPPING.countries, (), row["postcodes"])
    position = row["position"] + (0 if row["countries"] else 100_000)
    return Zone(row["name"], where, position, tuple(_method(found, row["name"]) for found in row["methods"] or []))


def _method(row: dict[str, Any], zone: str) -> Method:
    return Method(
        id=row["id"],
        name=row["name"],
        zone=zone,
        description=row["description"],
        base_minor=row["base_minor"],
        per_kilogram_minor=row["per_kilogram_minor"],
        free_from_minor=row["free_from_minor"] or 0,
        bands=tuple((up_to, price) for up_to, price in row["bands"] or []),
        max_grams=row["max_grams"],
        box=(row["max_length_mm"], row["max_width_mm"], row["max_height_mm"]),
        days=(row["days_min"], row["days_max"]),
        carrier=row["carrier"],
        service=row["service"],
    )


def _point(row: dict[str, Any]) -> Point:
    town = " ".join(filter(None, [f"{row['city']}," if row["state"] else row["city"], row["state"], row["zip"]]))
    lines = tuple(filter(None, (row["name"], row["street"], town, row["country"])))
    place = Destination(row["country"], row["state"], row["zip"])
    return Point(row["id"], row["name"], lines, place, row["opening_hours"])
