"""Money: whole minor units (cents) and a currency; never a float."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from django.utils.translation import get_language_bidi

SYMBOLS = {"usd": "$", "eur": "€", "gbp": "£", "cad": "CA$"}
# Unicode's marks around what runs from left to right by itself (UAX 9): they show nothing and work in mails, too.
ISOLATE, END_OF_ISOLATE = "\u2066", "\u2069"
# ISO 4217: currencies without a minor unit.
WITHOUT_MINOR = {"jpy", "krw", "irr", "clp"}


@dataclass(frozen=True, order=True)
class Money:
    minor: int
    currency: str

    @property
    def exponent(self) -> int:
        return 0 if self.currency in WITHOUT_MINOR else 2

    @property
    def decimal(self) -> Decimal:
        return Decimal(self.minor).scaleb(-self.exponent)

    def __str__(self) -> str:
        return self._shown(self.exponent)

    @property
    def whole(self) -> str:
        """The amount without its minor part where that is nothing."""
        return self._shown(0 if self.minor % 10**self.exponent == 0 else self.exponent)

    def _shown(self, places: int) -> str:
        number = f"{abs(self.decimal):,.{places}f}"
        sign = "-" if self.minor < 0 else ""
        symbol = SYMBOLS.get(self.currency)
        text = f"{sign}{symbol}{number}" if symbol else f"{sign}{number} {self.currency.upper()}"
        # Among words that run from right to left, the sign or the currency would jump to the other end of the number.
        return f"{ISOLATE}{text}{END_OF_ISOLATE}" if get_language_bidi() else text

    def __bool__(self) -> bool:
        return self.minor != 0


def half_up(numerator: int, denominator: int) -> int:
    """Round a quotient that is not negative: the one rounding rule for money."""
    return (2 * numerator + denominator) // (2 * denominator)


def spread(total: int, weights: Sequence[int | Fraction]) -> list[int]:
    """Divide a sum in proportion to weights so that the parts add up to it (largest remainder, first wins a tie).

    No part is more than its exact share rounded up, so a sum that is at most the weights' leaves none above its weight.
    """
    whole = sum(weights)
    if not whole:
        return [0 for _ in weights]
    shares = [Fraction(total * weight) / whole for weight in weights]
    parts = [share.numerator // share.denominator for share in shares]
    left = total - sum(parts)
    order = sorted(range(len(parts)), key=lambda index: (parts[index] - shares[index], index))
    for index in order[:left]:
        parts[index] += 1
    return parts
