from __future__ import annotations

from .rules import Refusal


class CouponUsedUp(Exception):
    """Another order used the last one between the quote and the order."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason.value)
        self.reason = reason
