"""What the movements of money mean for the ledger; every function is called in the transaction of its cause.

Each entry's key names its cause, so calling twice books once. `books_catch_up` writes what code without a ledger left
out: during a change of releases, and for what happened before there was one.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import CharField, Exists, F, Model, OuterRef, QuerySet, Value
from django.db.models.functions import Cast, Concat

from pasargad.ledger.models import Account, Entry
from pasargad.ledger.services import ledger_move

from .models import Dispute, PaymentAttempt, Refund


def book_received(attempt: PaymentAttempt) -> None:
    if attempt.received_minor:
        _book(f"payment:{attempt.pk}", attempt, attempt.received_minor, into=Account.PROVIDER, out_of=Account.ORDERS)


def book_promised(refund: Refund) -> None:
    """The money is not ours any more, and not gone yet."""
    _book(
        f"refund:{refund.pk}:due", refund.attempt, refund.amount_minor, into=Account.ORDERS, out_of=Account.REFUNDS_DUE
    )


def book_withdrawn(refund: Refund) -> None:
    key = f"refund:{refund.pk}:withdrawn"
    _book(key, refund.attempt, refund.amount_minor, into=Account.REFUNDS_DUE, out_of=Account.ORDERS)


def book_sent(refund: Refund) -> None:
    key = f"refund:{refund.pk}:sent:{refund.sending}"
    _book(key, refund.attempt, refund.amount_minor, into=Account.REFUNDS_DUE, out_of=Account.PROVIDER)


def book_came_back(refund: Refund) -> None:
    """The bank did not take the money: the provider has it again, and it is still due."""
    book_sent(refund)
    key = f"refund:{refund.pk}:back:{refund.sending}"
    _book(key, refund.attempt, refund.amount_minor, into=Account.PROVIDER, out_of=Account.REFUNDS_DUE)


def book_dispute(dispute: Dispute) -> None:
    """Bring the books to a dispute's state, whichever of its messages came first."""
    if dispute.status == Dispute.Status.WARNING:
        return
    attempt, amount, key = dispute.attempt, dispute.amount_minor, f"dispute:{dispute.pk}"
    _book(f"{key}:opened", attempt, amount, into=Account.DISPUTED, out_of=Account.PROVIDER)
    if dispute.status == Dispute.Status.WON:
        _book(f"{key}:won", attempt, amount, into=Account.PROVIDER, out_of=Account.DISPUTED)
    elif dispute.status == Dispute.Status.LOST:
        _book(f"{key}:lost", attempt, amount, into=Account.LOSSES, out_of=Account.DISPUTED)


def books_catch_up(limit: int = 500) -> int:
    """Book payments and refunds that have no entry; returns how many."""
    written = 0
    for attempt in _unbooked(PaymentAttempt, "payment:", "").filter(received_minor__gt=0)[:limit]:
        with transaction.atomic():
            book_received(PaymentAttempt.objects.select_for_update().get(pk=attempt.pk))
        written += 1
    # A foreign refund that was first heard of when it had failed was never promised to anybody.
    promised = _unbooked(Refund, "refund:", ":due").exclude(status=Refund.Status.WITHDRAWN)
    for refund in promised.select_related("attempt")[:limit]:
        with transaction.atomic():
            book_promised(refund)
        written += 1
    sent = _unbooked(Refund, "refund:", Concat(Value(":sent:"), Cast(F("sending"), CharField())))
    for refund in sent.filter(status=Refund.Status.SUCCEEDED).select_related("attempt")[:limit]:
        with transaction.atomic():
            book_sent(refund)
        written += 1
    return written


def _unbooked(model: type[Model], prefix: str, suffix: str | Concat) -> QuerySet[Any]:
    end = Value(suffix) if isinstance(suffix, str) else suffix
    key = Concat(Value(prefix), Cast(F("pk"), CharField()), end, output_field=CharField())
    rows = model._default_manager.annotate(entry_key=key)
    return rows.filter(~Exists(Entry.objects.filter(key=OuterRef("entry_key")))).order_by("pk")


def _book(key: str, attempt: PaymentAttempt, amount: int, *, into: Account, out_of: Account) -> None:
    subject = f"order:{attempt.order_id}"
    ledger_move(key, subject=subject, currency=attempt.currency, amount=amount, into=into, out_of=out_of)
