"""Prices against an independent calculation with decimals."""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal

from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from pasargad.orders.pricing import Item, price_order

items = st.lists(
    st.builds(Item, st.integers(1, 500_000), st.integers(1, 99), st.integers(0, 20_000)), min_size=1, max_size=8
)


def rounded(value: Decimal) -> int:
    return int(value.quantize(Decimal(1), ROUND_HALF_UP))


@given(items, st.booleans(), st.booleans(), st.integers(0, 10_000), st.integers(0, 200_000))
def test_prices_agree_with_decimals(goods, shipped, inclusive, rate, free_from):
    shop = replace(settings.SHOP, tax_basis_points=rate, tax_inclusive=inclusive)
    shipping = replace(settings.SHIPPING, free_from_minor=free_from)
    price = price_order(goods, shipped=shipped, shop=shop, shipping=shipping)
    subtotal = sum(item.unit_price_minor * item.quantity for item in goods)
    kilograms = Decimal(sum(item.weight_grams * item.quantity for item in goods)) / 1000
    fee = shipping.base_minor + int(kilograms.to_integral_value("ROUND_CEILING")) * shipping.per_kilogram_minor
    if not shipped or (free_from and subtotal >= free_from):
        fee = 0
    base, share = Decimal(subtotal + fee), Decimal(rate) / 10_000
    tax = rounded(base - base / (1 + share)) if inclusive else rounded(base * share)
    assert (price.subtotal, price.shipping) == (subtotal, fee)
    assert abs(price.tax - tax) <= (1 if inclusive else 0)
    assert price.total == subtotal + fee + (0 if inclusive else price.tax)


def test_halves_round_up_once_for_the_whole_order():
    shop = replace(settings.SHOP, tax_basis_points=500, tax_inclusive=False)
    shipping = replace(settings.SHIPPING, base_minor=0, per_kilogram_minor=0)
    assert price_order([Item(5, 1, 0), Item(5, 1, 0)], shipped=True, shop=shop, shipping=shipping).tax == 1
