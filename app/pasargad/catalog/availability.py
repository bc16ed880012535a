"""Whether and when goods can be had."""

from __future__ import annotations

from typing import NamedTuple


class Availability(NamedTuple):
    """Of one variant or the best of a product: pieces in stock, or made to order within working days."""

    left: int
    made_to_order: bool
    lead_days: int


SOLD_OUT = Availability(0, False, 0)
