"""Prices against an independent calculation with decimals, and the rules that hold for every price."""

from __future__ import annotations

import os
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from pasargad.orders.pricing import Item, Price, PriceRequest, price_order
from pasargad.promotions.rules import Offer
from pasargad.tax.rules import Rate, Taxation

from . import oracle

KINDS = ("percentage", "fixed", "free_shipping", "buy_x_get_y")
CARTS_AN_EXAMPLE = 10
STANDARD_RATES = (Rate("VAT", 190_000),)


def random_request(chance: random.Random) -> PriceRequest:
    """Make a cart of any shape: cheap and dear goods, taxes that share names, promotions that meet."""
    top = chance.choice([9, 100, 3_000, 500_000])
    items = tuple(
        Item(
            unit_price_minor=chance.randint(1, top),
            quantity=chance.choice([1, 1, 2, 3, 10, 99]),
            product_id=chance.randint(1, 4),
            categories=frozenset(chance.sample(range(1, 5), chance.randint(0, 3))),
            tax_class=chance.choice(["", "", "books", "unknown"]),
        )
        for _ in range(chance.randint(1, 8))
    )
    pool = [Rate(name, chance.choice([0, 1, 50_000, 70_000, 88_750, 200_000, 1_000_000])) for name in ("A", "B", "C")]
    standard = tuple(chance.sample(pool, chance.randint(0, 3)))
    taxation = Taxation(
        inclusive=chance.random() < 0.5,
        rates={"": standard, "books": tuple(chance.sample(pool, chance.randint(0, 2)))},
        shipping=tuple(rate for rate in standard if chance.random() < 0.7),
    )
    offers = tuple(random_offer(chance, number) for number in range(1, chance.randint(0, 4) + 1))
    return PriceRequest(items, taxation, chance.choice([0, 1, 499, 12_345]), offers)


def random_offer(chance: random.Random, number: int) -> Offer:
    return Offer(
        id=number,
        name=f"Offer {number}",
        kind=chance.choice(KINDS),
        basis_points=chance.choice([1, 333, 1000, 2500, 5000, 9999, 10_000]),
        amount_minor=chance.choice([1, 99, 500, 10**7]),
        buy_quantity=chance.randint(1, 3),
        get_quantity=chance.randint(1, 2),
        products=frozenset(chance.sample(range(1, 5), chance.choice([0, 0, 1, 2]))),
        categories=frozenset(chance.sample(range(1, 5), chance.choice([0, 0, 1]))),
        priority=chance.randint(-1, 1),
        combinable=chance.random() < 0.6,
    )


def check(request: PriceRequest) -> None:
    price, expected = price_order(request), oracle.price(request)
    found = {
        "subtotal": price.subtotal,
        "cuts": [line.discount for line in price.lines],
        "shipping": price.shipping,
        "taxes": {Rate(entry.name, entry.ppm): entry.tax_minor for entry in price.taxes},
        "used": [applied.offer.id for applied in price.applied],
        "total": price.total,
    }
    assert found == expected, request
    check_books(request, price)


def check_books(request: PriceRequest, price: Price) -> None:
    """Lines add up to what is charged, and nothing is below zero."""
    added = 0 if price.tax_inclusive else price.tax
    assert price.total == price.subtotal - price.discount + price.shipping + added >= 0
    assert price.subtotal == sum(line.total for line in price.lines)
    assert price.discount == sum(line.discount for line in price.lines)
    assert price.tax == sum(line.tax for line in price.lines) + price.shipping_tax
    assert all(0 <= line.discount <= line.total and line.tax >= 0 for line in price.lines)
    assert 0 <= price.shipping <= request.shipping_minor and price.shipping_tax >= 0
    by_rate: dict[Rate, int] = {}
    for line in price.lines:
        for rate, minor in line.taxes:
            by_rate[rate] = by_rate.get(rate, 0) + minor
    for entry in price.taxes:
        assert by_rate.get(Rate(entry.name, entry.ppm), 0) <= entry.tax_minor


# Ten carts each; PASARGAD_CART_EXAMPLES=10000 makes the long run of a hundred thousand.
@settings(max_examples=int(os.environ.get("PASARGAD_CART_EXAMPLES", "1000")), deadline=None)
@given(st.integers(0, 2**64 - 1))
def test_thousands_of_carts_agree_with_decimals(seed):
    chance = random.Random(seed)
    for _ in range(CARTS_AN_EXAMPLE):
        check(random_request(chance))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.builds(Item, st.integers(1, 20), st.integers(1, 5), tax_class=st.sampled_from(["", "b"])), min_size=1),
    st.booleans(),
    st.lists(st.builds(Rate, st.sampled_from("AB"), st.integers(0, 1_000_000)), max_size=2, unique_by=lambda r: r.name),
    st.integers(0, 50),
    st.integers(0, 10_000),
)
def test_small_carts_agree_with_decimals(items, inclusive, rates, shipping, basis_points):
    """Small, so that a failure shrinks to something that can be worked out by hand."""
    offer = Offer(1, "O", "percentage", basis_points=basis_points)
    taxation = Taxation(inclusive, {"": tuple(rates)}, tuple(rates))
    check(PriceRequest(tuple(items), taxation, shipping, (offer,)))


