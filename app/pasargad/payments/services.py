"""Being paid, exactly once: the attempt and its key are stored before the provider is called.

Whatever tells us of a payment (the webhook, the shopper's return, the reconciler) goes through `payment_settle`.
Rows are locked in one order everywhere: the order first, then its attempts.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from pasargad.background.urgency import SWEEP_SECONDS
from pasargad.faults import crash_point
from pasargad.orders.models import Order, Status
from pasargad.orders.selectors import order_cancellable, orders_unpaid_since
from pasargad.orders.services import order_cancel, order_expire, order_lock, order_paid, order_refuse

from . import gateway
from .bookkeeping import book_received
from .exceptions import NotPayable, PaymentError, ProviderFailed, ProviderRefused
from .gateway import Intent
from .keys import attempt_key
from .messages import TYPES, intent_of, money_message, settle_waiting
from .models import PaymentAttempt, Watermark, WebhookEvent
from .refunds import refund_open

logger = logging.getLogger(__name__)

# What an empty database asks for; the provider keeps events for 30 days.
FIRST_LOOK_BACK = timedelta(days=3)
UNSETTLED = (PaymentAttempt.Status.CREATED, PaymentAttempt.Status.PENDING, PaymentAttempt.Status.PROCESSING)
STATUS_OF = {
    "succeeded": PaymentAttempt.Status.SUCCEEDED,
    "processing": PaymentAttempt.Status.PROCESSING,
    "canceled": PaymentAttempt.Status.CANCELLED,
}


def payment_start(order_id: int) -> PaymentAttempt:
    """Return an attempt that the shopper can pay, asking the provider for one if there is none.

    Raises NotPayable, ProviderUnreachable (try again: the key is kept) or ProviderRefused.
    """
    with transaction.atomic():
        order = order_lock(order_id)
        if order.status != Status.AWAITING_PAYMENT or order.expires_at <= timezone.now():
            raise NotPayable("This order does not wait for a payment any more.")
        attempt = PaymentAttempt.objects.filter(order=order, status__in=PaymentAttempt.LIVE).first()
        if attempt is None:
            number = PaymentAttempt.objects.filter(order=order).count() + 1
            attempt = PaymentAttempt.objects.create(
                order=order,
                number=number,
                amount_minor=order.total_minor,
                currency=order.currency,
                idempotency_key=attempt_key(order, number),
            )
    if attempt.intent_id:
        return attempt
    crash_point("payments.start.noted")
    try:
        intent = gateway.intent_create(
            amount=attempt.amount_minor,
            currency=attempt.currency,
            key=attempt.idempotency_key,
            order_number=order.number,
            email=order.email,
        )
    except (ProviderRefused, ProviderFailed) as error:
        # Nobody holds the secret of an intent that this key may have made, so nobody can pay it; and a key that the
        # provider failed at is answered so for a day.
        PaymentAttempt.objects.filter(pk=attempt.pk, intent_id=None).update(
            status=PaymentAttempt.Status.CANCELLED, error=str(error)[:300]
        )
        raise
    crash_point("payments.start.answered")
    _adopt(attempt, intent)
    crash_point("payments.start.adopted")
    return attempt


def payment_settle(intent: Intent, *, actor: str) -> None:
    """Bring an attempt and its order to what the provider says; does nothing twice, in any order of messages."""
    with transaction.atomic():
        attempt = _find(intent)
        if attempt is None:
            logger.warning("payment of nobody", extra={"intent": intent.id})
            return
        order = order_lock(attempt.order_id)
        attempt = PaymentAttempt.objects.select_for_update().get(pk=attempt.pk)
        crash_point("payments.settle.locked")
        if _is_old_news(attempt, intent):
            return
        attempt.intent_id, attempt.error = intent.id, intent.error
        attempt.client_secret = attempt.client_secret or intent.client_secret
        given_up = attempt.status == PaymentAttempt.Status.CANCELLED
        attempt.status = STATUS_OF.get(intent.status, PaymentAttempt.Status.PENDING)
        if given_up and PaymentAttempt.objects.filter(order=order, status__in=PaymentAttempt.LIVE).exists():
            # Another attempt took its place: there is one live attempt, and the money of both is seen all the same.
            attempt.status = PaymentAttempt.Status.CANCELLED
        attempt.checked_at = timezone.now()
        if intent.status == "succeeded":
            attempt.received_minor = intent.received
        attempt.save()
        crash_point("payments.settle.noted")
        if intent.status == "succeeded":
            book_received(attempt)
            _received(order, attempt, intent, actor)
            settle_waiting(intent.id)
            crash_point("payments.settle.received")
    crash_point("payments.settle.done")


def payment_check(attempt: PaymentAttempt, *, actor: str) -> None:
    """Ask the provider about an attempt and settle it; raises PaymentError."""
    if attempt.intent_id:
        payment_settle(gateway.intent_get(attempt.intent_id), actor=actor)


def webhook_receive(event: dict[str, Any]) -> bool:
    """Do what a signed event asks for, in the transaction that notes it; False if it was done already."""
    try:
        with transaction.atomic():
            # A copy that arrives meanwhile waits here until this transaction ends, and is a duplicate then.
            with transaction.atomic():
                row = WebhookEvent.objects.create(event_id=event["id"], type=event["type"], payload=event)
            crash_point("payments.webhook.noted")
            subject = event["data"]["object"]
            if event["type"].startswith("payment_intent.") and subject.get("object") == "payment_intent":
                payment_settle(Intent.read(subject), actor="provider")
            elif not money_message(event):
                WebhookEvent.objects.filter(pk=row.pk).update(waiting=True, subject=intent_of(event))
            crash_point("payments.webhook.applied")
    except IntegrityError:
        if WebhookEvent.objects.filter(event_id=event["id"]).exists():
            return False
        raise
    return True


def events_pull(*, overlap_seconds: int = 300) -> int:
    """Read the provider's events since the last time and do what no webhook brought; returns how many were new.

    One whose work fails holds the watermark back, so that it is tried again, and keeps no other from being done.
    """
    now = timezone.now()
    mark, _created = Watermark.objects.get_or_create(name="events", defaults={"at": now - FIRST_LOOK_BACK})
    since = mark.at - timedelta(seconds=overlap_seconds)
    try:
        events = gateway.events_since(since, TYPES)
    except PaymentError as error:
        logger.warning("cannot read the provider's events", extra={"reason": str(error)})
        return 0
    ids = [event["id"] for event in events]
    known = set(WebhookEvent.objects.filter(event_id__in=ids).values_list("event_id", flat=True))
    fresh, reached = 0, now
    for event in events:
        if event["id"] in known:
            continue
        try:
            fresh += webhook_receive(event)
            crash_point("payments.events.applied")
        except Exception:
            logger.exception("an event of the provider cannot be done", extra={"event": event["id"]})
            reached = min(reached, datetime.fromtimestamp(event["created"], UTC))
    Watermark.objects.filter(pk=mark.pk, at__lt=reached).update(at=reached)
    crash_point("payments.events.marked")
    _wake_waiting()
    return fresh


def _wake_waiting() -> None:
    """Do what waits although its payment is here: it came in the very moment in which the payment was noted."""
    subjects = WebhookEvent.objects.filter(waiting=True).values("subject")
    for attempt in PaymentAttempt.objects.filter(intent_id__in=subjects, received_minor__gt=0):
        try:
            with transaction.atomic():
                order_lock(attempt.order_id)
                settle_waiting(attempt.intent_id or "")
        except Exception:
            logger.exception("what waits for a payment cannot be done", extra={"attempt": attempt.idempotency_key})


def payments_reconcile(*, quiet_seconds: int = 60, limit: int = 100) -> int:
    """Ask about unsettled attempts that nobody told us about for a while; returns how many could be asked about."""
    until = time.monotonic() + SWEEP_SECONDS
    before = timezone.now() - timedelta(seconds=quiet_seconds)
    waiting = PaymentAttempt.objects.filter(status__in=UNSETTLED, updated_at__lt=before).select_related("order")
    asked = 0
    for attempt in waiting.order_by("updated_at")[:limit]:
        if time.monotonic() > until:
            # Who was asked about goes to the end, so the next sweep begins with those behind.
            break
        try:
            if attempt.order.status != Status.AWAITING_PAYMENT:
                _withdraw(attempt)
            else:
                payment_check(attempt, actor="reconciler")
            asked += 1
            crash_point("payments.reconcile.asked")
        except PaymentError as error:
            logger.warning(
                "cannot ask about a payment", extra={"attempt": attempt.idempotency_key, "reason": str(error)}
            )
        except Exception:
            # One payment that cannot be noted must not keep the others from being asked about.
            logger.exception("cannot note what a payment is", extra={"attempt": attempt.idempotency_key})
        PaymentAttempt.objects.filter(pk=attempt.pk).update(updated_at=timezone.now())
    return asked


def orders_expire(page: int = 200) -> int:
    """Give up orders that were not paid in time and free their goods, page by page; returns how many.

    The provider is asked first. If it does not answer, the goods are freed all the same: a payment that comes
    later gets them back if they are there, and the money back if not. It is asked for no longer than `SWEEP_SECONDS`;
    of the orders after that the reconciler withdraws the payments.
    """
    until = time.monotonic() + SWEEP_SECONDS
    expired = 0
    for order_id in _overdue(timezone.now(), page):
        try:
            if time.monotonic() <= until:
                _withdraw_of_order(order_id)
                crash_point("payments.expire.withdrawn")
            expired += _expire(order_id)
        except Exception:
            # One order that cannot be given up must not keep the goods of all others.
            logger.exception("an order cannot be given up", extra={"order": order_id})
    return expired


def _overdue(moment: datetime, page: int) -> Iterator[int]:
    """Walk through all: a page of those that cannot be given up hides none behind it."""
    places = orders_unpaid_since(moment, page)
    while places:
        yield from (order_id for _expires_at, order_id in places)
        places = orders_unpaid_since(moment, page, after=places[-1])


def _expire(order_id: int) -> bool:
    with transaction.atomic():
        order = order_lock(order_id)
        overdue = order.status == Status.AWAITING_PAYMENT
        if overdue:
            order_expire(order)
    crash_point("payments.expire.done")
    return overdue


def order_withdraw(order_id: int, *, actor: str, begun: bool = False) -> Order:
    """Cancel an order: its payment first, so that nobody pays for nothing.

    Returns the order as it is then: cancelled, or paid if the money was faster. One that cost nothing is cancelled as
    long as it is all here, by staff also when it is `begun`.
    """
    _withdraw_of_order(order_id)
    with transaction.atomic():
        order = order_lock(order_id)
        return order_cancel(order, actor=actor) if order_cancellable(order, begun=begun) else order


def _withdraw_of_order(order_id: int) -> None:
    attempt = PaymentAttempt.objects.filter(order_id=order_id, status__in=UNSETTLED).first()
    try:
        if attempt:
            _withdraw(attempt)
    except PaymentError as error:
        logger.warning("cannot withdraw a payment", extra={"attempt": attempt.idempotency_key, "reason": str(error)})


def _withdraw(attempt: PaymentAttempt) -> None:
    """Cancel an attempt at the provider and settle what comes of it."""
    if attempt.intent_id:
        payment_settle(gateway.intent_cancel(attempt.intent_id), actor="shop")
    else:
        PaymentAttempt.objects.filter(pk=attempt.pk, intent_id=None).update(status=PaymentAttempt.Status.CANCELLED)


def _adopt(attempt: PaymentAttempt, intent: Intent) -> None:
    """Note the intent of a fresh attempt, unless a webhook was faster."""
    attempt.intent_id, attempt.client_secret = intent.id, intent.client_secret
    attempt.status = PaymentAttempt.Status.PENDING
    PaymentAttempt.objects.filter(pk=attempt.pk, status=PaymentAttempt.Status.CREATED).update(
        intent_id=intent.id, client_secret=intent.client_secret, status=attempt.status, updated_at=timezone.now()
    )


def _find(intent: Intent) -> PaymentAttempt | None:
    """Find the attempt of an intent, also when we died before its id was stored."""
    found = PaymentAttempt.objects.filter(intent_id=intent.id).first()
    if found is None and intent.attempt_key:
        found = PaymentAttempt.objects.filter(idempotency_key=intent.attempt_key, intent_id=None).first()
    return found


def _is_old_news(attempt: PaymentAttempt, intent: Intent) -> bool:
    """Messages come late and in any order: what has ended stays so, but money that arrived always counts."""
    if attempt.status == PaymentAttempt.Status.CANCELLED:
        return bool(attempt.received_minor) or intent.status not in ("succeeded", "processing")
    return attempt.status == PaymentAttempt.Status.SUCCEEDED


def _received(order: Order, attempt: PaymentAttempt, intent: Intent, actor: str) -> None:
    """Money has arrived: the order is paid, or the money goes back."""
    if (intent.received, intent.currency) != (attempt.amount_minor, attempt.currency):
        logger.error("wrong amount paid", extra={"order": order.number, "intent": intent.id})
        if order.status == Status.AWAITING_PAYMENT:
            order_refuse(order, note="The amount paid is not the amount of the order.")
        refund_open(attempt, intent.received, "The amount paid is not the amount of the order.")
        return
    paid_before = PaymentAttempt.objects.filter(order=order, received_minor__gt=0).exclude(pk=attempt.pk)
    if paid_before.exists():
        logger.error("paid twice", extra={"order": order.number, "intent": intent.id})
        refund_open(attempt, attempt.received_minor, "The order was paid already.")
        return
    order = order_paid(order, actor=actor)
    if order.status == Status.REFUND_DUE:
        refund_open(attempt, attempt.received_minor, "The order could not be fulfilled.")
