"""Disputes: a bank takes a payment back until the case is decided. Messages come in any order; each counts once."""

from __future__ import annotations

import logging

from django.db import transaction
from django.db.models import Sum

from pasargad.orders.services import order_lock
from pasargad.orders.signals import payment_disputed

from .bookkeeping import book_dispute
from .gateway import Case
from .models import Dispute, PaymentAttempt

logger = logging.getLogger(__name__)

RANK = {Dispute.Status.WARNING: 0, Dispute.Status.OPEN: 1, Dispute.Status.WON: 2, Dispute.Status.LOST: 2}
TAKEN = (Dispute.Status.OPEN, Dispute.Status.LOST)


def status_of(text: str) -> Dispute.Status:
    """Return what the provider's word for a case means for money: a warning takes none, and may come to nothing."""
    if text == "warning_closed":
        return Dispute.Status.WON
    if text.startswith("warning_"):
        return Dispute.Status.WARNING
    # A case that the bank prevented or gave up is as good as won.
    closed = {"won": Dispute.Status.WON, "prevented": Dispute.Status.WON, "lost": Dispute.Status.LOST}
    return closed.get(text, Dispute.Status.OPEN)


def dispute_settle(case: Case) -> bool:
    """Bring a dispute to what the provider says; False if its payment is not here yet."""
    with transaction.atomic():
        attempt = PaymentAttempt.objects.filter(intent_id=case.intent_id).first()
        if attempt is None or not attempt.received_minor:
            return False
        order = order_lock(attempt.order_id)
        attempt = PaymentAttempt.objects.select_for_update().get(pk=attempt.pk)
        status = status_of(case.status)
        dispute, fresh = Dispute.objects.select_for_update().get_or_create(
            provider_id=case.id,
            defaults={
                "attempt": attempt,
                "amount_minor": case.amount,
                "currency": case.currency,
                "status": status,
                "reason": case.reason[:80],
                "due_at": case.due_at,
            },
        )
        if case.due_at and case.due_at != dispute.due_at:
            # The bank may give more time without another status.
            Dispute.objects.filter(pk=dispute.pk).update(due_at=case.due_at)
        if not fresh and RANK[status] <= RANK[Dispute.Status(dispute.status)]:
            return True
        dispute.status = status
        dispute.save(update_fields=["status", "updated_at"])
        taken = Dispute.objects.filter(attempt=attempt, status__in=TAKEN)
        total = taken.aggregate(total=Sum("amount_minor", default=0))["total"]
        PaymentAttempt.objects.filter(pk=attempt.pk).update(disputed_minor=total)
        book_dispute(dispute)
        logger.error("dispute", extra={"order": order.number, "dispute": case.id, "status": status})
        if status == Dispute.Status.OPEN:
            payment_disputed.send(sender=Dispute, order=order, reference=str(dispute.pk), amount_minor=case.amount)
    return True
