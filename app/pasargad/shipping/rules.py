"""What sending costs: pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pasargad.catalog.places import Area, Destination

Sides = tuple[int, int, int]


@dataclass(frozen=True)
class Load:
    """What is sent: its weight, its worth before discounts, and the sides of each kind of piece in mm (0: unknown)."""

    grams: int
    subtotal: int
    pieces: tuple[Sides, ...] = ()


@dataclass(frozen=True)
class Method:
    """`bands` are pairs of a greatest weight and a price; `box` is what each piece must fit into (None: no limit)."""

    id: int
    name: str
    zone: str = ""
    description: str = ""
    base_minor: int = 0
    per_kilogram_minor: int = 0
    free_from_minor: int = 0
    bands: tuple[tuple[int, int], ...] = ()
    max_grams: int | None = None
    box: tuple[int | None, int | None, int | None] = (None, None, None)
    days: tuple[int, int] = (0, 0)
    carrier: str = ""
    service: str = ""


@dataclass(frozen=True)
class Zone:
    name: str
    area: Area
    position: int
    methods: tuple[Method, ...]


@dataclass(frozen=True)
class Option:
    """A method that can be had, at its price."""

    method: Method
    price_minor: int

    @property
    def value(self) -> str:
        """What a form sends to choose it."""
        return str(self.method.id)


@dataclass(frozen=True)
class Point:
    """A place to collect at; `lines` is its address as it is printed."""

    id: int
    name: str
    lines: tuple[str, ...]
    place: Destination
    opening_hours: str = ""


def zone_at(place: Destination, zones: Sequence[Zone]) -> Zone | None:
    fitting = [(rank, -zone.position, zone) for zone in zones if (rank := zone.area.rank(place)) is not None]
    return max(fitting, key=lambda entry: entry[:2])[2] if fitting else None


def options(place: Destination, zones: Sequence[Zone], load: Load) -> tuple[Option, ...]:
    """Return what can be had at a place, cheapest first."""
    zone = zone_at(place, zones)
    priced = [(fee(method, load), method) for method in zone.methods] if zone else []
    found = [Option(method, price) for price, method in priced if price is not None]
    return tuple(sorted(found, key=lambda option: option.price_minor))


def fee(method: Method, load: Load) -> int | None:
    """Return the price of sending a load, or None if the method does not take it."""
    if method.max_grams is not None and load.grams > method.max_grams:
        return None
    if not all(_fits(sides, method.box) for sides in load.pieces):
        return None
    if method.bands:
        price = next((price for up_to, price in sorted(method.bands) if load.grams <= up_to), None)
        if price is None:
            return None
    else:
        kilograms_begun = -(-load.grams // 1000)
        price = method.base_minor + kilograms_begun * method.per_kilogram_minor
    return 0 if method.free_from_minor and load.subtotal >= method.free_from_minor else price


def _fits(sides: Sides, box: tuple[int | None, int | None, int | None]) -> bool:
    """A piece may be turned: its longest side meets the box's first limit, and so on."""
    return all(limit is None or side <= limit for side, limit in zip(sorted(sides, reverse=True), box, strict=True))
