"""The smallest sums that the payment provider takes, by currency, in minor units.

Source: https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts
"""

from __future__ import annotations

SMALLEST_MINOR = {
    "aud": 50, "brl": 50, "cad": 50, "chf": 50, "czk": 1500, "dkk": 250, "eur": 50, "gbp": 30, "huf": 17500, "inr": 50,
    "jpy": 50, "mxn": 1000, "nok": 300, "nzd": 50, "pln": 200, "sek": 300, "sgd": 50, "usd": 50,
}  # fmt: skip


def too_small_to_pay(total_minor: int, currency: str) -> bool:
    """Whether nobody could pay this; what costs nothing needs no payment."""
    return 0 < total_minor < SMALLEST_MINOR.get(currency.lower(), 1)
