"""Returns: asked for within their time and quantity, received once, and only by the table's steps."""

from __future__ import annotations

import secrets
from datetime import timedelta

import pytest
from django.core import mail
from django.db import IntegrityError, transaction
from django.utils import timezone
from testing.factories import make_order, make_promotion, make_tax_zone, make_variant
from testing.money import make_paid, together

from pasargad.books.oracles import check
from pasargad.catalog.models import StockMovement
from pasargad.notifications.models import Mail
from pasargad.notifications.services import mail_send
from pasargad.orders.exceptions import IllegalTransition, ReturnRefused
from pasargad.orders.models import Order, OrderEvent, Status
from pasargad.orders.return_models import RETURN_TRANSITIONS, ReturnLine, ReturnRequest, ReturnState
from pasargad.orders.returns import (
    Arrived,
    Wish,
    return_accept,
    return_close,
    return_lock,
    return_move,
    return_receive,
    return_refuse,
    return_request,
    return_value,
    return_withdraw,
    returnable_lines,
)
from pasargad.orders.services import order_lock, order_move


def delivered(*lines) -> Order:
    attempt = make_paid(make_order(*(lines or ((make_variant(stock=5), 3),))))
    with transaction.atomic():
        order = order_lock(attempt.order_id)
        order_move(order, Status.SHIPPED, actor="test")
        order_move(order, Status.DELIVERED, actor="test")
    return order


def ask(order: Order, *quantities: int, key: str = "") -> ReturnRequest:
    lines = list(order.lines.all())
    wish = Wish(dict(zip((line.pk for line in lines), quantities, strict=False)), "unwanted", "Too <b>big</b>")
    return return_request(order.pk, wish, key=key or secrets.token_hex(16))


@pytest.mark.django_db
def test_a_buyer_asks_once_and_for_no_more_than_was_bought():
    order = delivered()
    first = ask(order, 2, key="a" * 32)
    assert ask(order, 2, key="a" * 32).pk == first.pk
    assert [found.left for found in returnable_lines(order)] == [1]
    with pytest.raises(ReturnRefused, match="more than"):
        ask(order, 2)
    assert ask(order, 1).number == 2 and returnable_lines(order) == []
    with pytest.raises(ReturnRefused):
        ask(order, 1)
    assert check() == []


@pytest.mark.django_db
def test_a_key_of_another_order_opens_nothing():
    ask(delivered(), 1, key="a" * 32)
    with pytest.raises(ReturnRefused):
        ask(delivered(), 1, key="a" * 32)


@pytest.mark.django_db
def test_a_refused_or_withdrawn_return_frees_its_pieces():
    order = delivered()
    return_refuse(ask(order, 3).pk, actor="staff", answer="Worn.")
    return_withdraw(ask(order, 3).pk)
    assert [found.left for found in returnable_lines(order)] == [3] and check() == []


@pytest.mark.django_db
@pytest.mark.parametrize("quantities", [(), (0,), (4,)])
def test_a_wish_for_nothing_or_too_much_saves_nothing(quantities):
    order = delivered()
    with pytest.raises(ReturnRefused):
        ask(order, *quantities)
    assert not ReturnRequest.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("status", [status for status in Status if status not in (Status.SHIPPED, Status.DELIVERED)])
def test_only_what_was_sent_can_be_sent_back(status):
    order = delivered()
    Order.objects.update(status=status)
    order.refresh_from_db()
    with pytest.raises(ReturnRefused):
        ask(order, 1)


@pytest.mark.django_db
def test_the_time_for_returns_ends():
    order = delivered()
    OrderEvent.objects.update(at=timezone.now() - timedelta(days=31))
    assert returnable_lines(order) == []


@pytest.mark.django_db(transaction=True)
def test_many_wishes_at_once_get_no_more_than_was_bought():
    order = delivered()
    failures = together(lambda: ask(order, 2), 6)
    assert len(failures) == 5 and all(isinstance(failure, ReturnRefused) for failure in failures)
    assert ReturnLine.objects.count() == 1 and check() == []


