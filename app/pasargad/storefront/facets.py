"""The choices that narrow a list down: read from an address, and shown with how many products each would leave."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from django.conf import settings
from django.http import QueryDict
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _

from pasargad.catalog.listing import PRICE_STEPS, Counts, price_scale
from pasargad.catalog.money import Money
from pasargad.memory import worked_out

from .paging import Parameters

BUILT_IN = {"material": gettext_lazy("Material"), "colour": gettext_lazy("Colour")}
ATTRIBUTE = re.compile(r"f-[A-Za-z0-9_-]{1,40}")
PRICE = re.compile(r"([0-9]{1,6})-([0-9]{0,6})")
MOST_CHOICES = 20
LONGEST_VALUE = 60
VALUES_SHOWN = 14
# Behind any price: the column is a 32-bit integer.
NO_LIMIT = 2**31 - 1


@dataclass(frozen=True)
class Chosen:
    values: tuple[tuple[str, tuple[str, ...]], ...] = ()
    only_available: bool = False
    price: str = ""

    @property
    def price_minor(self) -> tuple[int, int] | None:
        found = PRICE.fullmatch(self.price)
        if not found:
            return None
        low, high = (int(text) * price_scale() if text else NO_LIMIT for text in found.groups())
        return low, high

    @property
    def parameters(self) -> Parameters:
        return {**dict(self.values), "available": "1" if self.only_available else "", "price": self.price}

    def each(self) -> Iterator[tuple[str, str, tuple[str, ...]]]:
        """Give each choice: its name, its words, and what is left of its name's values without it."""
        for name, values in self.values:
            for value in values:
                yield name, value, tuple(other for other in values if other != value)
        if self.price:
            yield "price", price_text(self.price), ()


@dataclass(frozen=True)
class Value:
    value: str
    label: str
    count: int
    chosen: bool


@dataclass(frozen=True)
class Facet:
    name: str
    label: str
    type: str
    values: tuple[Value, ...]


def chosen(asked: QueryDict) -> Chosen:
    """Read the choices of an address. What is no choice of ours (a campaign's mark, say) is passed over."""
    values: dict[str, tuple[str, ...]] = {}
    room = MOST_CHOICES
    for name in sorted(asked):
        if name not in BUILT_IN and not ATTRIBUTE.fullmatch(name):
            continue
        wanted = {value for value in asked.getlist(name) if value and len(value) <= LONGEST_VALUE and "\0" not in value}
        if taken := tuple(sorted(wanted)[:room]):
            values[name] = taken
            room -= len(taken)
    price = asked.get("price", "")
    found = PRICE.fullmatch(price)
    if not found or (found[2] and int(found[2]) <= int(found[1])):
        price = ""
    return Chosen(tuple(values.items()), asked.get("available") == "1", price)


def facet_views(made: Chosen, counts: Counts) -> tuple[Facet, ...]:
    """Show what can be chosen: facets with one value that everything has would narrow nothing down."""
    taken = dict(made.values)
    labels = {**{name: str(label) for name, label in BUILT_IN.items()}, **counts.labels}
    views = []
    for name in (*labels, *(name for name in taken if name not in labels)):
        found = counts.values.get(name, {})
        mine = taken.get(name, ())
        order = sorted({*found, *mine}, key=lambda value: (value not in mine, -found.get(value, 0), value))
        if len(order) < 2 and not mine:
            continue
        values = tuple(Value(value, value, found.get(value, 0), value in mine) for value in order[:VALUES_SHOWN])
        views.append(Facet(name, labels.get(name, name.removeprefix("f-")), "checkbox", values))
    if (prices := _prices(made, counts)) and (len(prices) > 2 or made.price):
        views.append(Facet("price", _("Price"), "radio", prices))
    return tuple(views)


def _prices(made: Chosen, counts: Counts) -> tuple[Value, ...]:
    edges = [0, *PRICE_STEPS]
    ranges = [f"{low}-{high}" for low, high in zip(edges, [*PRICE_STEPS, ""], strict=True)]
    shown = [
        Value(text, price_text(text), counts.prices.get(step, 0), text == made.price)
        for step, text in enumerate(ranges)
        if counts.prices.get(step) or text == made.price
    ]
    if made.price and made.price not in ranges:
        shown.append(Value(made.price, price_text(made.price), counts.total, True))
    return (Value("", _("Any price"), sum(counts.prices.values()), not made.price), *shown)


def price_text(price: str) -> str:
    return _price_text(price, get_language())


@worked_out(maxsize=500)
def _price_text(price: str, language: str | None) -> str:
    low, _dash, high = price.partition("-")

    def money(text: str) -> str:
        return Money(int(text) * price_scale(), settings.SHOP.currency).whole

    if not high:
        return _("%(low)s and more") % {"low": money(low)}
    if int(low) == 0:
        return _("Under %(high)s") % {"high": money(high)}
    return _("%(low)s to %(high)s") % {"low": money(low), "high": money(high)}
