"""What an order costs: one pure function, whole minor units.

Promotions come off the goods (and off shipping), line by line; then each tax rate is rounded once, half up, on the sum
of all that it holds for. What must be divided over lines is divided by the largest remainder, so that lines always add
up to what is charged. Tax is inside the total or added to it, as the place's rates say.
"""

from __future__ import annotations

from dataclasses import dataclass

from pasargad.promotions.rules import Applied, Goods, Offer, apply
from pasargad.tax.rules import Rate, Taxation, TaxSum, tax


@dataclass(frozen=True)
class Item:
    """A line of a cart; `categories` are the product's and all above it, `tax_class` "" is the standard class."""

    unit_price_minor: int
    quantity: int
    product_id: int = 0
    categories: frozenset[int] = frozenset()
    tax_class: str = ""


@dataclass(frozen=True)
class PriceRequest:
    """`offers` are those open to the shopper; `shipping_minor` is the method's price."""

    items: tuple[Item, ...]
    taxation: Taxation
    shipping_minor: int = 0
    offers: tuple[Offer, ...] = ()


@dataclass(frozen=True)
class LinePrice:
    total: int
    discount: int
    taxes: tuple[tuple[Rate, int], ...]

    @property
    def tax(self) -> int:
        return sum(minor for _, minor in self.taxes)


@dataclass(frozen=True)
class Price:
    """All in minor units of one currency; `shipping` is what is left of it after promotions."""

    lines: tuple[LinePrice, ...]
    subtotal: int
    discount: int
    shipping: int
    shipping_tax: int
    tax: int
    total: int
    tax_inclusive: bool
    taxes: tuple[TaxSum, ...]
    applied: tuple[Applied, ...]


def price_order(request: PriceRequest) -> Price:
    """Return the price of an order."""
    goods = [Goods(item.product_id, item.categories, item.unit_price_minor, item.quantity) for item in request.items]
    applied = apply(goods, request.offers, request.shipping_minor)
    discounts = [sum(found.cuts[index] for found in applied) for index in range(len(goods))]
    shipping = request.shipping_minor - sum(found.shipping for found in applied)

    taxation = request.taxation
    amounts = [
        (line.total - discount, taxation.of_class(item.tax_class))
        for line, discount, item in zip(goods, discounts, request.items, strict=True)
    ]
    taxed = tax([*amounts, (shipping, taxation.shipping)], inclusive=taxation.inclusive)

    subtotal, discount = sum(line.total for line in goods), sum(discounts)
    return Price(
        lines=tuple(
            LinePrice(line.total, cut, taxes)
            for line, cut, taxes in zip(goods, discounts, taxed.parts[:-1], strict=True)
        ),
        subtotal=subtotal,
        discount=discount,
        shipping=shipping,
        shipping_tax=sum(minor for _, minor in taxed.parts[-1]),
        tax=taxed.total,
        total=subtotal - discount + shipping + (0 if taxation.inclusive else taxed.total),
        tax_inclusive=taxation.inclusive,
        taxes=taxed.sums,
        applied=applied,
    )
