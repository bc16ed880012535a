"""The page of figures: what was sold and how shoppers came to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.formats import date_format

from pasargad.analytics import selectors
from pasargad.analytics.selectors import RANGES, Day, Totals
from pasargad.catalog.money import Money

from .charts import Chart, bars


@dataclass(frozen=True)
class Card:
    """One figure, what it was in the time before, and whether it went `up`, `down` or stayed."""

    label: str
    value: str
    before: str
    change: str
    way: str
    help: str = ""


@dataclass(frozen=True)
class FunnelStep:
    """`width` is the part of the first step, in hundredths, for a bar that is 100 wide."""

    label: str
    count: int
    width: float
    share: str


def figures(request: HttpRequest) -> HttpResponse:
    """Show a range of days, 30 unless the address asks for another."""
    if not request.user.has_perm("staff.see_analytics"):  # type: ignore[union-attr]
        raise PermissionDenied
    asked = request.GET.get("days", "30")
    if asked not in map(str, RANGES):
        raise Http404
    span = selectors.range_of(int(asked))
    now, before = selectors.totals(span), selectors.totals(span.before)
    each = selectors.days(span)
    context = {
        **admin.site.each_context(request),
        "title": "Figures",
        "span": span,
        "ranges": [(days, days == span.days) for days in RANGES],
        "cards": cards(now, before),
        "charts": [
            _chart("revenue", "Revenue", each, lambda day: day.revenue, lambda minor: str(_money(minor))),
            _chart("orders", "Orders paid", each, lambda day: day.paid, str),
            _chart("sessions", "Sessions", each, lambda day: day.sessions, lambda number: f"{number:,}"),
        ],
        "funnel": funnel(now),
        "sellers": [(sku, name, pieces, _money(worth)) for sku, name, pieces, worth in selectors.best_sellers(span)],
        "referrers": selectors.referrers(span),
        "found": selectors.searches(span, found=True),
        "missed": selectors.searches(span, found=False),
        "coupons": [(name, code, uses, _money(saved)) for name, code, uses, saved in selectors.coupons(span)],
        "zone": settings.TIME_ZONE,
        "currency": settings.SHOP.currency.upper(),
        "retention": settings.ANALYTICS.retention_days,
    }
    return render(request, "staff/figures.html", context)


def cards(now: Totals, before: Totals) -> list[Card]:
    def money(minor: float) -> str:
        return str(_money(int(minor)))

    def count(number: float) -> str:
        return f"{int(number):,}"

    def percent(number: float) -> str:
        return f"{number:.1f} %"

    wanted: list[tuple[str, Callable[[Totals], float], Callable[[float], str], str]] = [
        ("Revenue", lambda t: t.revenue, money, "Received for orders, less what was given back: as the ledger says."),
        ("Orders paid", lambda t: t.paid, count, ""),
        ("Average order", lambda t: t.average_order, money, "Received for each paid order."),
        ("Sessions", lambda t: t.sessions, count, "Visits with pauses under half an hour."),
        ("Visitors", lambda t: t.visitors, count, "Counted anew each day, as nobody is recognised."),
        ("Conversion", lambda t: t.conversion, percent, "Paid orders for a hundred sessions."),
        ("Returns", lambda t: t.returns_rate, percent, "Pieces that came back for a hundred sold."),
        ("Given back", lambda t: t.given_back, money, ""),
    ]
    return [_card(label, take(now), take(before), show, text) for label, take, show, text in wanted]


def funnel(found: Totals) -> list[FunnelStep]:
    steps = [
        ("Sessions", found.sessions),
        ("Looked at a product", found.product_sessions),
        ("Made a cart", found.carts),
        ("Came to the checkout", found.checkout_sessions),
        ("Placed an order", found.placed),
        ("Paid", found.paid),
    ]
    most = max(1, *(count for _, count in steps))
    first = found.sessions
    return [
        FunnelStep(label, count, round(100 * count / most, 1), f"{100 * count / first:.1f} %" if first else "-")
        for label, count in steps
    ]


def _card(label: str, now: float, before: float, show: Callable[[float], str], text: str) -> Card:
    way = "up" if now > before else "down" if now < before else "same"
    change = f"{100 * (now - before) / abs(before):+.0f} %" if before else ("new" if now else "-")
    return Card(label, show(now), show(before), change, way, text)


def _chart(name: str, title: str, each: Sequence[Day], take: Callable[[Day], int], show: Callable[[int], Any]) -> Chart:
    """Draw days, or weeks where there are too many days to tell apart."""
    if len(each) <= 92:
        return bars(name, title, [(_short(day.day), take(day)) for day in each], show)
    first = len(each) % 7
    weeks = [each[:first], *(each[start : start + 7] for start in range(first, len(each), 7))]
    points = [(_short(week[0].day), sum(map(take, week))) for week in weeks if week]
    return bars(name, f"{title}, by week", points, show)


def _short(day: date) -> str:
    return date_format(day, "j M")


def _money(minor: int) -> Money:
    return Money(minor, settings.SHOP.currency)
