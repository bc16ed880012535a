"""Which steps of an order, its refunds and its returns are told, and to whom."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.dispatch import receiver

from pasargad.orders.models import Order, Status
from pasargad.orders.return_models import ReturnRequest, ReturnState
from pasargad.orders.signals import money_returned, order_changed, payment_disputed, return_changed

from .services import mail_queue

KIND_OF = {
    Status.PAID: "order_confirmation",
    Status.PROCESSING: "order_processing",
    Status.READY_FOR_PICKUP: "order_ready_for_pickup",
    Status.SHIPPED: "order_shipped",
    Status.DELIVERED: "order_delivered",
    Status.EXPIRED: "order_expired",
    Status.CANCELLED: "order_cancelled",
    Status.REFUND_DUE: "order_refund_due",
    Status.REFUNDED: "order_refunded",
}
KIND_OF_RETURN = {
    ReturnState.REQUESTED: "return_requested",
    ReturnState.ACCEPTED: "return_accepted",
    ReturnState.REFUSED: "return_refused",
    ReturnState.RECEIVED: "return_received",
    ReturnState.CLOSED: "return_closed",
}


@receiver(order_changed)
def tell_shopper(sender: Any, order: Order, after: Status, **kwargs: Any) -> None:
    if kind := KIND_OF.get(after):
        mail_queue(kind, key=str(order.pk), recipient=order.email, language=order.language)


@receiver(money_returned)
def tell_of_money(sender: Any, order: Order, reference: str, amount_minor: int, **kwargs: Any) -> None:
    key = f"{order.pk}:{reference}:{amount_minor}"
    mail_queue("refund_sent", key=key, recipient=order.email, language=order.language)


@receiver(return_changed)
def tell_of_return(sender: Any, request: ReturnRequest, after: ReturnState, **kwargs: Any) -> None:
    if kind := KIND_OF_RETURN.get(after):
        order = request.order
        mail_queue(kind, key=f"{order.pk}:{request.pk}", recipient=order.email, language=order.language)


@receiver(payment_disputed)
def tell_staff(sender: Any, order: Order, reference: str, amount_minor: int, **kwargs: Any) -> None:
    mail_queue("staff_dispute", key=f"{order.pk}:{reference}:{amount_minor}", recipient=settings.ADMIN_EMAIL)
