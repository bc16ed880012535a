"""Orders are opened by their links."""

from __future__ import annotations

from django.http import Http404

from pasargad.orders.models import Order
from pasargad.orders.selectors import order_by_token


def order_of_link(token: str) -> Order:
    """Return the order whose link somebody followed; a wrong one leads to nothing."""
    try:
        return order_by_token(token)
    except Order.DoesNotExist:
        raise Http404 from None
