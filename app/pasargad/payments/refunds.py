"""Giving money back: noted with its key before the provider is called, and never more than was received."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from pasargad.orders.models import Status
from pasargad.orders.services import order_lock, order_move

from . import gateway
from .exceptions import ProviderRefused, ProviderUnreachable
from .models import PaymentAttempt, Refund

logger = logging.getLogger(__name__)


def refund_open(attempt: PaymentAttempt, amount_minor: int, reason: str) -> Refund:
    """Note, in the caller's transaction, that money is due back; a worker sends it."""
    from .tasks import refund_send_task

    number = Refund.objects.filter(attempt=attempt).count() + 1
    # The CHECK on the attempt refuses more than was received.
    PaymentAttempt.objects.filter(pk=attempt.pk).update(refunded_minor=F("refunded_minor") + amount_minor)
    refund = Refund.objects.create(
        attempt=attempt,
        amount_minor=amount_minor,
        reason=reason,
        idempotency_key=f"{attempt.idempotency_key}-r{number}",
    )
    refund_send_task.enqueue(refund.pk)
    return refund


def refund_send(refund_id: int) -> None:
    """Send one refund; safe to repeat, the provider answers a known key with the same refund."""
    refund = Refund.objects.select_related("attempt").get(pk=refund_id)
    if refund.status != Refund.Status.CREATED:
        return
    try:
        provider_id = gateway.refund_create(
            intent_id=refund.attempt.intent_id or "", amount=refund.amount_minor, key=refund.idempotency_key
        )
    except ProviderUnreachable:
        logger.warning("refund not sent yet", extra={"refund": refund.idempotency_key})
        return
    except ProviderRefused as error:
        logger.error("refund refused", extra={"refund": refund.idempotency_key, "reason": str(error)})
        Refund.objects.filter(pk=refund.pk).update(status=Refund.Status.FAILED, error=str(error)[:300])
        return
    with transaction.atomic():
        order = order_lock(refund.attempt.order_id)
        changed = Refund.objects.filter(pk=refund.pk, status=Refund.Status.CREATED).update(
            status=Refund.Status.SUCCEEDED, provider_id=provider_id, updated_at=timezone.now()
        )
        if changed and order.status == Status.REFUND_DUE:
            order_move(order, Status.REFUNDED, actor="shop", note=refund.reason)


def refunds_resend(*, quiet_seconds: int = 60) -> int:
    """Send again what got no answer; returns how many were tried."""
    before = timezone.now() - timedelta(seconds=quiet_seconds)
    ids = list(Refund.objects.filter(status=Refund.Status.CREATED, created_at__lt=before).values_list("pk", flat=True))
    for pk in ids:
        refund_send(pk)
    return len(ids)
