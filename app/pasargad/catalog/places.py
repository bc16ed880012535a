"""Where something goes, and whether that lies in a zone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Destination:
    """A place as the shopper typed it; the postcode and the state are compared in capitals without gaps."""

    country: str = ""
    state: str = ""
    zip: str = ""


@dataclass(frozen=True)
class Area:
    """Countries, states and beginnings of postcodes; an empty list means all of them."""

    countries: frozenset[str] = frozenset()
    states: frozenset[str] = frozenset()
    postcodes: tuple[str, ...] = ()

    def rank(self, place: Destination) -> tuple[int, int, int] | None:
        """Return how closely the area fits a place (greater is closer), or None if the place is outside of it."""
        if self.countries and place.country not in self.countries:
            return None
        if self.states and compact(place.state) not in self.states:
            return None
        typed = compact(place.zip)
        fitting = [len(prefix) for prefix in self.postcodes if typed.startswith(prefix)]
        if self.postcodes and not fitting:
            return None
        return (max(fitting, default=0), int(bool(self.states)), int(bool(self.countries)))


def compact(text: str) -> str:
    return re.sub(r"[\s-]", "", text).upper()


def area(countries: Iterable[str], states: Iterable[str], postcodes: Iterable[str]) -> Area:
    return Area(
        frozenset(code.strip().upper() for code in countries),
        frozenset(compact(state) for state in states),
        tuple(compact(prefix) for prefix in postcodes),
    )
