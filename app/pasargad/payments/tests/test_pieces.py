"""Which pieces a refund is for: those that left the house, or those that did not and are not sent any more."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace

import pytest
from django.db import connection, transaction
from testing.factories import make_order, make_variant
from testing.money import make_paid

from pasargad.books.oracles import check
from pasargad.catalog.models import Variant
from pasargad.notifications.models import Mail
from pasargad.orders.exceptions import ReturnRefused
from pasargad.orders.models import Order, OrderLine, Status
from pasargad.orders.returns import Wish, return_request
from pasargad.payments.exceptions import RefundRefused
from pasargad.payments.gateway import Sent
from pasargad.payments.models import PaymentAttempt, Refund, RefundLine
from pasargad.payments.pieces import Piece
from pasargad.payments.refunds import order_refund, refund_settle, refund_withdraw
from pasargad.payments.staff_forms import RefundForm
from pasargad.shipments.exceptions import ShipmentRefused
from pasargad.shipments.models import Shipment
from pasargad.shipments.services import shipment_cancel, shipment_prepare, shipment_send


@pytest.fixture
def attempt(db) -> PaymentAttempt:
    """An order of three pieces, of which one was sent."""
    attempt = make_paid(make_order((make_variant(stock=5), 3)))
    parcel = shipment_prepare(attempt.order_id, quantities={attempt.order.lines.get().pk: 1})
    shipment_send(parcel.pk, actor="staff")
    return attempt


def refund(attempt: PaymentAttempt, pieces: int, **where: bool) -> None:
    order_refund(attempt.order_id, 100, "x", actor="staff", pieces=[Piece(attempt.order.lines.get(), pieces, **where)])


def packed_next(attempt: PaymentAttempt) -> int:
    return shipment_prepare(attempt.order_id).lines.get().quantity


def test_a_refunded_piece_that_was_sent_holds_nothing_back(attempt):
    refund(attempt, 1, sent=True)
    assert packed_next(attempt) == 2 and check() == []


def test_a_refunded_piece_is_not_sent_any_more(attempt):
    refund(attempt, 1)
    assert packed_next(attempt) == 1 and check() == []


def test_a_refunded_piece_cannot_be_returned_for_its_money_again(attempt):
    shipment_send(shipment_prepare(attempt.order_id).pk, actor="staff")
    refund(attempt, 2, sent=True)
    line = attempt.order.lines.get()
    with pytest.raises(ReturnRefused, match="more than"):
        return_request(attempt.order_id, Wish({line.pk: 2}, "unwanted"), key="a" * 32)
    return_request(attempt.order_id, Wish({line.pk: 1}, "unwanted"), key="b" * 32)
    assert check() == []


def test_a_piece_that_is_being_returned_cannot_be_refunded_beside(attempt):
    shipment_send(shipment_prepare(attempt.order_id).pk, actor="staff")
    line = attempt.order.lines.get()
    return_request(attempt.order_id, Wish({line.pk: 2}, "unwanted"), key="a" * 32)
    with pytest.raises(RefundRefused, match="More pieces"):
        refund(attempt, 2)
    refund(attempt, 1)
    assert check() == []


def test_when_the_unsent_ones_are_used_up_the_sent_ones_are_meant(attempt):
    refund(attempt, 3)
    line = attempt.order.lines.get()
    assert (line.refunded_quantity, line.refunded_sent_quantity, line.owed) == (3, 1, 1)
    with pytest.raises(ShipmentRefused):
        shipment_prepare(attempt.order_id)
    assert check() == []


def test_more_than_were_sent_cannot_be_refunded_as_sent(attempt):
    with pytest.raises(RefundRefused, match="Not so many"):
        refund(attempt, 2, sent=True)
    assert attempt.order.lines.get().refunded_quantity == 0 and check() == []


def test_what_left_the_house_does_not_come_into_stock_by_a_refund(attempt):
    before = Variant.objects.get().on_hand
    with pytest.raises(RefundRefused, match="by a return"):
        refund(attempt, 3, restock=True)
    assert Variant.objects.get().on_hand == before and Order.objects.get().status == Status.PAID
    refund(attempt, 2, restock=True)
    assert Variant.objects.get().on_hand == before + 2
    with pytest.raises(RefundRefused, match="by a return"):
        refund(attempt, 1, restock=True)
    assert check() == []


def test_a_parcel_with_a_piece_refunded_meanwhile_does_not_leave(attempt):
    parcel = shipment_prepare(attempt.order_id)
    refund(attempt, 1, restock=True)
    with pytest.raises(ShipmentRefused, match="pack this parcel anew"):
        shipment_send(parcel.pk, actor="staff")
    shipment_cancel(parcel.pk, actor="staff")
    smaller = shipment_prepare(attempt.order_id)
    shipment_send(smaller.pk, actor="staff")
    assert smaller.lines.get().quantity == 1
    assert Order.objects.get().status == Status.SHIPPED and check() == []


def test_an_order_is_shipped_when_the_last_unsent_piece_is_refunded(attempt):
    refund(attempt, 1)
    assert Order.objects.get().status == Status.PAID
    refund(attempt, 1, restock=True)
    assert Order.objects.get().status == Status.SHIPPED and check() == []
    assert Mail.objects.filter(kind="order_shipped").count() == 1


def test_a_refund_of_sent_pieces_ships_nothing(attempt):
    refund(attempt, 1, sent=True)
    assert Order.objects.get().status == Status.PAID and check() == []


def test_an_order_whose_parcel_has_arrived_is_delivered_with_the_refund_of_the_rest(attempt):
    Shipment.objects.update(state=Shipment.State.DELIVERED)
    refund(attempt, 2)
    assert Order.objects.get().status == Status.DELIVERED and check() == []


def test_an_order_given_up_before_anything_left_is_not_shipped(db):
    attempt = make_paid(make_order((make_variant(stock=5), 3)))
    refund(attempt, 3)
    assert Order.objects.get().status == Status.PAID and check() == []


def test_an_order_is_shipped_when_refunded_pieces_are_unpacked(attempt):
    parcel = shipment_prepare(attempt.order_id)
    refund(attempt, 2)
    assert Order.objects.get().status == Status.PAID, "they are in a parcel still"
    shipment_cancel(parcel.pk, actor="staff")
    assert Order.objects.get().status == Status.SHIPPED and check() == []


def test_an_order_waits_for_what_is_unpacked_to_be_packed_anew(attempt):
    shipment_cancel(shipment_prepare(attempt.order_id).pk, actor="staff")
    assert Order.objects.get().status == Status.PAID and packed_next(attempt) == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("locked", [True, False], ids=["locked", "control"])
def test_unpacking_waits_for_the_refund_that_runs(locked, monkeypatch):
    attempt = make_paid(make_order((make_variant(stock=5), 3)))
    line = attempt.order.lines.get()
    first = shipment_prepare(attempt.order_id, quantities={line.pk: 1})
    shipment_send(first.pk, actor="staff")
    parcel = shipment_prepare(attempt.order_id)
    if not locked:
        monkeypatch.setattr("pasargad.shipments.services.order_lock", lambda pk: Order.objects.get(pk=pk))
    with ThreadPoolExecutor(1) as other:
        with transaction.atomic():
            refund(attempt, 2)
            unpacking = other.submit(unpack, parcel.pk)
            ended, _ = wait([unpacking], timeout=1)
        unpacking.result(10)
    assert bool(ended) is not locked
    assert Order.objects.get().status == (Status.SHIPPED if locked else Status.PAID)


def unpack(parcel_id: int) -> None:
    try:
        shipment_cancel(parcel_id, actor="staff")
    finally:
        connection.close()


def test_staff_are_asked_only_where_there_are_both(attempt):
    name = f"sent_{attempt.order.lines.get().pk}"
    assert name in RefundForm(order=attempt.order).fields
    refund(attempt, 2)
    assert name not in RefundForm(order=Order.objects.get()).fields
    untouched = make_paid(make_order((make_variant(stock=5), 2))).order
    assert not [field for field in RefundForm(order=untouched).fields if field.startswith("sent_")]


def test_an_order_marked_as_shipped_counts_as_sent_without_parcels(db):
    from pasargad.orders.services import order_lock, order_move

    attempt = make_paid(make_order((make_variant(stock=5), 2)))
    order_move(order_lock(attempt.order_id), Status.SHIPPED, actor="staff")
    refund(attempt, 1)
    line = attempt.order.lines.get()
    assert (line.refunded_sent_quantity, line.owed) == (1, 2) and check() == []


def failed(attempt: PaymentAttempt, *pieces: Piece, amount: int = 100) -> Refund:
    """A refund that the provider refused."""
    made = order_refund(attempt.order_id, amount, "x", actor="staff", pieces=pieces)
    Refund.objects.filter(pk=made.pk).update(status="failed")
    return made


@pytest.mark.parametrize("where", [{}, {"sent": True}])
def test_the_pieces_of_a_refund_that_was_given_up_are_owed_again(attempt, where):
    line = attempt.order.lines.get()
    kept = failed(attempt, Piece(line, 1))
    given_up = failed(attempt, Piece(line, 1, **where))
    assert check() == []
    refund_withdraw(given_up.pk, actor="staff")
    line.refresh_from_db()
    assert (line.refunded_quantity, line.refunded_sent_quantity, line.owed) == (1, 0, 2) and check() == []
    refund_withdraw(kept.pk, actor="staff")
    assert packed_next(attempt) == 2 and check() == []
    assert OrderLine.objects.get().refunded_quantity == 0


def test_pieces_put_into_stock_for_a_refund_that_was_given_up_are_taken_out(attempt):
    line = attempt.order.lines.get()
    before = Variant.objects.get().on_hand
    given_up = failed(attempt, Piece(line, 2, restock=True))
    assert Variant.objects.get().on_hand == before + 2
    refund_withdraw(given_up.pk, actor="staff")
    assert Variant.objects.get().on_hand == before and packed_next(attempt) == 2 and check() == []


def test_a_refund_whose_pieces_were_sold_since_is_not_given_up(attempt):
    given_up = failed(attempt, Piece(attempt.order.lines.get(), 2, restock=True))
    variant = Variant.objects.get()
    make_order((variant, variant.available))
    with pytest.raises(RefundRefused, match="not there any more"):
        refund_withdraw(given_up.pk, actor="staff")
    assert Refund.objects.get().status == "failed" and OrderLine.objects.first().refunded_quantity == 2
    assert check() == []


def test_a_refund_at_the_provider_is_for_the_pieces_of_those_whose_place_it_takes(attempt):
    line = attempt.order.lines.get()
    for pieces in ([Piece(line, 1, sent=True)], [Piece(line, 1)], []):
        failed(attempt, *pieces, amount=attempt.received_minor // 4)
    theirs = Sent("re_desk", "succeeded", attempt.received_minor // 2, "usd", attempt.intent_id or "", "", "")
    refund_settle(theirs, actor="provider")
    assert Refund.objects.filter(status="withdrawn").count() == 3
    noted = RefundLine.objects.get()
    assert (noted.refund.provider_id, noted.quantity, noted.sent_quantity) == ("re_desk", 2, 1)
    assert OrderLine.objects.get().refunded_quantity == 2 and packed_next(attempt) == 1 and check() == []
    refund_settle(replace(theirs, status="failed"), actor="provider")
    assert OrderLine.objects.get().refunded_quantity == 0 and check() == []


def test_pieces_are_owed_again_though_stock_is_short_when_a_bank_sends_the_money_back(attempt, caplog):
    failed(attempt, Piece(attempt.order.lines.get(), 2, restock=True), amount=attempt.received_minor - 1)
    theirs = Sent("re_desk", "succeeded", attempt.received_minor - 1, "usd", attempt.intent_id or "", "", "")
    refund_settle(theirs, actor="provider")
    variant = Variant.objects.get()
    make_order((variant, variant.available))
    refund_settle(replace(theirs, status="failed"), actor="provider")
    assert OrderLine.objects.first().refunded_quantity == 0 and "not in stock" in caplog.text and check() == []
