"""How much tax is in, or on, amounts: pure functions. Each rate is rounded once, half up, on the sum of its amounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from pasargad.catalog.money import half_up, spread
from pasargad.catalog.places import Area, Destination

STANDARD = ""
WHOLE = 1_000_000


@dataclass(frozen=True, order=True)
class Rate:
    """`ppm` in millionths: 20 % is 200,000."""

    name: str
    ppm: int


@dataclass(frozen=True)
class Taxation:
    """The rates that hold for one order, by tax class and for shipping."""

    inclusive: bool
    rates: Mapping[str, tuple[Rate, ...]] = field(default_factory=dict)
    shipping: tuple[Rate, ...] = ()

    def of_class(self, code: str) -> tuple[Rate, ...]:
        """Return a class's own rates; a class without any has the standard ones."""
        return self.rates.get(code) or self.rates.get(STANDARD, ())


@dataclass(frozen=True)
class Zone:
    area: Area
    position: int
    taxation: Taxation


@dataclass(frozen=True)
class Classes:
    """Which class goods are of: their product's, or that of the nearest category above them."""

    products: Mapping[int, str] = field(default_factory=dict)
    categories: Mapping[int, str] = field(default_factory=dict)

    def of(self, product_id: int, categories: Sequence[int]) -> str:
        """`categories` from the root down to the product's own."""
        if product_id in self.products:
            return self.products[product_id]
        return next((self.categories[pk] for pk in reversed(categories) if pk in self.categories), STANDARD)


@dataclass(frozen=True)
class TaxSum:
    """One rate's tax on everything that it holds for; `base_minor` with the tax if prices contain it."""

    name: str
    ppm: int
    base_minor: int
    tax_minor: int


@dataclass(frozen=True)
class Taxed:
    """`parts` gives, for each amount in order, the tax of each of its rates."""

    sums: tuple[TaxSum, ...]
    parts: tuple[tuple[tuple[Rate, int], ...], ...]

    @property
    def total(self) -> int:
        return sum(entry.tax_minor for entry in self.sums)


def taxation_at(place: Destination, zones: Sequence[Zone], otherwise: Taxation) -> Taxation:
    """Return what holds at a place: the closest zone's rates, or those of the settings."""
    fitting = [(rank, -zone.position, zone) for zone in zones if (rank := zone.area.rank(place)) is not None]
    return max(fitting, key=lambda entry: entry[:2])[2].taxation if fitting else otherwise


def tax(amounts: Sequence[tuple[int, tuple[Rate, ...]]], *, inclusive: bool) -> Taxed:
    """Tax amounts, each with its rates; a rate's rounded sum is spread over its amounts by the largest remainder."""
    shares: dict[Rate, dict[int, Fraction]] = {}
    for index, (amount, rates) in enumerate(amounts):
        divisor = WHOLE + (sum(rate.ppm for rate in rates) if inclusive else 0)
        for rate in rates:
            shares.setdefault(rate, {})[index] = Fraction(amount * rate.ppm, divisor)
    parts: list[list[tuple[Rate, int]]] = [[] for _ in amounts]
    sums = []
    for rate, by_index in shares.items():
        exact = sum(by_index.values(), Fraction(0))
        total = half_up(exact.numerator, exact.denominator)
        for index, part in zip(by_index, spread(total, list(by_index.values())), strict=True):
            parts[index].append((rate, part))
        sums.append(TaxSum(rate.name, rate.ppm, sum(amounts[index][0] for index in by_index), total))
    return Taxed(tuple(sums), tuple(tuple(part) for part in parts))
