"""What is done when the provider's word arrives: once, whoever brings it, and only for the right money."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.utils import timezone
from django_tasks_db.models import DBTaskResult
from testing.factories import make_order, make_variant
from testing.money import intent_for, make_attempt, make_paid, together

from pasargad.books.oracles import check
from pasargad.notifications.models import Mail
from pasargad.orders.models import Order, Status
from pasargad.orders.services import order_cancel, order_lock
from pasargad.payments.exceptions import NotPayable, ProviderUnreachable
from pasargad.payments.gateway import Intent
from pasargad.payments.models import PaymentAttempt, Refund, WebhookEvent
from pasargad.payments.refunds import order_refund
from pasargad.payments.services import payment_settle, payment_start, webhook_receive


def attempt_for(order: Order, number: int = 1, **fields) -> PaymentAttempt:
    return make_attempt(order, number, **fields)


def paid(attempt: PaymentAttempt) -> Intent:
    return intent_for(attempt)


@pytest.mark.django_db(transaction=True)
def test_many_messengers_at_once_settle_once():
    variant = make_variant(stock=3)
    order = make_order((variant, 1))
    intent = paid(attempt_for(order))
    assert together(lambda: payment_settle(intent, actor="test")) == []
    variant.refresh_from_db()
    assert Order.objects.get().status == Status.PAID
    assert (variant.on_hand, variant.reserved) == (2, 0)
    assert order.events.filter(after="paid").count() == Mail.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_copies_of_an_event_at_once_count_once():
    order = make_order()
    attempt = attempt_for(order)
    subject = {
        "id": attempt.intent_id, "object": "payment_intent", "status": "succeeded", "amount": order.total_minor,
        "amount_received": order.total_minor, "currency": order.currency, "metadata": {},
    }  # fmt: skip
    event = {"id": "evt_1", "object": "event", "type": "payment_intent.succeeded", "data": {"object": subject}}
    results = []
    assert together(lambda: results.append(webhook_receive(event))) == []
    assert sorted(results) == [False] * 5 + [True]
    assert WebhookEvent.objects.count() == 1 and Order.objects.get().status == Status.PAID


@pytest.mark.django_db(transaction=True)
def test_an_event_whose_work_fails_is_not_noted_and_works_when_it_comes_again(monkeypatch):
    from pasargad.payments import services

    order = make_order()
    intent = paid(attempt_for(order))
    event = {"id": "evt_1", "object": "event", "type": "payment_intent.succeeded",
             "data": {"object": {"id": intent.id, "object": "payment_intent", "status": "succeeded",
                                 "amount": intent.amount, "amount_received": intent.received,
                                 "currency": intent.currency}}}  # fmt: skip

    def fail(*args, **kwargs):
        raise RuntimeError("the power went out")

    with monkeypatch.context() as broken, pytest.raises(RuntimeError):
        broken.setattr(services, "order_paid", fail)
        webhook_receive(event)
    assert not WebhookEvent.objects.exists() and Order.objects.get().status == Status.AWAITING_PAYMENT
    assert webhook_receive(event)
    assert Order.objects.get().status == Status.PAID


@pytest.mark.django_db
@pytest.mark.parametrize("change", [{"received": 1}, {"currency": "eur"}])
def test_the_wrong_money_pays_for_nothing_and_goes_back(change):
    variant = make_variant(stock=1)
    order = make_order((variant, 1))
    payment_settle(replace(paid(attempt_for(order)), **change), actor="test")
    variant.refresh_from_db()
    assert Order.objects.get().status == Status.REFUND_DUE and variant.reserved == 0
    assert Refund.objects.get().amount_minor == change.get("received", order.total_minor)
    assert check() == []


@pytest.mark.django_db
def test_an_intent_is_found_by_its_key_when_its_id_was_never_stored():
    order = make_order()
    attempt = attempt_for(order, status="created", intent_id=None)
    payment_settle(paid(attempt), actor="test")
    attempt.refresh_from_db()
    assert (attempt.intent_id, attempt.status) == ("pi_new", "succeeded")
    assert Order.objects.get().status == Status.PAID


@pytest.mark.django_db
def test_a_slow_answer_does_not_undo_what_came_meanwhile(monkeypatch):
    from pasargad.payments import gateway, services

    order = make_order()

    def create(**asked) -> Intent:
        made = paid(PaymentAttempt.objects.get())
        payment_settle(made, actor="webhook")
        return replace(made, status="requires_payment_method", received=0, client_secret="pi_new_secret_x")

    monkeypatch.setattr(gateway, "intent_create", create)
    services.payment_start(order.pk)
    attempt = PaymentAttempt.objects.get()
    assert (attempt.intent_id, attempt.status) == ("pi_new", "succeeded")
    assert Order.objects.get().status == Status.PAID and check() == []


@pytest.mark.django_db
def test_no_payment_is_begun_when_the_goods_are_held_no_longer():
    """The sweep that gives such an order up may come half a minute later."""
    order = make_order()
    attempt_for(order)
    assert payment_start(order.pk).intent_id
    Order.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(NotPayable):
        payment_start(order.pk)


@pytest.mark.django_db
def test_money_for_a_cancelled_order_goes_back():
    order = make_order((variant := make_variant(stock=1), 1))
    attempt = attempt_for(order)
    with transaction.atomic():
        order_cancel(order_lock(order.pk), actor="shopper")
    payment_settle(paid(attempt), actor="webhook")
    order.refresh_from_db()
    variant.refresh_from_db()
    assert (order.status, variant.on_hand, variant.reserved) == (Status.REFUND_DUE, 1, 0)
    assert Refund.objects.get().amount_minor == attempt.amount_minor and check() == []


@pytest.mark.django_db
@pytest.mark.parametrize("late", ["requires_payment_method", "processing", "canceled", "requires_action"])
def test_what_is_paid_stays_paid_whatever_comes_late(late):
    attempt = attempt_for(make_order())
    payment_settle(paid(attempt), actor="test")
    payment_settle(replace(paid(attempt), status=late, received=0), actor="test")
    attempt.refresh_from_db()
    assert attempt.status == "succeeded" and Order.objects.get().status == Status.PAID


@pytest.mark.django_db
def test_a_payment_of_somebody_else_changes_nothing():
    order = make_order()
    stranger = replace(paid(attempt_for(order)), id="pi_unknown", attempt_key="unknown")
    payment_settle(stranger, actor="test")
    assert Order.objects.get().status == Status.AWAITING_PAYMENT


@pytest.mark.django_db
def test_an_order_has_one_live_attempt():
    order = make_order()
    attempt_for(order, 1, status="cancelled")
    attempt_for(order, 2)
    with pytest.raises(IntegrityError), transaction.atomic():
        attempt_for(order, 3)


@pytest.mark.django_db
def test_an_order_that_cannot_be_given_up_keeps_no_other(monkeypatch):
    from pasargad.payments import services

    bad, good = make_order(), make_order()
    Order.objects.update(expires_at=timezone.now() - timedelta(hours=1))
    expire = services.order_expire

    def order_expire(order: Order) -> None:
        if order.pk == bad.pk:
            raise IntegrityError("a row that breaks a constraint")
        expire(order)

    monkeypatch.setattr(services, "order_expire", order_expire)
    assert services.orders_expire() == 1
    assert [Order.objects.get(pk=order.pk).status for order in (bad, good)] == [Status.AWAITING_PAYMENT, Status.EXPIRED]


@pytest.mark.django_db
def test_pages_of_orders_that_cannot_be_given_up_hide_none_behind_them(monkeypatch):
    from pasargad.payments import services

    orders = [make_order() for _ in range(6)]
    long_ago = timezone.now() - timedelta(hours=1)
    Order.objects.update(expires_at=long_ago)
    Order.objects.filter(pk=orders[-1].pk).update(expires_at=long_ago + timedelta(minutes=1))
    expire, tried = services.order_expire, []

    def order_expire(order: Order) -> None:
        tried.append(order.pk)
        if order.pk != orders[-1].pk:
            raise IntegrityError("a row that breaks a constraint")
        expire(order)

    monkeypatch.setattr(services, "order_expire", order_expire)
    assert services.orders_expire(page=2) == 1
    assert Order.objects.get(pk=orders[-1].pk).status == Status.EXPIRED
    assert tried == [order.pk for order in orders], "each once, also those of the same moment"


@pytest.mark.django_db
def test_a_provider_that_lets_us_wait_does_not_keep_the_worker(monkeypatch):
    from pasargad.payments import services

    now, asked = [0.0], []

    def check(attempt: PaymentAttempt, *, actor: str) -> None:
        asked.append(attempt.pk)
        now[0] += 30

    for _ in range(4):
        attempt_for(make_order())
    monkeypatch.setattr(services, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(services, "payment_check", check)
    assert services.payments_reconcile(quiet_seconds=0) == 2
    assert services.payments_reconcile(quiet_seconds=0) == 2
    assert len(set(asked)) == 4, "the second sweep began with those behind"


@pytest.mark.django_db
def test_goods_are_freed_though_the_provider_lets_us_wait(monkeypatch):
    from pasargad.payments import services

    now, asked = [0.0], []

    def cancel(intent_id: str) -> None:
        asked.append(intent_id)
        now[0] += 30
        raise ProviderUnreachable("no answer")

    for _ in range(4):
        attempt_for(make_order())
    Order.objects.update(expires_at=timezone.now() - timedelta(hours=1))
    monkeypatch.setattr(services, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(services.gateway, "intent_cancel", cancel)
    assert services.orders_expire() == 4 and len(asked) == 2
    assert Order.objects.filter(status=Status.EXPIRED).count() == 4
    now[0] = 0.0
    services.payments_reconcile(quiet_seconds=0)
    assert len(asked) == 4, "the reconciler goes on with withdrawing"


@pytest.mark.django_db
def test_refunds_of_a_provider_that_lets_us_wait_do_not_keep_the_worker(monkeypatch):
    from pasargad.payments import refunds

    now = [0.0]

    def send(pk: int) -> None:
        now[0] += 30

    for _ in range(4):
        order_refund(make_paid().order_id, 100, "A scratch.", actor="staff")
    monkeypatch.setattr(refunds, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(refunds, "refund_send", send)
    assert refunds.refunds_resend(quiet_seconds=0) == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("duty", ["events_pull", "payments_reconcile", "refunds_resend"])
def test_a_duty_that_fails_keeps_no_other(monkeypatch, duty):
    from pasargad.payments import refunds, services

    done = []

    def work(name: str):
        def run() -> int:
            if name == duty:
                raise RuntimeError("the power went out")
            done.append(name)
            return 0

        return run

    duties = {"events_pull": services, "payments_reconcile": services, "refunds_resend": refunds}
    for name, module in duties.items():
        monkeypatch.setattr(module, name, work(name))
    call_command("db_worker", batch=True, startup_delay=False, verbosity=0)
    assert sorted([*done, duty]) == sorted(duties)
    assert DBTaskResult.objects.get(status="FAILED").task_path == f"pasargad.payments.tasks.{duty}"


@pytest.mark.django_db
def test_a_refund_that_cannot_be_noted_keeps_no_other(monkeypatch):
    from pasargad.payments import refunds

    for _ in range(2):
        order_refund(make_paid().order_id, 100, "A scratch.", actor="staff")
    sent = []

    def send(pk: int) -> None:
        sent.append(pk)
        if len(sent) == 1:
            raise IntegrityError("a row that breaks a constraint")

    monkeypatch.setattr(refunds, "refund_send", send)
    assert refunds.refunds_resend(quiet_seconds=0) == 2 and len(set(sent)) == 2
