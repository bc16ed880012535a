"""Each question can be answered badly: what it asks about is broken by hand, behind the services' back."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from testing.factories import make_coupon, make_order, make_variant
from testing.life import confirm
from testing.money import make_paid

from pasargad.books.oracles import ORACLES, check, check_provider
from pasargad.books.services import books_verify
from pasargad.orders.returns import Arrived, Wish, return_accept, return_receive, return_request
from pasargad.payments.models import PaymentAttempt, Refund
from pasargad.payments.pieces import Piece
from pasargad.payments.refunds import order_refund, refund_send, refund_withdraw
from pasargad.payments.services import events_pull, payment_start
from pasargad.shipments.services import shipment_prepare, shipment_send

BREAK = {
    "stock_reserved": "UPDATE catalog_variant SET reserved = 1 WHERE on_hand > 0",
    "stock_not_oversold": "ALTER TABLE catalog_variant DROP CONSTRAINT catalog_variant_reserved_on_hand;"
    "UPDATE catalog_variant SET reserved = 99",
    "stock_movements": "UPDATE catalog_variant SET on_hand = on_hand + 1",
    "stock_held_for_orders": "UPDATE catalog_reservation SET state = 'released' WHERE state = 'active'",
    "stock_sold_for_orders": "DELETE FROM catalog_stockmovement WHERE kind = 'sold'",
    "stock_returned": "UPDATE catalog_stockmovement SET quantity = 9 WHERE kind = 'returned'",
    "return_restocked": "UPDATE orders_returnline SET restocked = 0",
    "order_history": "UPDATE orders_order SET status = 'delivered'",
    "return_history": "UPDATE orders_returnevent SET after = 'refused' WHERE after = 'accepted'",
    "order_lines": "UPDATE orders_order SET subtotal_minor = subtotal_minor + 1, total_minor = total_minor + 1",
    "order_paid_in_full": "UPDATE payments_paymentattempt SET received_minor = received_minor - 1",
    "order_money_kept": "UPDATE orders_order SET status = 'cancelled'",
    "order_refunded": "UPDATE orders_order SET refunded_minor = refunded_minor + 1",
    "order_not_overdue": "UPDATE orders_order SET expires_at = now() - interval '1 day'",
    "refund_not_overdue": "UPDATE payments_refund SET status = 'created', updated_at = now() - interval '1 day'",
    "mail_of_payment": "DELETE FROM notifications_mail",
    "mail_not_overdue": "UPDATE notifications_mail SET state = 'given_up'",
    "payment_once": "INSERT INTO payments_paymentattempt (order_id, number, amount_minor, currency, idempotency_key, "
    "client_secret, status, received_minor, refunded_minor, error, created_at, updated_at) SELECT order_id, 9, 5, "
    "'usd', 'twice', '', 'cancelled', 5, 0, '', now(), now() FROM payments_paymentattempt WHERE received_minor > 0",
    "refunds_within_received": "UPDATE payments_paymentattempt SET refunded_minor = refunded_minor + 1 "
    "WHERE received_minor > 0",
    "pieces_refunded_once": "UPDATE orders_orderline SET refunded_quantity = 9",
    "pieces_of_refunds": "UPDATE payments_refund SET status = 'withdrawn'",
    "return_refunded_once": "INSERT INTO payments_refund (attempt_id, return_request_id, amount_minor, reason, "
    "idempotency_key, status, error, created_at, updated_at) SELECT f.attempt_id, q.id, 5, '', 'twice' || n, "
    "'created', '', now(), now() FROM payments_refund f, orders_returnrequest q, generate_series(1, 2) AS n",
    "disputes_noted": "UPDATE payments_paymentattempt SET disputed_minor = 1",
    "events_done": "INSERT INTO payments_webhookevent (event_id, type, payload, received_at, subject, waiting) SELECT "
    "'evt_x', 'refund.updated', '{}', now() - interval '1 hour', intent_id, true FROM payments_paymentattempt "
    "WHERE received_minor > 0",
    "ledger_balanced": "ALTER TABLE ledger_posting DISABLE TRIGGER USER;"
    "UPDATE ledger_posting SET amount_minor = amount_minor + 1",
    "ledger_agrees": "UPDATE payments_paymentattempt SET received_minor = received_minor + 1 WHERE received_minor > 0",
    "payment_settled": "UPDATE payments_paymentattempt SET status = 'pending' WHERE received_minor > 0",
    "order_payable": "UPDATE orders_order SET discount_minor = subtotal_minor, shipping_minor = 3, tax_minor = 0, "
    "total_minor = 3",
    "coupon_uses": "UPDATE promotions_coupon SET used = used + 1",
    "redemptions_of_orders": "UPDATE orders_order SET discounts = "
    """'[{"promotion": 1, "name": "x", "code": "", "minor": 0, "shipping_minor": 5}]'""",
    "parcels_within_paid": "UPDATE shipments_shipmentline SET quantity = 9",
    "parcels_of_standing_orders": "INSERT INTO orders_orderevent (order_id, before, after, actor, note, at) "
    "SELECT order_id, 'shipped', 'refund_due', 'x', '', now() - interval '1 day' FROM shipments_shipment",
    "refund_restocked_in_house": "UPDATE shipments_shipmentline SET quantity = 3",
    "constraints_hold": "ALTER TABLE ledger_posting DISABLE TRIGGER ledger_posting_append_only",
}


@pytest.fixture
def life(db, monkeypatch) -> None:
    """A waiting order, and one that was paid, refunded in part, sent, and returned in part."""
    from pasargad.payments import gateway
    from pasargad.payments.gateway import Sent

    monkeypatch.setattr(
        gateway, "refund_create",
        lambda *, intent_id, amount, key: Sent("re_1", "succeeded", amount, "usd", intent_id, key, ""),
    )  # fmt: skip
    variant = make_variant(stock=9)
    make_order((variant, 2))
    attempt = make_paid(make_order((variant, 3)))
    line = attempt.order.lines.get()
    refund_send(order_refund(attempt.order_id, 100, "x", actor="s", pieces=[Piece(line, 1, restock=True)]).pk)
    shipment_send(shipment_prepare(attempt.order_id).pk, actor="s")
    make_coupon("BOOKS")
    found = return_request(attempt.order_id, Wish({line.pk: 1}, "unwanted"), key="a" * 32)
    return_accept(found.pk, actor="s")
    return_receive(found.pk, {found.lines.get().pk: Arrived(restock=1)}, actor="s")


@pytest.mark.parametrize("name", ORACLES)
def test_a_question_finds_what_is_broken(life, name):
    assert check() == []
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(BREAK[name])
    assert name in {finding.oracle for finding in check([name])}


def run(*arguments: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("verify_books", *arguments, stdout=out)
    except SystemExit as ended:
        return int(str(ended.code)), out.getvalue()
    return 0, out.getvalue()


def test_the_command_says_what_is_wrong(life):
    assert run("--no-provider") == (0, f"{len(ORACLES)} questions asked, 0 findings\n")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE payments_paymentattempt SET disputed_minor = 1 WHERE received_minor > 0")
    code, text = run("--no-provider")
    assert code == 1 and "WRONG I14 disputes_noted: " in text and "noted 1, disputes 0" in text
    code, text = run("--no-provider", "--json")
    assert code == 1 and [row["oracle"] for row in json.loads(text)["findings"]] == ["disputes_noted"]
    assert run("--only", "stock_reserved")[0] == 0
    assert "ok    I1     stock_reserved" in run("--only", "stock_reserved", "-v2")[1]


def test_the_command_tells_a_silent_provider_from_a_wrong_one(life, settings):
    settings.STRIPE = replace(settings.STRIPE, api_base="http://127.0.0.1:9", max_network_retries=0)
    code, text = run()
    assert code == 2 and "UNKNOWN" in text


@pytest.mark.django_db
def test_the_provider_s_lists_are_compared(outside):
    since = timezone.now() - timedelta(hours=1)
    order = make_order()
    attempt = payment_start(order.pk)
    confirm(attempt.intent_id or "")
    assert {finding.invariant for finding in check_provider(since)} == {"I3"}
    events_pull()
    assert check_provider(since) == [] and run()[0] == 0
    refund = order_refund(order.pk, 100, "x", actor="s")
    refund_send(refund.pk)
    assert check_provider(since) == []
    until = timezone.now() - timedelta(minutes=10)
    Refund.objects.update(amount_minor=99)
    assert check_provider(since, until) == [], "what is this young may be on its way"
    assert [finding.oracle for finding in check_provider(since)] == ["provider_refunds"]
    Refund.objects.update(amount_minor=100, provider_id="re_unknown")
    assert [finding.oracle for finding in check_provider(since)] == ["provider_refunds"] * 2
    outside.control("POST", "disputes", {"payment_intent": attempt.intent_id})
    assert "provider_disputes" in {finding.oracle for finding in check_provider(since)}
    PaymentAttempt.objects.update(intent_id="pi_unknown")
    assert "provider_payments" in {finding.oracle for finding in check_provider(since)}


@pytest.mark.django_db
def test_a_refund_that_failed_and_was_given_up_is_no_difference(outside):
    order = make_order()
    confirm(payment_start(order.pk).intent_id or "")
    events_pull()
    refund = order_refund(order.pk, 100, "x", actor="s")
    refund_send(refund.pk)
    refund.refresh_from_db()
    outside.control("POST", f"refunds/{refund.provider_id}/fail")
    events_pull()
    refund_withdraw(refund.pk, actor="s")
    assert check() == [] and check_provider(timezone.now() - timedelta(hours=1)) == []


def test_the_nightly_look_tells_the_administrators(life, settings, mailoutbox):
    settings.STRIPE = replace(settings.STRIPE, api_base="http://127.0.0.1:9", max_network_retries=0)
    assert books_verify() == 0 and mailoutbox == []
    with connection.cursor() as cursor:
        cursor.execute("UPDATE payments_paymentattempt SET disputed_minor = 1 WHERE received_minor > 0")
    assert books_verify() == 1 and "disputes_noted" in mailoutbox[0].body
