"""What else than a parcel moves an order on: pieces that are not sent any more."""

from __future__ import annotations

from typing import Any

from django.dispatch import receiver

from pasargad.orders.models import Order
from pasargad.orders.signals import pieces_refunded

from .services import order_advance


@receiver(pieces_refunded)
def follow_refund(sender: Any, order: Order, actor: str, **kwargs: Any) -> None:
    order_advance(order, actor)
