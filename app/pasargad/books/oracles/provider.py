"""I2, I3 and I14 against the other side's own lists: every payment, refund and dispute that the provider knows."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from pasargad.payments import gateway
from pasargad.payments.disputes import status_of
from pasargad.payments.models import Dispute, PaymentAttempt, Refund
from pasargad.payments.refunds import STATUS_OF

from .base import Finding


def check_provider(since: datetime, until: datetime | None = None) -> list[Finding]:
    """Compare what the provider lists of a time with our books; raises PaymentError if it does not answer.

    What was made a moment ago may be on its way to us: `until` leaves it out.
    """
    until = until or timezone.now() + timedelta(minutes=5)
    return [*_payments(since, until), *_refunds(since, until), *_disputes(since, until)]


def _payments(since: datetime, until: datetime) -> list[Finding]:
    found = []
    listed = {intent.id: intent for intent in gateway.intents_between(since, until)}
    keys = [intent.attempt_key for intent in listed.values() if intent.attempt_key]
    ours = {row.idempotency_key: row for row in PaymentAttempt.objects.filter(idempotency_key__in=keys)}
    for intent in listed.values():
        attempt = ours.get(intent.attempt_key)
        if attempt is None:
            if intent.received and intent.attempt_key:
                found.append(Finding("I3", "provider_payments", intent.id, "was paid, and we know nothing of it"))
            continue
        if intent.received != attempt.received_minor or (
            intent.received and (intent.currency, intent.id) != (attempt.currency, attempt.intent_id)
        ):
            text = f"the provider received {intent.received} {intent.currency}, we noted {attempt.received_minor}"
            found.append(Finding("I3", "provider_payments", attempt.idempotency_key, text))
    noted = PaymentAttempt.objects.filter(created_at__gt=since, created_at__lt=until, received_minor__gt=0)
    for attempt in noted.exclude(intent_id__in=listed):
        found += [Finding("I14", "provider_payments", attempt.idempotency_key, "is not known to the provider")]
    return found


def _refunds(since: datetime, until: datetime) -> list[Finding]:
    found = []
    listed = {sent.id: sent for sent in gateway.refunds_between(since, until)}
    ours = {row.provider_id: row for row in Refund.objects.filter(provider_id__in=listed)}
    mine = set(PaymentAttempt.objects.filter(intent_id__in=_intents(listed)).values_list("intent_id", flat=True))
    for sent in listed.values():
        if sent.intent_id not in mine:
            continue
        refund, status = ours.get(sent.id), STATUS_OF.get(sent.status, Refund.Status.PENDING)
        if refund is None and status != Refund.Status.FAILED:
            found.append(Finding("I14", "provider_refunds", sent.id, f"of {sent.amount} is not in our books"))
        elif refund and (refund.amount_minor, _ended(refund)) != (sent.amount, status):
            text = f"the provider says {sent.amount} {status}, we say {refund.amount_minor} {refund.status}"
            found.append(Finding("I14", "provider_refunds", sent.id, text))
    noted = Refund.objects.filter(created_at__gt=since, created_at__lt=until, status=Refund.Status.SUCCEEDED)
    unknown = noted.exclude(provider_id__in=listed)
    found += [Finding("I14", "provider_refunds", str(row), "is not known to the provider") for row in unknown]
    return found


def _ended(refund: Refund) -> str:
    """One that we gave up failed, for the provider."""
    return Refund.Status.FAILED if refund.status == Refund.Status.WITHDRAWN else refund.status


def _disputes(since: datetime, until: datetime) -> list[Finding]:
    found = []
    listed = {case.id: case for case in gateway.cases_between(since, until)}
    ours = {row.provider_id: row for row in Dispute.objects.filter(provider_id__in=listed)}
    mine = set(PaymentAttempt.objects.filter(intent_id__in=_intents(listed)).values_list("intent_id", flat=True))
    for case in listed.values():
        if case.intent_id not in mine:
            continue
        dispute, status = ours.get(case.id), status_of(case.status)
        if dispute is None or (dispute.amount_minor, dispute.status) != (case.amount, status):
            text = f"the provider says {case.amount} {status}, we say {dispute and dispute.status}"
            found.append(Finding("I14", "provider_disputes", case.id, text))
    return found


def _intents(listed: dict[str, Any]) -> list[str]:
    return [item.intent_id for item in listed.values()]