@pytest.mark.django_db
def test_what_comes_back_goes_into_stock_or_is_written_off_once():
    variant, made = make_variant(stock=5), make_variant(stock=0, made_to_order=True)
    order = delivered((variant, 3), (made, 1))
    found = ask(order, 3, 1)
    return_accept(found.pk, actor="staff", answer="Any carrier will do.")
    first, second = found.lines.all()
    arrived = {first.pk: Arrived(restock=2, write_off=1), second.pk: Arrived(restock=1)}
    with pytest.raises(ReturnRefused):
        return_receive(found.pk, {first.pk: Arrived(restock=2, write_off=2)}, actor="staff")
    with pytest.raises(ReturnRefused):
        return_receive(found.pk, {}, actor="staff")
    return_receive(found.pk, arrived, actor="staff")
    with pytest.raises(IllegalTransition):
        return_receive(found.pk, arrived, actor="staff")
    variant.refresh_from_db()
    made.refresh_from_db()
    assert (variant.on_hand, made.on_hand) == (4, 0)
    assert StockMovement.objects.filter(kind="returned").count() == 1 and check() == []


@pytest.mark.django_db(transaction=True)
def test_many_hands_receive_a_parcel_once():
    order = delivered()
    found = ask(order, 3)
    return_accept(found.pk, actor="staff")
    line = found.lines.get()
    failures = together(lambda: return_receive(found.pk, {line.pk: Arrived(restock=3)}, actor="staff"))
    assert len(failures) == 5 and all(isinstance(failure, IllegalTransition) for failure in failures)
    assert StockMovement.objects.filter(kind="returned").count() == 1 and check() == []


@pytest.mark.django_db
@pytest.mark.parametrize("before", ReturnState)
@pytest.mark.parametrize("after", ReturnState)
def test_only_the_table_s_steps_are_possible(before, after):
    found = ask(delivered(), 1)
    ReturnRequest.objects.update(state=before)
    locked = return_lock(found.pk)
    if after in RETURN_TRANSITIONS[before]:
        return_move(locked, after, actor="test")
        assert ReturnRequest.objects.get().state == after and found.events.last().after == after
    else:
        with pytest.raises(IllegalTransition):
            return_move(locked, after, actor="test")
        assert ReturnRequest.objects.get().state == before


@pytest.mark.django_db
def test_a_stale_copy_cannot_move_a_return():
    found = ask(delivered(), 1)
    stale = ReturnRequest.objects.get()
    return_accept(found.pk, actor="staff")
    with pytest.raises(IllegalTransition):
        return_move(stale, ReturnState.REFUSED, actor="test")


@pytest.mark.django_db
def test_the_database_refuses_more_back_than_was_asked_for():
    ask(delivered(), 1)
    with pytest.raises(IntegrityError), transaction.atomic():
        ReturnLine.objects.update(restocked=1, written_off=1)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("step", "kind", "says"),
    [
        (lambda pk: return_accept(pk, actor="s", answer="Use <any> box."), "return_accepted", "Use <any> box."),
        (lambda pk: return_refuse(pk, actor="s", answer="It is worn."), "return_refused", "It is worn."),
        (lambda pk: None, "return_requested", "two working days"),
    ],
)
def test_the_buyer_hears_of_each_step(step, kind, says, settings):
    found = ask(delivered(), 1)
    step(found.pk)
    mail_send(Mail.objects.get(kind=kind).pk)
    [sent] = mail.outbox
    html = sent.alternatives[0][0]
    assert found.order.number in sent.subject and says in sent.body
    assert says.replace("<", "&lt;").replace(">", "&gt;") in html and "<any>" not in html
    assert (settings.SHIPPING.origin.street in sent.body.partition("--")[0]) is (kind == "return_accepted")


@pytest.mark.django_db
def test_a_return_can_be_closed_without_money():
    found = ask(delivered(), 1)
    return_accept(found.pk, actor="s")
    return_close(found.pk, actor="s", answer="Nothing came.")
    assert Mail.objects.filter(kind="return_closed").exists() and check() == []


@pytest.mark.django_db
@pytest.mark.parametrize(("inclusive", "value"), [(True, 1800), (False, 1944)])
def test_a_return_is_worth_what_was_paid_for_it(inclusive, value):
    """Three pieces of 10.00 with 10 % off, and 8 % of tax inside or on top: 9.00 or 9.72 each."""
    make_promotion(basis_points=1000, is_automatic=True)
    make_tax_zone(("Tax", 80_000), inclusive=inclusive)
    order = delivered((make_variant(price_minor=1000), 3))
    found = ask(order, 2)
    return_accept(found.pk, actor="staff")
    return_receive(found.pk, {found.lines.get().pk: Arrived(restock=1, write_off=1)}, actor="staff")
    found.refresh_from_db()
    assert return_value(found) == value
