"""Idempotency keys: told to the provider and written to logs, so they contain no secret."""

from __future__ import annotations

import re

from django.conf import settings

from pasargad.orders.models import Order


def attempt_key(order: Order, number: int) -> str:
    return f"{settings.PASARGAD_ENVIRONMENT}-{order.number}-a{number}"


def refund_key(order: Order, attempt: int, refund: int, sending: int = 1) -> str:
    """The sending is part of the key: a refund that failed would be answered with its failure for ever."""
    return f"{attempt_key(order, attempt)}-r{refund}-s{sending}"


def next_key(key: str, sending: int) -> str:
    """Return a refund's key for another sending; older keys had none."""
    return f"{re.sub(r'-s[0-9]+$', '', key)}-s{sending}"
