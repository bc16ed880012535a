"""What promotions take off: pure functions.

The order of things: by priority, then by number. Each promotion counts on what the earlier ones left. One that does
not combine applies alone or not at all; of all that could be done, what saves most is done (the first of equals).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pasargad.catalog.money import half_up, spread

PERCENTAGE, FIXED, FREE_SHIPPING, BUY_X_GET_Y = "percentage", "fixed", "free_shipping", "buy_x_get_y"


class Refusal(StrEnum):
    """Why a coupon does nothing."""

    UNKNOWN = "unknown"
    NOT_YET = "not_yet"
    OVER = "over"
    USED_UP = "used_up"
    USED_BY_YOU = "used_by_you"
    LOG_IN = "log_in"
    FIRST_ORDER = "first_order"
    MINIMUM = "minimum"
    NOTHING_FITS = "nothing_fits"
    OTHERS_SAVE_MORE = "others_save_more"


@dataclass(frozen=True)
class Goods:
    """A line of a cart; `categories` are all those that the product is in, up to the root."""

    product_id: int
    categories: frozenset[int]
    unit_minor: int
    quantity: int

    @property
    def total(self) -> int:
        return self.unit_minor * self.quantity


@dataclass(frozen=True)
class Shopper:
    """Who buys, as far as it is proved: a guest is nobody known. `has_ordered` leaves out orders that were given up."""

    customer_key: str = ""
    logged_in: bool = False
    has_ordered: bool = False


@dataclass(frozen=True)
class Offer:
    """A promotion as rules need it. `code` is "" for a campaign; `left` is what the coupon's limit leaves."""

    id: int
    name: str
    kind: str
    basis_points: int = 0
    amount_minor: int = 0
    buy_quantity: int = 0
    get_quantity: int = 0
    products: frozenset[int] = frozenset()
    categories: frozenset[int] = frozenset()
    minimum_minor: int = 0
    first_order_only: bool = False
    logged_in_only: bool = False
    per_customer_limit: int | None = None
    used_by_customer: int = 0
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    priority: int = 0
    combinable: bool = False
    is_active: bool = True
    coupon_id: int | None = None
    code: str = ""
    left: int | None = None

    @property
    def customer_limit(self) -> int | None:
        """Nobody has two first orders, also not two at the same moment."""
        return 1 if self.first_order_only else self.per_customer_limit

    @property
    def needs_account(self) -> bool:
        """Whether it is open only to who proved a mail address, by signing in (docs/decisions/prices.md).

        What a typed address decided would tell everybody whether its owner has bought here. A coupon with a limit for
        each customer is counted when it is used; a campaign, which nobody can leave out, cannot be.
        """
        return self.logged_in_only or self.first_order_only or (self.per_customer_limit is not None and not self.code)

    def covers(self, goods: Goods) -> bool:
        if not self.products and not self.categories:
            return True
        return goods.product_id in self.products or bool(goods.categories & self.categories)


@dataclass(frozen=True)
class Applied:
    """What one promotion took off: from each line in order, and from shipping."""

    offer: Offer
    cuts: tuple[int, ...]
    shipping: int

    @property
    def saving(self) -> int:
        return sum(self.cuts) + self.shipping


def refusal(offer: Offer, shopper: Shopper, subtotal: int, now: datetime) -> Refusal | None:
    """Return why a promotion is not open to a shopper, or None."""
    tests = (
        (not offer.is_active, Refusal.UNKNOWN),
        (offer.starts_at is not None and now < offer.starts_at, Refusal.NOT_YET),
        (offer.ends_at is not None and now >= offer.ends_at, Refusal.OVER),
        (offer.left is not None and offer.left <= 0, Refusal.USED_UP),
        (offer.needs_account and not shopper.logged_in, Refusal.LOG_IN),
        (offer.first_order_only and shopper.has_ordered, Refusal.FIRST_ORDER),
        (offer.customer_limit is not None and offer.used_by_customer >= offer.customer_limit, Refusal.USED_BY_YOU),
        (subtotal < offer.minimum_minor, Refusal.MINIMUM),
    )
    return next((reason for applies, reason in tests if applies), None)


def apply(goods: Sequence[Goods], offers: Sequence[Offer], shipping_minor: int) -> tuple[Applied, ...]:
    """Return what the open promotions take off goods and shipping."""
    ordered = sorted(offers, key=lambda offer: (offer.priority, offer.id))
    together = [offer for offer in ordered if offer.combinable]
    choices = [together, *([offer] for offer in ordered if not offer.combinable)]
    outcomes = [_run(goods, choice, shipping_minor) for choice in choices]
    return max(outcomes, key=lambda outcome: sum(applied.saving for applied in outcome))


def _run(goods: Sequence[Goods], offers: Sequence[Offer], shipping_minor: int) -> tuple[Applied, ...]:
    left = [line.total for line in goods]
    applied = []
    for offer in offers:
        if offer.kind == FREE_SHIPPING:
            found = Applied(offer, tuple(0 for _ in goods), shipping_minor)
            shipping_minor = 0
        else:
            found = Applied(offer, tuple(_cuts(goods, left, offer)), 0)
            left = [rest - cut for rest, cut in zip(left, found.cuts, strict=True)]
        if found.saving:
            applied.append(found)
    return tuple(applied)


def _cuts(goods: Sequence[Goods], left: Sequence[int], offer: Offer) -> list[int]:
    """Return what an offer takes off each line; never more than is left of it."""
    covered = [rest if offer.covers(line) else 0 for line, rest in zip(goods, left, strict=True)]
    if offer.kind == FIXED:
        return spread(min(offer.amount_minor, sum(covered)), covered)
    if offer.kind == BUY_X_GET_Y:
        covered = _cheapest(goods, covered, offer)
    return spread(half_up(sum(covered) * offer.basis_points, 10_000), covered)


def _cheapest(goods: Sequence[Goods], covered: Sequence[int], offer: Offer) -> list[int]:
    """Return what is left of the pieces that get cheaper: the cheapest, so many for each full set bought."""
    fitting = [index for index, line in enumerate(goods) if offer.covers(line)]
    size = offer.buy_quantity + offer.get_quantity
    pieces = sum(goods[index].quantity for index in fitting) // size * offer.get_quantity if size else 0
    found = [0 for _ in goods]
    for index in sorted(fitting, key=lambda index: (goods[index].unit_minor, index)):
        taken = min(pieces, goods[index].quantity)
        found[index] = min(taken * goods[index].unit_minor, covered[index])
        pieces -= taken
    return found
