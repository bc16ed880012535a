"""Messages about money that has arrived: refunds and disputes. One that comes before its payment waits for it."""

from __future__ import annotations

import logging
from typing import Any

from django.db import transaction
from django.db.models import QuerySet, Sum

from .disputes import dispute_settle
from .gateway import Case, Sent
from .models import PaymentAttempt, Refund, WebhookEvent
from .refunds import refund_settle

logger = logging.getLogger(__name__)

# What the shop must hear of: also what the reconciler asks for.
TYPES = [
    "payment_intent.succeeded",
    "payment_intent.processing",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
    "charge.refunded",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
]


def money_message(event: dict[str, Any]) -> bool:
    """Do what a message about a refund or a dispute asks for; False if its payment is not here yet."""
    subject = event["data"]["object"]
    kind = subject.get("object")
    if kind == "refund":
        return refund_settle(Sent.read(subject), actor="provider")
    if kind == "dispute":
        return dispute_settle(Case.read(subject))
    if event["type"] == "charge.refunded":
        return _charge_refunded(subject)
    return True


def intent_of(event: dict[str, Any]) -> str:
    """Return which payment a message is about."""
    return str(event["data"]["object"].get("payment_intent") or "")


def settle_waiting(intent_id: str) -> None:
    """Do what waited for this payment, in the transaction that notes it.

    One that is refused undoes neither the payment nor the others: it waits on, is tried again, and staff see it.
    """
    for row in WebhookEvent.objects.select_for_update().filter(subject=intent_id, waiting=True).order_by("pk"):
        try:
            with transaction.atomic():
                if money_message(row.payload):
                    WebhookEvent.objects.filter(pk=row.pk).update(waiting=False)
        except Exception:
            logger.exception("what waits for a payment cannot be done", extra={"event": row.event_id})


def messages_refused() -> QuerySet[WebhookEvent]:
    """Return what still waits although its payment is here: it was refused, and is tried again."""
    here = PaymentAttempt.objects.filter(received_minor__gt=0).exclude(intent_id=None)
    return WebhookEvent.objects.filter(waiting=True, subject__in=here.values("intent_id"))


def _charge_refunded(charge: dict[str, Any]) -> bool:
    """A charge only tells a sum: when it is more than we know of, the provider is asked for the refunds."""
    from .tasks import refunds_check_task

    attempt = PaymentAttempt.objects.filter(intent_id=charge.get("payment_intent") or "").first()
    if attempt is None or not attempt.received_minor:
        return False
    given = Refund.objects.filter(attempt=attempt, status__in=[Refund.Status.PENDING, Refund.Status.SUCCEEDED])
    if charge.get("amount_refunded", 0) > given.aggregate(total=Sum("amount_minor", default=0))["total"]:
        refunds_check_task.enqueue(attempt.pk)
    return True
