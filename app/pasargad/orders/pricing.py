"""What an order costs: one function, one rounding rule (half up, once, on the whole order)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from config.groups import Shipping, Shop


@dataclass(frozen=True)
class Item:
    unit_price_minor: int
    quantity: int
    weight_grams: int


@dataclass(frozen=True)
class Price:
    """All in minor units of one currency."""

    subtotal: int
    shipping: int
    tax: int
    total: int


def price_order(items: Iterable[Item], *, shipped: bool, shop: Shop, shipping: Shipping) -> Price:
    """Return the price of an order; tax is inside the total or added to it, as the shop is set."""
    goods = list(items)
    subtotal = sum(item.unit_price_minor * item.quantity for item in goods)
    grams = sum(item.weight_grams * item.quantity for item in goods)
    fee = _shipping_fee(subtotal, grams, shipping) if shipped and goods else 0
    base = subtotal + fee
    rate = shop.tax_basis_points
    if shop.tax_inclusive:
        return Price(subtotal, fee, _half_up(base * rate, 10_000 + rate), base)
    tax = _half_up(base * rate, 10_000)
    return Price(subtotal, fee, tax, base + tax)


def _shipping_fee(subtotal: int, grams: int, shipping: Shipping) -> int:
    if shipping.free_from_minor and subtotal >= shipping.free_from_minor:
        return 0
    kilograms_begun = -(-grams // 1000)
    return shipping.base_minor + kilograms_begun * shipping.per_kilogram_minor


def _half_up(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)
