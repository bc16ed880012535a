"""The money for returned goods: its return and the books follow it, also when the bank sends it back."""

from __future__ import annotations

import pytest
from django.db import transaction
from testing.factories import make_order, make_variant
from testing.money import make_paid

from pasargad.books.oracles import check
from pasargad.ledger.selectors import balances
from pasargad.orders.models import Order, Status
from pasargad.orders.return_models import ReturnRequest, ReturnState
from pasargad.orders.returns import Arrived, Wish, return_accept, return_receive, return_request
from pasargad.orders.services import order_lock, order_move
from pasargad.payments.exceptions import RefundRefused
from pasargad.payments.gateway import Sent
from pasargad.payments.models import Refund
from pasargad.payments.refunds import refund_again, refund_settle, refund_withdraw, return_refund

AMOUNT = 900


@pytest.fixture
def received(db) -> ReturnRequest:
    """A return of two of three pieces, which are here again."""
    attempt = make_paid(make_order((make_variant(stock=5), 3)))
    with transaction.atomic():
        order_move(order_lock(attempt.order_id), Status.SHIPPED, actor="test")
    line = attempt.order.lines.get()
    found = return_request(attempt.order_id, Wish({line.pk: 2}, "unwanted"), key="a" * 32)
    return_accept(found.pk, actor="staff")
    return return_receive(found.pk, {found.lines.get().pk: Arrived(restock=2)}, actor="staff")


def hear(refund: Refund, status: str, identity: str = "re_1") -> None:
    """The provider tells of a refund."""
    refund.refresh_from_db()
    attempt = refund.attempt
    sent = Sent(identity, status, AMOUNT, attempt.currency, attempt.intent_id or "", refund.idempotency_key, "")
    assert refund_settle(sent, actor="provider")


def owed() -> int:
    """What the books say is still to be given back."""
    return -balances().get(("refunds_due", "usd"), 0)


def test_a_return_is_refunded_when_its_money_has_left_and_only_once(received):
    refund = return_refund(received.pk, AMOUNT, actor="staff")
    assert (ReturnRequest.objects.get().state, owed()) == (ReturnState.REFUNDING, AMOUNT)
    hear(refund, "succeeded")
    assert (ReturnRequest.objects.get().state, owed()) == (ReturnState.REFUNDED, 0)
    with pytest.raises(RefundRefused):
        return_refund(received.pk, AMOUNT, actor="staff")
    assert Order.objects.get().refunded_minor == AMOUNT and check() == []


@pytest.mark.parametrize("before", ["pending", "succeeded"])
def test_money_for_returned_goods_that_the_bank_sends_back_is_due_again(received, before):
    refund = return_refund(received.pk, AMOUNT, actor="staff")
    hear(refund, before)
    hear(refund, "failed")
    assert (ReturnRequest.objects.get().state, owed()) == (ReturnState.REFUNDING, AMOUNT)
    assert Order.objects.get().refunded_minor == 0 and check() == []
    hear(refund_again(refund.pk, actor="staff"), "succeeded", "re_2")
    assert (ReturnRequest.objects.get().state, owed()) == (ReturnState.REFUNDED, 0)
    assert Order.objects.get().refunded_minor == AMOUNT and check() == []


def test_a_return_whose_refund_was_given_up_can_be_refunded_anew(received):
    refund = return_refund(received.pk, AMOUNT, actor="staff")
    hear(refund, "failed")
    refund_withdraw(refund.pk, actor="staff")
    assert (ReturnRequest.objects.get().state, owed()) == (ReturnState.RECEIVED, 0) and check() == []
    hear(return_refund(received.pk, AMOUNT, actor="staff"), "succeeded", "re_2")
    assert ReturnRequest.objects.get().state == ReturnState.REFUNDED and check() == []
