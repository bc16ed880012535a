"""What staff do with money: only those who may, once for each form, with errors beside the fields."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from django.db import transaction
from django.urls import reverse
from testing.factories import make_order, make_variant
from testing.money import make_paid

from pasargad.accounts.models import User
from pasargad.books.oracles import check
from pasargad.orders.models import Order, Status
from pasargad.orders.return_models import ReturnRequest
from pasargad.orders.returns import Wish, return_request
from pasargad.orders.services import order_lock, order_move
from pasargad.payments.models import PaymentAttempt, Refund
from pasargad.payments.refunds import order_refund

KEY = "d" * 32


def staff(client, *permissions: str) -> None:
    user = User.objects.create(email="staff@example.org", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)


@pytest.fixture
def attempt(db) -> PaymentAttempt:
    return make_paid(make_order((make_variant(stock=5), 2)))


def refund_page(attempt: PaymentAttempt) -> str:
    return reverse("admin:payments_refund_order", args=[attempt.order_id])


def test_staff_give_part_of_the_money_back_once(client, attempt):
    staff(client, "add_refund", "view_order")
    line = attempt.order.lines.get()
    assert (
        refund_page(attempt)
        in client.get(reverse("admin:orders_order_change", args=[attempt.order_id])).content.decode()
    )
    page = client.get(refund_page(attempt))
    assert page.status_code == 200 and f"pieces_{line.pk}" in page.content.decode()
    values = {"amount": "10.00", "reason": "Scratched", "request_key": KEY, f"pieces_{line.pk}": "1",
              f"restock_{line.pk}": "on"}  # fmt: skip
    for _ in range(2):
        assert client.post(refund_page(attempt), values).status_code == 302
    refund = Refund.objects.get()
    assert (refund.amount_minor, refund.actor, refund.lines.get().quantity) == (1000, "staff@example.org", 1)
    assert check() == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"amount": "1000.00"}, "less than or equal to"),
        ({"amount": "0"}, "greater than or equal to"),
        ({"amount": "1.001"}, "no more than 2 decimal places"),
        ({"amount": "much"}, "Enter a number"),
        ({"reason": ""}, "required"),
        ({"pieces": "3"}, "less than or equal to 2"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_given(client, attempt, change, says):
    staff(client, "add_refund")
    pieces = f"pieces_{attempt.order.lines.get().pk}"
    values = {"amount": "5.00", "reason": "Kept words", "request_key": KEY}
    values |= {pieces if name == "pieces" else name: value for name, value in change.items()}
    answer = client.post(refund_page(attempt), values)
    assert answer.status_code == 422 and says in answer.content.decode()
    assert "reason" in change or "Kept words" in answer.content.decode()
    assert not Refund.objects.exists()


def test_those_who_may_not_are_refused(client, attempt):
    assert client.get(refund_page(attempt)).status_code == 302
    staff(client, "view_order")
    assert client.get(refund_page(attempt)).status_code == 403
    assert client.post(refund_page(attempt), {"amount": "1", "reason": "x"}).status_code == 403
    assert (
        "Refund</a>" not in client.get(reverse("admin:orders_order_change", args=[attempt.order_id])).content.decode()
    )
    assert not Refund.objects.exists()


def test_failed_refunds_are_sent_again_or_withdrawn_by_those_who_may(client, attempt):
    order_refund(attempt.order_id, 100, "x", actor="staff")
    Refund.objects.update(status="failed")
    address = reverse("admin:payments_refund_changelist")
    action = {"action": "send_again", "_selected_action": [Refund.objects.get().pk]}
    staff(client, "view_refund")
    client.post(address, action)
    assert Refund.objects.get().status == "failed"
    User.objects.all().delete()
    staff(client, "view_refund", "change_refund")
    client.post(address, action)
    assert Refund.objects.get().status == "created"
    Refund.objects.update(status="failed")
    client.post(address, action | {"action": "withdraw"})
    assert Refund.objects.get().status == "withdrawn"
    assert client.get(reverse("admin:payments_refund_change", args=[Refund.objects.get().pk])).status_code == 200


def test_a_return_is_led_to_its_end_by_forms(client, attempt):
    with transaction.atomic():
        order_move(order_lock(attempt.order_id), Status.SHIPPED, actor="test")
    line = attempt.order.lines.get()
    found = return_request(attempt.order_id, Wish({line.pk: 2}, "unwanted"), key="e" * 32)
    staff(client, "view_returnrequest", "change_returnrequest", "add_refund")

    def step(name: str, **values: str):
        return client.post(reverse("admin:orders_return_step", args=[found.pk, name]), values)

    own_page = reverse("admin:orders_returnrequest_change", args=[found.pk])
    shown = client.get(own_page).content.decode()
    assert "step/accept/" in shown and "step/receive/" not in shown
    assert step("refuse").status_code == 422
    assert step("receive").status_code == 302 and ReturnRequest.objects.get().state == "requested"
    assert step("accept", answer="Thanks").status_code == 302
    row = found.lines.get()
    too_many = {f"restock_{row.pk}": "2", f"write_off_{row.pk}": "1"}
    answer = step("receive", **too_many)
    assert answer.status_code == 422 and "More pieces came back" in answer.content.decode()
    assert step("receive", **{f"restock_{row.pk}": "1", f"write_off_{row.pk}": "1"}).status_code == 302
    page = client.get(reverse("admin:orders_return_step", args=[found.pk, "refund"])).content.decode()
    assert 'value="20.00"' in page
    assert step("refund", amount="20.00").status_code == 302
    assert step("refund", amount="20.00").status_code == 302
    assert ReturnRequest.objects.get().state == "refunding" and Refund.objects.get().amount_minor == 2000
    assert Refund.objects.get().return_request == found and check() == []
    assert client.get(reverse("admin:orders_return_step", args=[found.pk, "nothing"])).status_code == 404
    assert client.get(reverse("admin:orders_return_step", args=[0, "accept"])).status_code == 404


def test_a_return_is_not_moved_by_those_who_may_only_look(client, attempt):
    Order.objects.update(status=Status.SHIPPED)
    found = return_request(attempt.order_id, Wish({attempt.order.lines.get().pk: 1}, "unwanted"), key="e" * 32)
    staff(client, "view_returnrequest", "change_returnrequest")
    assert client.get(reverse("admin:orders_return_step", args=[found.pk, "refund"])).status_code == 403
    User.objects.all().delete()
    staff(client, "view_returnrequest")
    assert client.get(reverse("admin:orders_return_step", args=[found.pk, "accept"])).status_code == 403
