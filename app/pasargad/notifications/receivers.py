"""Which steps of an order are told to the shopper."""

from __future__ import annotations

from typing import Any

from django.dispatch import receiver

from pasargad.orders.models import Order, Status
from pasargad.orders.signals import order_changed

from .services import mail_queue

KIND_OF = {Status.PAID: "order_confirmation", Status.REFUNDED: "order_refunded"}


@receiver(order_changed)
def tell_shopper(sender: Any, order: Order, after: Status, **kwargs: Any) -> None:
    if kind := KIND_OF.get(after):
        mail_queue(kind, key=str(order.pk), recipient=order.email)
