"""When a promotion is open, and who counts as the same customer."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from pasargad.promotions.rules import Offer, Refusal, Shopper, refusal
from pasargad.promotions.services import customer_key

NOW = timezone.now()
HOUR = timedelta(hours=1)


def why(shopper: Shopper | None = None, subtotal: int = 1000, **fields):
    return refusal(Offer(1, "O", "percentage", **fields), shopper or Shopper("ada", logged_in=True), subtotal, NOW)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, None),
        ({"is_active": False}, Refusal.UNKNOWN),
        ({"starts_at": NOW + HOUR}, Refusal.NOT_YET),
        ({"starts_at": NOW, "ends_at": NOW + HOUR}, None),
        ({"ends_at": NOW}, Refusal.OVER),
        ({"left": 0}, Refusal.USED_UP),
        ({"left": 1}, None),
        ({"minimum_minor": 1001}, Refusal.MINIMUM),
        ({"minimum_minor": 1000}, None),
        ({"per_customer_limit": 2, "used_by_customer": 1}, None),
        ({"per_customer_limit": 2, "used_by_customer": 2}, Refusal.USED_BY_YOU),
    ],
)
def test_a_promotion_says_why_it_is_closed(fields, reason):
    assert why(**fields) == reason


def test_a_first_order_is_the_first_and_only_one():
    known = Shopper("ada", logged_in=True, has_ordered=True)
    assert why(known, first_order_only=True) == Refusal.FIRST_ORDER
    assert why(first_order_only=True) is None
    # Two orders at once: the second finds the first one's use, although that order is not paid yet.
    assert why(first_order_only=True, used_by_customer=1) == Refusal.USED_BY_YOU


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"logged_in_only": True}, Refusal.LOG_IN),
        ({"first_order_only": True}, Refusal.LOG_IN),
        ({"first_order_only": True, "code": "FIRST"}, Refusal.LOG_IN),
        ({"per_customer_limit": 1}, Refusal.LOG_IN),
        ({"per_customer_limit": 1, "code": "ONCE"}, None),
    ],
)
def test_what_depends_on_who_buys_asks_guests_to_log_in(fields, reason):
    assert why(Shopper(), **fields) == reason
    assert why(**fields) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ada@example.org", "ADA@Example.ORG"),
        ("ada@example.org", " ada@example.org "),
        ("ada@example.org", "ada+again@example.org"),
        ("ada.lovelace@gmail.com", "adalovelace@gmail.com"),
        ("ada.lovelace@gmail.com", "A.D.A.Lovelace+x@GoogleMail.com"),
        ("ada@example.org", "\uff41da@example.org"),
    ],
)
def test_one_customer_however_the_address_is_written(one, other):
    assert customer_key(one) == customer_key(other) != ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ada@example.org", "ada@example.com"),
        ("ada.l@example.org", "adal@example.org"),
        ("ada@example.org", "eve@example.org"),
    ],
)
def test_other_customers_are_others(one, other):
    assert customer_key(one) != customer_key(other)


def test_nobody_has_no_key():
    assert customer_key("") == "" == customer_key("no address")