def order(*items: Item, offers: tuple[Offer, ...] = (), shipping: int = 0, taxation: Taxation | None = None) -> Price:
    return price_order(PriceRequest(items, taxation or Taxation(inclusive=True), shipping, offers))


def test_halves_round_up_once_for_each_rate():
    rates = (Rate("Tax", 50_000),)
    price = order(Item(5, 1), Item(5, 1), taxation=Taxation(False, {"": rates}))
    # 5 % of 10 is 0.5; rounded line by line it would be nothing.
    assert (price.tax, [line.tax for line in price.lines]) == (1, [1, 0])


def test_two_rates_are_rounded_each_for_itself_and_shown_by_name():
    rates = (Rate("GST", 50_000), Rate("PST", 70_000))
    price = order(Item(1010, 1), taxation=Taxation(False, {"": rates}))
    assert [(entry.name, entry.tax_minor) for entry in price.taxes] == [("GST", 51), ("PST", 71)]
    assert price.total == 1010 + 51 + 71


def test_included_tax_leaves_the_total_alone():
    price = order(Item(11900, 1), taxation=Taxation(True, {"": STANDARD_RATES}))
    assert (price.tax, price.total) == (1900, 11900)


def test_a_class_has_its_own_rate_and_shipping_the_standard_one():
    taxation = Taxation(False, {"": STANDARD_RATES, "books": (Rate("Reduced", 70_000),)}, STANDARD_RATES)
    price = order(Item(1000, 1), Item(1000, 1, tax_class="books"), shipping=500, taxation=taxation)
    assert [line.tax for line in price.lines] == [190, 70] and price.shipping_tax == 95
    assert {entry.name: entry.base_minor for entry in price.taxes} == {"VAT": 1500, "Reduced": 1000}


def test_a_discount_is_divided_by_the_largest_remainder():
    price = order(Item(100, 1), Item(100, 1), Item(100, 1), offers=(Offer(1, "O", "fixed", amount_minor=100),))
    assert [line.discount for line in price.lines] == [34, 33, 33]


def test_an_amount_off_is_never_more_than_the_goods():
    price = order(Item(300, 1), offers=(Offer(1, "O", "fixed", amount_minor=10_000),), shipping=500)
    assert (price.discount, price.shipping, price.total) == (300, 500, 500)


def test_buy_two_get_the_cheapest_free_counts_pieces_over_lines():
    offer = Offer(1, "O", "buy_x_get_y", basis_points=10_000, buy_quantity=2, get_quantity=1)
    price = order(Item(900, 2), Item(500, 3), Item(100, 1), offers=(offer,))
    # Six pieces make two sets: the two cheapest are free.
    assert [line.discount for line in price.lines] == [0, 500, 100]


def test_a_promotion_for_a_category_leaves_the_rest_alone():
    offer = Offer(1, "O", "percentage", basis_points=5000, categories=frozenset({7}))
    price = order(Item(1000, 1, categories=frozenset({1, 7})), Item(1000, 1), offers=(offer,))
    assert [line.discount for line in price.lines] == [500, 0]


def test_priorities_decide_what_comes_first():
    fixed = Offer(1, "Fixed", "fixed", amount_minor=100, priority=1, combinable=True)
    half = Offer(2, "Half", "percentage", basis_points=5000, priority=2, combinable=True)
    assert order(Item(1000, 1), offers=(half, fixed)).total == 450
    later = Offer(1, "Fixed", "fixed", amount_minor=100, priority=3, combinable=True)
    assert order(Item(1000, 1), offers=(half, later)).total == 400


def test_what_does_not_combine_applies_alone_and_only_if_it_saves_more():
    small = Offer(1, "Small", "percentage", basis_points=1000, combinable=True)
    alone = Offer(2, "Alone", "percentage", basis_points=1500)
    free = Offer(3, "Free", "free_shipping", combinable=True)
    price = order(Item(1000, 1), shipping=300, offers=(small, alone, free))
    assert [found.offer.name for found in price.applied] == ["Small", "Free"] and price.total == 900
    price = order(Item(10_000, 1), shipping=300, offers=(small, alone, free))
    assert [found.offer.name for found in price.applied] == ["Alone"] and price.total == 8800


def test_of_equals_the_first_is_taken():
    one, two = Offer(1, "One", "fixed", amount_minor=100), Offer(2, "Two", "fixed", amount_minor=100)
    for offers in ((one, two), (two, one)):
        assert [found.offer.id for found in order(Item(1000, 1), offers=offers).applied] == [1]
