"""A request that is sent twice is done once."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from testing.api import Api, order_body, with_cart, with_key
from testing.factories import make_order, make_variant

from pasargad.api import idempotency
from pasargad.api.models import StoredAnswer
from pasargad.api.operations import operations
from pasargad.api.resources import checkout, staff_goods
from pasargad.api.scopes import Scope
from pasargad.catalog.models import StockMovement
from pasargad.catalog.stock import stock_move
from pasargad.orders.models import Order

KEY = "a-key-of-the-tests"
RECEIVE = {"quantity": 1, "kind": "received"}


def test_whatever_creates_or_pays_needs_a_key():
    free = {row.name for row in operations() if row.method == "POST" and not row.keyed}
    # A quote changes nothing; the others lead to a state, and sent again they find it reached.
    assert free == {
        "cart_quote", "order_cancel", "return_take_back", "staff_order_move", "parcel_send", "staff_product_publish",
    }  # fmt: skip


@pytest.mark.django_db
def test_the_same_key_is_answered_the_same_and_does_nothing_more():
    variant = make_variant(stock=5)
    api = with_key(Scope.STOCK_WRITE)
    path = f"/staff/stock/{variant.sku}/movements"
    first = api.post(path, RECEIVE, Idempotency_Key=KEY)
    again = api.post(path, RECEIVE, Idempotency_Key=KEY)
    assert (first.status_code, first.content) == (again.status_code, again.content) == (201, first.content)
    assert "Idempotent-Replayed" not in first.headers and again.headers["Idempotent-Replayed"] == "true"
    other = api.post(path, {**RECEIVE, "quantity": 2}, Idempotency_Key=KEY)
    assert other.status_code == 422 and other.json()["type"].endswith("key-reused")
    variant.refresh_from_db()
    assert variant.on_hand == 6


@pytest.mark.django_db
def test_a_key_of_one_is_no_key_of_another():
    variant = make_variant(stock=5)
    for api in (with_key(Scope.STOCK_WRITE), with_key(Scope.STOCK_WRITE)):
        assert api.post(f"/staff/stock/{variant.sku}/movements", RECEIVE, Idempotency_Key=KEY).status_code == 201
    carts = [with_cart((variant.sku, 1)) for _ in range(2)]
    program = with_key(Scope.STOCK_WRITE).headers
    carts += [Api({**with_cart((variant.sku, 1)).headers, **program}) for _ in range(2)]
    tokens = {api.post("/checkout", order_body(), Idempotency_Key=KEY).json()["token"] for api in carts}
    assert len(tokens) == 4


@pytest.mark.django_db
def test_what_was_refused_may_be_tried_again():
    variant = make_variant(stock=5)
    api = with_key(Scope.STOCK_WRITE)
    path, wanted = f"/staff/stock/{variant.sku}/movements", {"quantity": -6, "kind": "corrected"}
    assert api.post(path, wanted, Idempotency_Key=KEY).status_code == 409
    stock_move(variant.pk, 1, kind="received")
    assert api.post(path, wanted, Idempotency_Key=KEY).status_code == 201
    assert not StoredAnswer.objects.exclude(status=201).exists()


@pytest.mark.django_db
def test_a_poor_key_is_refused():
    for key in ("", "short", "x" * 65, "with a space in the key"):
        answer = Api().post("/carts", Idempotency_Key=key)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == "Idempotency-Key"


class Gate:
    """Holds a handler in the middle of its work until the test lets it go."""

    def __init__(self, monkeypatch) -> None:
        self.inside, self.go, self.visits = threading.Event(), threading.Event(), 0
        real = staff_goods.stock_move

        def slow(*args, **kwargs):
            moved = real(*args, **kwargs)
            self.visits += 1
            if self.visits == 1:
                self.inside.set()
                assert self.go.wait(20)
            return moved

        monkeypatch.setattr(staff_goods, "stock_move", slow)

    def during(self, api: Api, path: str, ask_meanwhile) -> tuple[int, int]:
        """Send a request, ask something while it is at work, and return both statuses."""
        first: list[int] = []

        def run() -> None:
            try:
                first.append(replace(api).post(path, RECEIVE, Idempotency_Key=KEY).status_code)
            finally:
                connection.close()

        thread = threading.Thread(target=run)
        thread.start()
        try:
            assert self.inside.wait(20)
            second = ask_meanwhile()
        finally:
            self.go.set()
            thread.join(30)
        return first[0], second


@pytest.mark.django_db(transaction=True)
def test_a_second_request_meanwhile_is_sent_away_at_once(monkeypatch):
    variant, gate = make_variant(stock=5), Gate(monkeypatch)
    api, path = with_key(Scope.STOCK_WRITE), f"/staff/stock/{variant.sku}/movements"

    def ask() -> int:
        answer = api.post(path, RECEIVE, Idempotency_Key=KEY)
        assert answer.json()["type"].endswith("in-progress") and answer.headers["Retry-After"] == "1"
        return answer.status_code

    assert gate.during(api, path, ask) == (201, 409)
    assert api.post(path, RECEIVE, Idempotency_Key=KEY).headers["Idempotent-Replayed"] == "true"
    assert gate.visits == 1 and StockMovement.objects.filter(kind="received", note__contains="api:tests").count() == 1


@pytest.mark.django_db(transaction=True)
def test_without_the_guard_the_same_race_moves_stock_twice(monkeypatch):
    """The negative control of the test above."""
    variant, gate = make_variant(stock=5), Gate(monkeypatch)
    api, path = with_key(Scope.STOCK_WRITE), f"/staff/stock/{variant.sku}/movements"
    monkeypatch.setattr(idempotency, "once", lambda asked, work: work())
    # The second waits for nobody's row lock here: the first one's movement is committed by itself, without the log.
    monkeypatch.setattr("pasargad.api.dispatch.acting_now", lambda: None)
    assert gate.during(api, path, lambda: api.post(path, RECEIVE, Idempotency_Key=KEY).status_code) == (201, 201)
    assert StockMovement.objects.filter(kind="received", note__contains="api:tests").count() == 2


@pytest.mark.django_db(transaction=True)
def test_without_the_lock_the_table_itself_lets_one_through(monkeypatch):
    monkeypatch.setattr(idempotency, "_take", lambda asked: True)
    api, variant = with_key(Scope.STOCK_WRITE), make_variant(stock=5)
    path, both, statuses = f"/staff/stock/{variant.sku}/movements", threading.Barrier(2), []
    real = idempotency._locked

    def meet(asked):
        found = real(asked)
        both.wait(20)
        return found

    monkeypatch.setattr(idempotency, "_locked", meet)

    def run() -> None:
        try:
            statuses.append(replace(api).post(path, RECEIVE, Idempotency_Key=KEY).status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(statuses) == [201, 409]
    variant.refresh_from_db()
    assert variant.on_hand == 6


@pytest.mark.django_db(transaction=True)
def test_an_order_whose_second_half_was_cut_off_is_finished_by_the_next_try(monkeypatch, outside):
    """The process dies after the order was written and before its payment was begun."""
    variant = make_variant(stock=5)
    api = with_cart((variant.sku, 1))
    real = checkout.payment_start

    class Died(BaseException):
        pass

    def die(order_id):
        raise Died

    monkeypatch.setattr(checkout, "payment_start", die)
    # What ends a process runs no handler either: the lease stays.
    monkeypatch.setattr(idempotency, "_give_up", lambda row, keep: None)
    with pytest.raises(Died):
        api.post("/checkout", order_body(), Idempotency_Key=KEY)
    monkeypatch.setattr(checkout, "payment_start", real)
    meanwhile = api.post("/checkout", order_body(), Idempotency_Key=KEY)
    assert meanwhile.status_code == 409 and meanwhile.json()["type"].endswith("in-progress")
    StoredAnswer.objects.filter(finished_at=None).update(leased_until=timezone.now() - timedelta(seconds=1))
    done = api.post("/checkout", order_body(), Idempotency_Key=KEY)
    assert done.status_code == 201 and done.json()["payment"]["state"] == "payable"
    assert api.post("/checkout", order_body(), Idempotency_Key=KEY).content == done.content
    assert Order.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_payment_that_failed_to_begin_may_be_begun_again_with_the_same_key(monkeypatch, outside):
    token = make_order().token
    real = checkout.payment_start

    def fail(order_id):
        raise RuntimeError("broken")

    monkeypatch.setattr(checkout, "payment_start", fail)
    api = Api()
    api.client.raise_request_exception = False
    assert api.post(f"/orders/{token}/pay", Idempotency_Key=KEY).status_code == 500
    monkeypatch.setattr(checkout, "payment_start", real)
    assert api.post(f"/orders/{token}/pay", Idempotency_Key=KEY).json()["state"] == "payable"


@pytest.mark.django_db
def test_answers_are_forgotten_after_two_days():
    Api().post("/carts", Idempotency_Key=KEY)
    assert idempotency.answers_prune() == 0
    StoredAnswer.objects.update(created_at=timezone.now() - timedelta(days=3))
    assert idempotency.answers_prune() == 1
