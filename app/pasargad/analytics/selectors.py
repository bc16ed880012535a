"""The figures of a range of days, compared with as many days before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils import timezone

RANGES = (7, 30, 90, 365)
TOP = 10


@dataclass(frozen=True)
class Range:
    """Whole days of the shop's calendar, both ends included; today is the last."""

    first: date
    last: date

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def before(self) -> Range:
        return Range(self.first - timedelta(days=self.days), self.first - timedelta(days=1))


@dataclass(frozen=True)
class Totals:
    """Sums of a range. Money in minor units of the shop's currency."""

    views: int = 0
    visitors: int = 0
    sessions: int = 0
    product_sessions: int = 0
    checkout_sessions: int = 0
    carts: int = 0
    placed: int = 0
    paid: int = 0
    pieces: int = 0
    returned: int = 0
    received: int = 0
    given_back: int = 0

    @property
    def revenue(self) -> int:
        """What shoppers paid less what they were promised back: the books' account of orders."""
        return self.received - self.given_back

    @property
    def average_order(self) -> int:
        return round(self.received / self.paid) if self.paid else 0

    @property
    def conversion(self) -> float:
        """Paid orders for a hundred sessions."""
        return 100 * self.paid / self.sessions if self.sessions else 0.0

    @property
    def returns_rate(self) -> float:
        """Pieces that came back for a hundred sold in the same time."""
        return 100 * self.returned / self.pieces if self.pieces else 0.0


@dataclass(frozen=True)
class Day:
    day: date
    sessions: int
    paid: int
    revenue: int


TOTALS = """
SELECT coalesce(sum(t.views), 0), coalesce(sum(t.visitors), 0), coalesce(sum(t.sessions), 0),
    coalesce(sum(t.product_sessions), 0), coalesce(sum(t.checkout_sessions), 0), coalesce(sum(d.carts), 0),
    coalesce(sum(d.placed), 0), coalesce(sum(d.paid), 0), coalesce(sum(d.pieces), 0), coalesce(sum(d.returned), 0),
    coalesce(sum(m.received), 0), coalesce(sum(m.given_back), 0)
FROM generate_series(%(first)s::date, %(last)s::date, '1 day') AS each(day)
LEFT JOIN analytics_traffic t ON t.day = each.day LEFT JOIN analytics_trade d ON d.day = each.day
LEFT JOIN analytics_money m ON m.day = each.day AND m.currency = %(currency)s
"""
DAYS = """
SELECT each.day::date, coalesce(t.sessions, 0), coalesce(d.paid, 0), coalesce(m.received - m.given_back, 0)
FROM generate_series(%(first)s::date, %(last)s::date, '1 day') AS each(day)
LEFT JOIN analytics_traffic t ON t.day = each.day LEFT JOIN analytics_trade d ON d.day = each.day
LEFT JOIN analytics_money m ON m.day = each.day AND m.currency = %(currency)s ORDER BY 1
"""
SELLERS = """
SELECT sku, max(name), sum(pieces)::bigint, sum(worth)::bigint FROM analytics_seller
WHERE day BETWEEN %(first)s AND %(last)s AND currency = %(currency)s
GROUP BY sku ORDER BY 4 DESC, 1 LIMIT %(top)s
"""
REFERRERS = """
SELECT referrer, sum(sessions)::bigint FROM analytics_referrer WHERE day BETWEEN %(first)s AND %(last)s
GROUP BY referrer ORDER BY 2 DESC, 1 LIMIT %(top)s
"""
SEARCHES = """
SELECT term, sum(searches)::bigint FROM analytics_search WHERE day BETWEEN %(first)s AND %(last)s AND found = %(found)s
GROUP BY term ORDER BY 2 DESC, 1 LIMIT %(top)s
"""
COUPONS = """
SELECT max(name), code, sum(uses)::bigint, sum(saved)::bigint FROM analytics_coupon
WHERE day BETWEEN %(first)s AND %(last)s GROUP BY promotion_id, code ORDER BY 3 DESC, 1 LIMIT %(top)s
"""


def range_of(days: int) -> Range:
    today = timezone.localdate()
    return Range(today - timedelta(days=days - 1), today)


def totals(span: Range) -> Totals:
    return Totals(*(int(value) for value in _rows(TOTALS, span)[0]))


def days(span: Range) -> list[Day]:
    """Return every day of a range, also those on which nothing happened."""
    return [Day(day, int(sessions), int(paid), int(revenue)) for day, sessions, paid, revenue in _rows(DAYS, span)]


def best_sellers(span: Range) -> list[tuple[str, str, int, int]]:
    """Return (SKU, name, pieces, worth in minor units), the most money first."""
    return _rows(SELLERS, span)


def referrers(span: Range) -> list[tuple[str, int]]:
    """Return (host, sessions); an empty host came directly."""
    return _rows(REFERRERS, span)


def searches(span: Range, *, found: bool) -> list[tuple[str, int]]:
    return _rows(SEARCHES, span, found=found)


def coupons(span: Range) -> list[tuple[str, str, int, int]]:
    """Return (promotion, code, uses, saved in minor units)."""
    return _rows(COUPONS, span)


def _rows(sql: str, span: Range, **more: Any) -> list[Any]:
    values = {"first": span.first, "last": span.last, "currency": settings.SHOP.currency, "top": TOP, **more}
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        rows: Sequence[Any] = cursor.fetchall()
    return list(rows)
