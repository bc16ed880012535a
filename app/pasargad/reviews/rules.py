"""Who may review what."""

from __future__ import annotations

import hashlib

from pasargad.orders.models import Order, Status

# Who has the goods, or soon will, may judge them.
RECEIVED = frozenset({Status.SHIPPED, Status.DELIVERED})


def buyer_of(order: Order) -> str:
    """Return the digest of who bought: of the account's mail address, or of the one the guest gave."""
    email = order.user.email if order.user else order.email
    return hashlib.sha256(f"review:{email.strip().lower()}".encode()).hexdigest()
