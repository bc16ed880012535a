"""What a cart costs for somebody, somewhere, now: the rules of shipping, tax and promotions, read together.

The page that shows a price and the transaction that charges it ask the same function.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils import timezone

from pasargad.cart.models import CartLine
from pasargad.catalog.places import Destination
from pasargad.promotions import selectors as promotions
from pasargad.promotions.rules import FREE_SHIPPING, Offer, Refusal, Shopper, refusal
from pasargad.promotions.wording import say
from pasargad.shipping import selectors as shipping
from pasargad.shipping.rules import Load, Option, Point, Zone, options
from pasargad.tax import selectors as taxes
from pasargad.tax.rules import Classes, Taxation, taxation_at

from .models import Delivery
from .pricing import Item, Price, PriceRequest, price_order

# One statement, so one snapshot: no order is priced with the old half and the new half of somebody's changes.
RULES = f"SELECT ({shipping.RULES_SQL})::text, ({taxes.RULES_SQL})::text, ({promotions.RULES_SQL})::text"


@dataclass(frozen=True)
class Wish:
    """How and where the goods should go; an empty `method` or `point` means the first that there is.

    Without a delivery only the goods are priced.
    """

    delivery: str = ""
    destination: Destination = field(default_factory=Destination)
    method: str = ""
    point: str = ""


@dataclass(frozen=True)
class Quote:
    """A price with what it depends on. `coupon` is the code that was asked for, `coupon_problem` why it does nothing.

    `option` is None when the goods do not travel, or cannot (`undeliverable`).
    """

    price: Price
    wish: Wish
    options: tuple[Option, ...]
    option: Option | None
    points: tuple[Point, ...]
    point: Point | None
    grams: int
    coupon: str
    coupon_refusal: Refusal | None
    coupon_problem: str

    @property
    def undeliverable(self) -> bool:
        if self.wish.delivery == Delivery.SHIPPING:
            return self.option is None
        return self.wish.delivery == Delivery.PICKUP and self.point is None

    @property
    def choice_gone(self) -> bool:
        """Whether the method or place that was asked for is not (any more) among those that can be had."""
        if self.wish.delivery == Delivery.SHIPPING and self.wish.method:
            return self.option is None or self.option.value != self.wish.method
        if self.wish.delivery == Delivery.PICKUP and self.wish.point:
            return self.point is None or str(self.point.id) != self.wish.point
        return False


def quote_lines(lines: Sequence[CartLine], wish: Wish, *, coupon: str = "", shopper: Shopper | None = None) -> Quote:
    """Price the lines of a cart (with their variants, products and categories): one query.

    An unknown shopper is a guest who never ordered.
    """
    shopper = shopper or Shopper()
    now = timezone.now()
    sending, taxing, promoting = _read_rules(lines, coupon, shopper)
    subtotal = sum(line.variant.price_minor * line.quantity for line in lines)
    grams = sum(line.variant.weight_grams * line.quantity for line in lines)

    points = shipping.read_points(sending)
    found: tuple[Option, ...] = ()
    option = point = None
    if wish.delivery == Delivery.SHIPPING:
        load = Load(grams, subtotal, tuple(_sides(line) for line in lines))
        found = options(wish.destination, shipping.read_zones(sending), load)
        option = next((entry for entry in found if entry.value == wish.method), found[0] if found else None)
    elif wish.delivery == Delivery.PICKUP:
        point = next((entry for entry in points if str(entry.id) == wish.point), points[0] if points else None)

    offers = promotions.read_offers(promoting)
    closed = {offer.id: refusal(offer, shopper, subtotal, now) for offer in offers}
    request = PriceRequest(
        items=tuple(_items(lines, taxes.read_classes(taxing))),
        taxation=_taxation(wish, point, taxing),
        shipping_minor=option.price_minor if option else 0,
        offers=tuple(offer for offer in offers if closed[offer.id] is None),
    )
    price = price_order(request)
    asked = next((closed[offer.id] for offer in offers if offer.code == coupon), None)
    reason, problem = _coupon_problem(coupon, offers, request, price, asked)
    if reason == Refusal.NOTHING_FITS and not wish.delivery and _is_about_shipping(offers, coupon):
        # Goods that have nowhere to go yet cannot go free: that is no fault of the coupon.
        reason, problem = None, ""
    return Quote(price, wish, found, option, tuple(points), point, grams, coupon, reason, problem)


def shipping_zones() -> list[Zone]:
    """Return the zones with their methods, as quotes use them."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT ({shipping.RULES_SQL})::text")
        [raw] = cursor.fetchone()
    return shipping.read_zones(json.loads(raw))


def _read_rules(lines: Sequence[CartLine], coupon: str, shopper: Shopper) -> tuple[Any, Any, Any]:
    values = {
        "products": [line.variant.product_id for line in lines],
        "coupon": coupon,
        "customer": shopper.customer_key,
    }
    with connection.cursor() as cursor:
        cursor.execute(RULES, values)
        sending, taxing, promoting = cursor.fetchone()
    return json.loads(sending), json.loads(taxing), json.loads(promoting) if promoting else None


def _taxation(wish: Wish, point: Point | None, raw: dict[str, Any]) -> Taxation:
    """Goods are taxed where they go, or where they are collected."""
    if not wish.delivery:
        return Taxation(settings.SHOP.tax_inclusive)
    place = point.place if point else wish.destination
    return taxation_at(place, taxes.read_zones(raw), taxes.taxation_of_settings())


def _items(lines: Sequence[CartLine], classes: Classes) -> list[Item]:
    found = []
    for line in lines:
        product = line.variant.product
        above = [int(pk) for pk in product.category.path.strip("/").split("/") if pk]
        found.append(
            Item(
                unit_price_minor=line.variant.price_minor,
                quantity=line.quantity,
                product_id=product.pk,
                categories=frozenset(above),
                tax_class=classes.of(product.pk, above),
            )
        )
    return found


def _is_about_shipping(offers: Sequence[Offer], code: str) -> bool:
    return any(offer.kind == FREE_SHIPPING for offer in offers if offer.code == code)


def _sides(line: CartLine) -> tuple[int, int, int]:
    variant = line.variant
    return (variant.width_mm, variant.depth_mm, variant.height_mm)


def _coupon_problem(
    code: str, offers: Sequence[Offer], request: PriceRequest, price: Price, closed: Refusal | None
) -> tuple[Refusal | None, str]:
    """Say why a coupon does nothing; `closed` is why it is not open to the shopper."""
    if not code:
        return None, ""
    offer = next((entry for entry in offers if entry.code == code), None)
    reason = Refusal.UNKNOWN if offer is None else closed
    if offer and not reason and not any(found.offer.id == offer.id for found in price.applied):
        alone = price_order(replace(request, offers=(offer,)))
        reason = Refusal.OTHERS_SAVE_MORE if alone.applied else Refusal.NOTHING_FITS
    return reason, say(reason, code, offer, settings.SHOP.currency) if reason else ""
