"""The tax rules as pricing needs them: a part of the one query in which an order reads all its rules."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils.translation import gettext_noop

from pasargad.catalog.places import area

from .rules import STANDARD, Classes, Rate, Taxation, Zone

# Parameters: products (ids).
RULES_SQL = """
SELECT jsonb_build_object(
    'zones', (SELECT jsonb_agg(to_jsonb(z) || jsonb_build_object('rates', (
        SELECT jsonb_agg(jsonb_build_object(
            'name', r.name, 'ppm', r.ppm, 'class', coalesce(c.code, ''), 'shipping', r.on_shipping) ORDER BY r.id)
        FROM tax_taxrate r LEFT JOIN tax_taxclass c ON c.id = r.tax_class_id WHERE r.zone_id = z.id)) ORDER BY z.id)
        FROM tax_taxzone z WHERE z.is_active),
    'products', (SELECT jsonb_object_agg(a.product_id, c.code)
        FROM tax_taxassignment a JOIN tax_taxclass c ON c.id = a.tax_class_id
        WHERE a.product_id = ANY(%(products)s)),
    'categories', (SELECT jsonb_object_agg(a.category_id, c.code)
        FROM tax_taxassignment a JOIN tax_taxclass c ON c.id = a.tax_class_id WHERE a.category_id IS NOT NULL))
"""


def read_zones(raw: dict[str, Any]) -> list[Zone]:
    return [_zone(row) for row in raw["zones"] or []]


def read_classes(raw: dict[str, Any]) -> Classes:
    def by_id(found: dict[str, str] | None) -> dict[int, str]:
        return {int(pk): code for pk, code in (found or {}).items()}

    return Classes(by_id(raw["products"]), by_id(raw["categories"]))


def taxation_of_settings() -> Taxation:
    """Return the one rate of the settings, for goods and shipping alike."""
    if not settings.SHOP.tax_basis_points:
        return Taxation(settings.SHOP.tax_inclusive)
    rates = (Rate(gettext_noop("Tax"), settings.SHOP.tax_basis_points * 100),)
    return Taxation(settings.SHOP.tax_inclusive, {STANDARD: rates}, rates)


def _zone(row: dict[str, Any]) -> Zone:
    rates: dict[str, list[Rate]] = {}
    shipping = []
    for entry in row["rates"] or []:
        rate = Rate(entry["name"], entry["ppm"])
        rates.setdefault(entry["class"], []).append(rate)
        if entry["shipping"] and entry["class"] == STANDARD:
            shipping.append(rate)
    by_class = {code: tuple(found) for code, found in rates.items()}
    where = area(row["countries"], row["states"], row["postcodes"])
    return Zone(where, row["position"], Taxation(row["prices_contain_tax"], by_class, tuple(shipping)))
