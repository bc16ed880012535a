"""Returning goods on the order's page: without a script, with what was typed kept, and not for strangers."""

from __future__ import annotations

import pytest
from django.db import transaction
from testing.factories import make_order, make_variant
from testing.money import make_paid

from pasargad.orders.models import Order, Status
from pasargad.orders.return_models import ReturnRequest
from pasargad.orders.returns import return_accept
from pasargad.orders.services import order_lock, order_move

KEY = "b" * 32


@pytest.fixture
def order(db) -> Order:
    attempt = make_paid(make_order((make_variant(stock=5), 2)))
    with transaction.atomic():
        return order_move(order_lock(attempt.order_id), Status.SHIPPED, actor="test")


def address(order: Order) -> str:
    return f"/orders/{order.token}/returns/"


def fields(order: Order, **changes) -> dict[str, str]:
    values = {f"pieces_{order.lines.get().pk}": "1", "reason": "damaged", "comment": "Broken", "request_key": KEY}
    return values | changes


def test_a_buyer_asks_on_the_order_s_page(client, order):
    assert address(order) in client.get(f"/orders/{order.token}/").content.decode()
    page = client.get(address(order))
    assert page.status_code == 200 and 'name="request_key"' in page.content.decode()
    assert "no-store" in page.headers["Cache-Control"]
    for _ in range(2):
        answer = client.post(address(order), fields(order))
        assert answer.status_code == 303 and answer.headers["Location"] == f"/orders/{order.token}/"
    assert ReturnRequest.objects.get().reason == "damaged"
    shown = client.get(f"/orders/{order.token}/").content.decode()
    assert "Return 1" in shown and "Requested" in shown and "Withdraw return 1" in shown


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"pieces": "3"}, "less than or equal to 2"),
        ({"pieces": "0"}, "Choose at least one piece"),
        ({"pieces": "many"}, "Enter a whole number"),
        ({"pieces": "-1"}, "greater than or equal to 0"),
        ({"reason": "because"}, "not one of the available choices"),
        ({"request_key": "short"}, "This form is damaged"),
        ({"comment": "x" * 501}, "at most 500 characters"),
    ],
)
def test_what_is_wrong_is_said_and_what_was_typed_is_kept(client, order, change, says):
    pieces = f"pieces_{order.lines.get().pk}"
    changes = {pieces if name == "pieces" else name: value for name, value in change.items()}
    answer = client.post(address(order), fields(order, comment="Kept text") | changes)
    page = answer.content.decode()
    assert answer.status_code == 422 and says in page
    assert "comment" in change or "Kept text" in page
    assert not ReturnRequest.objects.exists()


def test_strangers_find_nothing(client, order):
    client.post(address(order), fields(order))
    other = make_paid(make_order((make_variant(), 1))).order
    assert client.get(f"/orders/{'0' * 32}/returns/").status_code == 404
    assert client.post(f"/orders/{'0' * 32}/returns/", fields(order)).status_code == 404
    assert client.post(f"/orders/{other.token}/returns/1/withdraw/").status_code == 404
    assert client.post(f"/orders/{order.token}/returns/2/withdraw/").status_code == 404
    assert client.get(f"/orders/{order.token}/returns/1/withdraw/").status_code == 405
    assert ReturnRequest.objects.get().state == "requested"


def test_a_return_can_be_withdrawn_until_it_is_here(client, order):
    client.post(address(order), fields(order))
    assert client.post(f"/orders/{order.token}/returns/1/withdraw/").status_code == 303
    assert ReturnRequest.objects.get().state == "withdrawn"
    assert client.post(f"/orders/{order.token}/returns/1/withdraw/").status_code == 303


def test_the_address_is_shown_when_it_is_accepted(client, order, settings):
    client.post(address(order), fields(order))
    return_accept(ReturnRequest.objects.get().pk, actor="staff", answer="Mind the <glass>.")
    page = client.get(f"/orders/{order.token}/").content.decode()
    assert settings.SHIPPING.origin.street in page and "Mind the &lt;glass&gt;." in page


def test_an_order_that_was_not_sent_offers_no_return(client, db):
    order = make_order()
    assert address(order) not in client.get(f"/orders/{order.token}/").content.decode()
    assert client.get(address(order)).status_code == 303
    assert client.post(address(order), fields(order)).status_code == 422


def test_the_order_s_page_needs_as_many_queries_for_many_returns(client, order, django_assert_max_num_queries):
    client.post(address(order), fields(order))
    client.post(address(order), fields(order, request_key="c" * 32))
    with django_assert_max_num_queries(12):
        client.get(f"/orders/{order.token}/")
