"""What code without a ledger left out is booked later, once."""

from __future__ import annotations

import pytest
from testing.factories import make_order
from testing.money import make_attempt

from pasargad.books.oracles import check
from pasargad.ledger.models import Entry
from pasargad.orders.models import Order, OrderEvent
from pasargad.payments.bookkeeping import books_catch_up
from pasargad.payments.models import PaymentAttempt, Refund


@pytest.mark.django_db
def test_payments_and_refunds_of_older_code_are_booked_once():
    order = make_order()
    make_attempt(order, status="succeeded", received_minor=order.total_minor, refunded_minor=100)
    attempt = PaymentAttempt.objects.get()
    Refund.objects.create(attempt=attempt, amount_minor=100, reason="old", idempotency_key="old", status="succeeded")
    Order.objects.update(status="shipped", refunded_minor=100)
    OrderEvent.objects.all().delete()
    assert {finding.oracle for finding in check()} >= {"ledger_agrees"}
    assert books_catch_up() == 3 and books_catch_up() == 0
    assert Entry.objects.count() == 3 and check(["ledger_agrees", "ledger_balanced", "order_refunded"]) == []
