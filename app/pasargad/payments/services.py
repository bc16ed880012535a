"""Being paid, exactly once: the attempt and its key are stored before the provider is called.

Whatever tells us of a payment (the webhook, the shopper's return, the reconciler) goes through `payment_settle`.
Rows are locked in one order everywhere: the order first, then its attempts.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from pasargad.orders.models import Order, Status
from pasargad.orders.selectors import orders_unpaid_since
from pasargad.orders.services import order_cancel, order_expire, order_lock, order_paid, order_refuse

from . import gateway
from .exceptions import NotPayable, PaymentError, ProviderRefused
from .gateway import Intent
from .models import PaymentAttempt, WebhookEvent
from .refunds import refund_open

logger = logging.getLogger(__name__)

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
                idempotency_key=f"{settings.PASARGAD_ENVIRONMENT}-{order.token}-a{number}",
            )
    if attempt.intent_id:
        return attempt
    try:
        intent = gateway.intent_create(
            amount=attempt.amount_minor,
            currency=attempt.currency,
            key=attempt.idempotency_key,
            order_number=order.number,
            email=order.email,
        )
    except ProviderRefused as error:
        # Nobody holds the secret of an intent that this key may have made, so nobody can pay it.
        PaymentAttempt.objects.filter(pk=attempt.pk, intent_id=None).update(
            status=PaymentAttempt.Status.CANCELLED, error=str(error)[:300]
        )
        raise
    _adopt(attempt, intent)
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
        if _is_old_news(attempt, intent):
            return
        attempt.intent_id, attempt.error = intent.id, intent.error
        attempt.client_secret = attempt.client_secret or intent.client_secret
        attempt.status = STATUS_OF.get(intent.status, PaymentAttempt.Status.PENDING)
        attempt.checked_at = timezone.now()
        if intent.status == "succeeded":
            attempt.received_minor = intent.received
        attempt.save()
        if intent.status == "succeeded":
            _received(order, attempt, intent, actor)


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
                WebhookEvent.objects.create(event_id=event["id"], type=event["type"], payload=event)
            subject = event["data"]["object"]
            if event["type"].startswith("payment_intent.") and subject.get("object") == "payment_intent":
                payment_settle(Intent.read(subject), actor="provider")
    except IntegrityError:
        if WebhookEvent.objects.filter(event_id=event["id"]).exists():
            return False
        raise
    return True


def payments_reconcile(*, quiet_seconds: int = 60, limit: int = 100) -> int:
    """Ask about unsettled attempts that nobody told us about for a while; returns how many could be asked about."""
    before = timezone.now() - timedelta(seconds=quiet_seconds)
    waiting = PaymentAttempt.objects.filter(status__in=UNSETTLED, updated_at__lt=before).select_related("order")
    asked = 0
    for attempt in waiting.order_by("updated_at")[:limit]:
        try:
            if attempt.order.status != Status.AWAITING_PAYMENT:
                _withdraw(attempt)
            else:
                payment_check(attempt, actor="reconciler")
            asked += 1
        except PaymentError as error:
            logger.warning(
                "cannot ask about a payment", extra={"attempt": attempt.idempotency_key, "reason": str(error)}
            )
        PaymentAttempt.objects.filter(pk=attempt.pk).update(updated_at=timezone.now())
    return asked


def orders_expire(limit: int = 200) -> int:
    """Give up orders that were not paid in time and free their goods; returns how many.

    The provider is asked first. If it does not answer, the goods are freed all the same: a payment that comes
    later gets them back if they are there, and the money back if not.
    """
    expired = 0
    for order_id in orders_unpaid_since(timezone.now(), limit):
        _withdraw_of_order(order_id)
        with transaction.atomic():
            order = order_lock(order_id)
            if order.status == Status.AWAITING_PAYMENT:
                order_expire(order)
                expired += 1
    return expired


def order_withdraw(order_id: int, *, actor: str) -> Order:
    """Cancel an order for a shopper: its payment first, so that nobody pays for nothing.

    Returns the order as it is then: cancelled, or paid if the money was faster. Raises IllegalTransition.
    """
    _withdraw_of_order(order_id)
    with transaction.atomic():
        order = order_lock(order_id)
        return order_cancel(order, actor=actor) if order.status == Status.AWAITING_PAYMENT else order


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
        return intent.status not in ("succeeded", "processing")
    return attempt.status == PaymentAttempt.Status.SUCCEEDED


def _received(order: Order, attempt: PaymentAttempt, intent: Intent, actor: str) -> None:
    """Money has arrived: the order is paid, or the money goes back."""
    if (intent.received, intent.currency) != (attempt.amount_minor, attempt.currency):
        logger.error("wrong amount paid", extra={"order": order.number, "intent": intent.id})
        if order.status == Status.AWAITING_PAYMENT:
            order_refuse(order, note="The amount paid is not the amount of the order.")
        refund_open(attempt, intent.received, "The amount paid is not the amount of the order.")
        return
    order = order_paid(order, actor=actor)
    if order.status == Status.REFUND_DUE:
        refund_open(attempt, attempt.received_minor, "The order could not be fulfilled.")
