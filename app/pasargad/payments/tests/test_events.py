"""The reconciler reads the provider's events: what no webhook brought, each once, past one that cannot be done."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from testing.factories import make_order, make_variant
from testing.money import intent_message, make_attempt, make_paid, message, refund_message, together

from pasargad.books.oracles import check
from pasargad.catalog.models import Variant
from pasargad.orders.models import Order, Status
from pasargad.orders.services import order_expire, order_lock
from pasargad.payments import gateway
from pasargad.payments.exceptions import ProviderUnreachable
from pasargad.payments.messages import messages_refused
from pasargad.payments.models import PaymentAttempt, Refund, Watermark, WebhookEvent
from pasargad.payments.services import events_pull, webhook_receive


@pytest.fixture
def listed(monkeypatch) -> list[dict]:
    """The provider's events; the test fills in what it lists."""
    events: list[dict] = []
    asked: list = []

    def since(moment, types):
        asked.append(moment)
        return [event for event in events if event["type"] in types]

    monkeypatch.setattr(gateway, "events_since", since)
    events_pull.asked = asked  # type: ignore[attr-defined]
    return events


def at(event: dict, moment) -> dict:
    return event | {"created": int(moment.timestamp())}


@pytest.mark.django_db
def test_what_no_webhook_brought_is_read(listed):
    attempt = make_attempt(make_order())
    now = timezone.now()
    listed += [at(intent_message(attempt), now), at(refund_message(attempt, "succeeded", amount=100), now)]
    webhook_receive(listed[1])
    assert WebhookEvent.objects.get().waiting
    assert events_pull() == 1
    assert Order.objects.get().status == Status.PAID and Refund.objects.get().status == "succeeded"
    assert not WebhookEvent.objects.filter(waiting=True).exists()
    assert events_pull() == 0 and check() == []


@pytest.mark.django_db
def test_one_that_cannot_be_done_is_tried_again_and_keeps_no_other(listed, caplog):
    attempt = make_attempt(make_order())
    before = timezone.now() - timedelta(hours=5)
    listed += [at(message("refund.updated", {"object": "refund", "id": "re_bad"}), before),
               at(intent_message(attempt), timezone.now())]  # fmt: skip
    assert events_pull() == 1 and "cannot be done" in caplog.text
    assert Order.objects.get().status == Status.PAID
    assert abs(Watermark.objects.get().at - before) < timedelta(seconds=1)
    listed.pop(0)
    events_pull()
    assert timezone.now() - Watermark.objects.get().at < timedelta(minutes=1)


@pytest.mark.django_db
def test_a_provider_that_does_not_answer_moves_no_watermark(listed, monkeypatch):
    events_pull()
    mark = Watermark.objects.get().at

    def silent(moment, types):
        raise ProviderUnreachable("no")

    monkeypatch.setattr(gateway, "events_since", silent)
    assert events_pull() == 0 and Watermark.objects.get().at == mark


@pytest.mark.django_db
def test_the_next_look_begins_before_the_last_one_ended(listed):
    events_pull()
    mark = Watermark.objects.get().at
    events_pull(overlap_seconds=300)
    assert events_pull.asked[-1] == mark - timedelta(seconds=300)  # type: ignore[attr-defined]


@pytest.mark.django_db(transaction=True)
def test_many_reconcilers_at_once_do_each_event_once(listed):
    attempt = make_attempt(make_order())
    listed += [at(intent_message(attempt), timezone.now())]
    events_pull()
    WebhookEvent.objects.all().delete()
    assert together(events_pull) == []
    assert Order.objects.get().events.filter(after="paid").count() == 1 and check() == []


@pytest.mark.django_db
@pytest.mark.parametrize("goods_left", [True, False])
def test_a_success_after_the_order_expired_gets_the_goods_or_the_money_back(listed, goods_left):
    variant = make_variant(stock=1)
    attempt = make_attempt(make_order((variant, 1)))
    order_expire(order_lock(attempt.order_id))
    if not goods_left:
        make_order((Variant.objects.get(), 1))
    listed += [at(intent_message(attempt), timezone.now())]
    events_pull()
    order = Order.objects.order_by("pk")[0]
    assert order.status == (Status.PAID if goods_left else Status.REFUND_DUE)
    assert Refund.objects.count() == (0 if goods_left else 1) and check() == []


@pytest.mark.django_db
def test_money_that_comes_twice_goes_back_once():
    order = make_order()
    first = make_attempt(order, 1, status="cancelled")
    second = make_attempt(order, 2)
    for attempt in (second, first, first, second):
        webhook_receive(intent_message(attempt))
    assert Order.objects.get().status == Status.PAID
    assert [row.received_minor for row in PaymentAttempt.objects.all()] == [order.total_minor] * 2
    assert Refund.objects.get().attempt_id == first.pk and check() == []


@pytest.mark.django_db
def test_a_message_that_came_in_the_very_moment_of_the_payment_is_woken(listed):
    attempt = make_paid()
    event = refund_message(attempt, "succeeded", amount=100)
    WebhookEvent.objects.create(
        event_id=event["id"], type=event["type"], payload=event, subject=attempt.intent_id, waiting=True
    )
    events_pull()
    assert Refund.objects.get().amount_minor == 100 and not WebhookEvent.objects.filter(waiting=True).exists()


@pytest.mark.django_db
def test_what_is_refused_undoes_neither_its_payment_nor_the_others(listed, caplog):
    attempt = make_attempt(make_order())
    too_much = refund_message(attempt, "succeeded", amount=attempt.amount_minor + 1, identity="re_much")
    good = refund_message(attempt, "succeeded", amount=100, identity="re_good")
    for event in (too_much, good):
        assert webhook_receive(event)
    assert WebhookEvent.objects.filter(waiting=True).count() == 2 and not messages_refused().exists()
    assert webhook_receive(intent_message(attempt))
    assert Order.objects.get().status == Status.PAID and Refund.objects.get().provider_id == "re_good"
    assert "cannot be done" in caplog.text and messages_refused().get().event_id == too_much["id"]
    assert check() == []
    caplog.clear()
    events_pull()
    assert "cannot be done" in caplog.text, "it is tried again"
    assert messages_refused().get().event_id == too_much["id"] and Refund.objects.count() == 1
