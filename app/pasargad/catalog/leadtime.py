"""How long the workshop takes for what is printed after the order."""

from __future__ import annotations


def lead_days(
    print_minutes: int, *, quantity: int = 1, printers: int = 1, minutes_per_day: int = 480, finishing_days: int = 1
) -> int:
    """Return the working days until so many pieces leave: one piece is printed by one printer from end to end.

    Each printer takes whole pieces, one after the other; pieces that take longer than a day run on over night, so
    only the minutes of working days count.
    """
    if print_minutes <= 0 or quantity <= 0:
        return finishing_days
    pieces_each = -(-quantity // max(1, printers))
    return finishing_days + -(-pieces_each * print_minutes // max(1, minutes_per_day))
