"""Paid orders and the provider's messages, without a provider."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Any

from django.db import connection

from pasargad.orders.models import Order
from pasargad.payments.gateway import Intent
from pasargad.payments.models import PaymentAttempt
from pasargad.payments.services import payment_settle

from .factories import make_order

_numbers = itertools.count(1)


def make_attempt(order: Order, number: int = 1, **fields: Any) -> PaymentAttempt:
    values = {"status": "pending", "intent_id": f"pi_{order.pk}_{number}"} | fields
    return PaymentAttempt.objects.create(
        order=order, number=number, amount_minor=order.total_minor, currency=order.currency,
        idempotency_key=f"test-{order.number}-a{number}", **values,
    )  # fmt: skip


def intent_for(attempt: PaymentAttempt, status: str = "succeeded", **changes: Any) -> Intent:
    values: dict[str, Any] = {
        "id": attempt.intent_id or "pi_new", "status": status, "amount": attempt.amount_minor,
        "received": attempt.amount_minor if status == "succeeded" else 0, "currency": attempt.currency,
        "client_secret": "", "attempt_key": attempt.idempotency_key, "error": "",
    }  # fmt: skip
    return Intent(**(values | changes))


def make_paid(order: Order | None = None) -> PaymentAttempt:
    """Return the attempt of an order that was paid as any order is."""
    attempt = make_attempt(order or make_order())
    payment_settle(intent_for(attempt), actor="test")
    attempt.refresh_from_db()
    return attempt


def message(kind: str, subject: dict[str, Any]) -> dict[str, Any]:
    """Return an event as the provider sends it."""
    return {"id": f"evt_test_{next(_numbers)}", "object": "event", "type": kind, "created": 0, "livemode": False,
            "data": {"object": subject}}  # fmt: skip


def intent_message(attempt: PaymentAttempt, status: str = "succeeded") -> dict[str, Any]:
    kind = {"requires_payment_method": "payment_failed"}.get(status, status)
    received = attempt.amount_minor if status == "succeeded" else 0
    subject = {"id": attempt.intent_id, "object": "payment_intent", "status": status, "amount": attempt.amount_minor,
               "amount_received": received, "currency": attempt.currency, "metadata": {}}  # fmt: skip
    return message(f"payment_intent.{kind}", subject)


def refund_message(
    attempt: PaymentAttempt, status: str, *, amount: int, identity: str = "re_1", key: str = ""
) -> dict[str, Any]:
    kind = {"failed": "refund.failed"}.get(status, "refund.updated")
    subject = {"id": identity, "object": "refund", "status": status, "amount": amount, "currency": attempt.currency,
               "payment_intent": attempt.intent_id, "metadata": {"refund": key} if key else {}}  # fmt: skip
    return message(kind, subject)


def charge_message(attempt: PaymentAttempt, refunded: int) -> dict[str, Any]:
    subject = {"id": "ch_1", "object": "charge", "payment_intent": attempt.intent_id, "amount_refunded": refunded,
               "metadata": {}}  # fmt: skip
    return message("charge.refunded", subject)


def dispute_message(attempt: PaymentAttempt, status: str, *, amount: int, identity: str = "dp_1") -> dict[str, Any]:
    kind = "closed" if status in ("won", "lost") else "created"
    subject = {"id": identity, "object": "dispute", "status": status, "amount": amount, "currency": attempt.currency,
               "payment_intent": attempt.intent_id, "reason": "fraudulent"}  # fmt: skip
    return message(f"charge.dispute.{kind}", subject)


def together(action: Callable[[], object], count: int = 6) -> list[BaseException]:
    """Do the same thing at the same moment on so many connections; returns what was raised."""
    start, failures = threading.Barrier(count), []

    def run() -> None:
        try:
            connection.ensure_connection()
            start.wait(10)
            action()
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return failures
