"""Money: whole minor units (cents) and a currency; never a float."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

SYMBOLS = {"usd": "$", "eur": "€", "gbp": "£", "cad": "CA$"}
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
        number = f"{abs(self.decimal):,.{self.exponent}f}"
        sign = "-" if self.minor < 0 else ""
        symbol = SYMBOLS.get(self.currency)
        return f"{sign}{symbol}{number}" if symbol else f"{sign}{number} {self.currency.upper()}"

    def __bool__(self) -> bool:
        return self.minor != 0
