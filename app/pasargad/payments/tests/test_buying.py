"""Buying, through real HTTP: shopper, shop and the lab's strict payment provider, webhooks included."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from dataclasses import replace
from datetime import timedelta

import pytest
from django.core import mail
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone
from testing.factories import make_variant
from testing.provider import WEBHOOK_SECRET
from testing.shopper import BANK_CARD, DECLINED_CARD, form_with, text_of

from pasargad.catalog.models import Variant
from pasargad.notifications.models import Mail
from pasargad.orders.models import Order, Status
from pasargad.orders.services import order_lock, order_move
from pasargad.payments import gateway
from pasargad.payments.models import PaymentAttempt, Refund, WebhookEvent
from pasargad.payments.refunds import refund_open, refund_send, refunds_resend
from pasargad.payments.services import orders_expire, payments_reconcile

pytestmark = pytest.mark.django_db(transaction=True)


def until(condition, what: str, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.05)


def at_provider(kind: str) -> list:
    """Return what the provider's own books hold."""
    return list(getattr(gateway._client().v1, kind).list())


def work() -> None:
    """Do the background work that waits, as the worker does."""
    call_command("db_worker", batch=True, startup_delay=False, verbosity=0)


def test_a_guest_buys_and_is_told_by_mail(shop):
    shopper, _ = shop
    variant = make_variant(stock=3)
    assert shopper.add(variant.sku, 2).url.endswith("/cart/?done=added")
    page = shopper.place()
    order = Order.objects.get()
    variant.refresh_from_db()
    assert (variant.on_hand, variant.reserved) == (3, 2)
    back = shopper.pay(page)
    assert back.url.endswith(f"/orders/{order.token}/")
    assert order.number in text_of(back.text)
    order.refresh_from_db()
    variant.refresh_from_db()
    attempt = PaymentAttempt.objects.get()
    assert order.status == Status.PAID and order.paid_at
    assert (variant.on_hand, variant.reserved) == (1, 0)
    assert (attempt.status, attempt.received_minor) == ("succeeded", order.total_minor)
    work()
    [sent] = mail.outbox
    assert sent.to == ["ada@example.org"] and order.number in sent.subject
    assert order.number in sent.body and order.token in sent.body
    [(html, kind)] = sent.alternatives
    assert kind == "text/html" and order.number in html


def test_the_webhook_alone_is_enough(shop):
    shopper, _ = shop
    shopper.add(make_variant().sku)
    page = shopper.place()
    form = form_with(page.text, "client_secret")
    # The card is taken, and then the browser is closed: nobody comes back.
    values = {**form.values, "number": "4242424242424242", "expiry": "12/34", "cvc": "123", "name": "Ada"}
    shopper.post(page.url.partition("?")[0], values, follow=False)
    until(lambda: Order.objects.get().status == Status.PAID, "the webhook")


def test_every_event_counts_once_however_often_it_comes(shop):
    shopper, provider = shop
    variant = make_variant(stock=3)
    shopper.add(variant.sku)
    shopper.pay(shopper.place())
    until(lambda: WebhookEvent.objects.filter(type="payment_intent.succeeded").exists(), "the webhook")
    until(lambda: not provider.control("GET", "deliveries?state=pending"), "all deliveries")
    events = list(WebhookEvent.objects.values_list("event_id", flat=True))
    history = Order.objects.get().events.count()
    for event in events * 3:
        provider.control("POST", f"events/{event}/redeliver")
    until(lambda: not provider.control("GET", "deliveries?state=pending"), "all deliveries again")
    variant.refresh_from_db()
    assert WebhookEvent.objects.count() == len(events)
    assert Order.objects.get().events.count() == history
    assert variant.on_hand == 2 and Mail.objects.count() == 1


def test_a_declined_card_can_be_followed_by_a_good_one(shop):
    shopper, _ = shop
    shopper.add(make_variant().sku)
    page = shopper.place()
    again = shopper.pay(page, DECLINED_CARD)
    assert "declined" in again.text
    assert Order.objects.get().status == Status.AWAITING_PAYMENT
    shopper.pay(again)
    assert Order.objects.get().status == Status.PAID
    assert PaymentAttempt.objects.count() == 1


def test_the_bank_may_ask_first(shop):
    shopper, _ = shop
    shopper.add(make_variant().sku)
    question = shopper.pay(shopper.place(), BANK_CARD)
    form = form_with(question.text, "client_secret")
    intent = PaymentAttempt.objects.get().intent_id
    target = question.url.split("/3ds/")[0].split("/pay/")[0] + f"/3ds/{intent}"
    shopper.post(target, {**form.values, "answer": "approve"})
    assert Order.objects.get().status == Status.PAID


def test_pressing_the_button_twice_makes_one_order(shop):
    shopper, _ = shop
    shopper.add(make_variant().sku)
    form = form_with(shopper.get("/checkout/").text, "idempotency_key")
    values = {
        **form.values,
        "email": "a@b.example",
        "name": "A",
        "street": "S",
        "city": "C",
        "zip": "1",
        "country": "US",
    }
    first = shopper.post("/checkout/", values, follow=False)
    second = shopper.post("/checkout/", values, follow=False)
    assert first.status_code == second.status_code == 303
    assert first.headers["Location"] == second.headers["Location"]
    assert Order.objects.count() == PaymentAttempt.objects.count() == 1


def test_a_provider_that_is_away_costs_neither_the_order_nor_a_second_charge(shop):
    shopper, provider = shop
    shopper.add(make_variant().sku)
    # It does the work, and the answer is lost.
    lost = {"target": "api", "effect": "hang_up", "phase": "after", "match": "POST /v1/payment_intents"}
    provider.control("POST", "faults", lost)
    page = shopper.place()
    order = Order.objects.get()
    assert page.url.endswith(f"/orders/{order.token}/?payment=unavailable")
    # "pending" if the webhook of the lost intent has come meanwhile: it heals the attempt too.
    assert PaymentAttempt.objects.get().status in ("created", "pending")
    shopper.pay(shopper.post(f"/orders/{order.token}/pay/", {}))
    order.refresh_from_db()
    assert order.status == Status.PAID
    assert PaymentAttempt.objects.count() == 1
    assert len(at_provider("payment_intents")) == 1


def test_a_refund_whose_answer_is_lost_is_sent_again_and_given_once(shop):
    shopper, provider = shop
    shopper.add(make_variant().sku)
    shopper.pay(shopper.place())
    order = Order.objects.get()
    with transaction.atomic():
        order_move(order_lock(order.pk), Status.REFUND_DUE, actor="test")
        refund_open(PaymentAttempt.objects.get(), order.total_minor, "The test wants it back.")
    # The messages of the lost refund would heal it at once.
    provider.control("POST", "faults", {"target": "webhook", "effect": "drop", "times": None})
    lost = {"target": "api", "effect": "hang_up", "phase": "after", "match": "POST /v1/refunds"}
    provider.control("POST", "faults", lost)
    refund_send(Refund.objects.get().pk)
    assert Refund.objects.get().status == "created"
    assert refunds_resend(quiet_seconds=0) == 1
    assert Refund.objects.get().status == "succeeded" and Order.objects.get().status == Status.REFUNDED
    [given] = at_provider("refunds")
    assert given.amount == order.total_minor


def test_a_payment_takes_cards_and_nothing_that_settles_days_later(shop):
    shopper, _ = shop
    shopper.add(make_variant().sku)
    shopper.place()
    [intent] = at_provider("payment_intents")
    assert intent.payment_method_types == ["card"] and intent.automatic_payment_methods is None


def test_a_cancelled_order_frees_the_goods_and_fills_the_cart_again(shop):
    shopper, _ = shop
    variant = make_variant(stock=1)
    shopper.add(variant.sku)
    shopper.place()
    order = Order.objects.get()
    page = shopper.post(f"/orders/{order.token}/cancel/", {})
    variant.refresh_from_db()
    order.refresh_from_db()
    assert order.status == Status.CANCELLED and variant.reserved == 0
    assert page.url.endswith("/cart/?done=restored") and variant.product.name in page.text
    assert PaymentAttempt.objects.get().status == "cancelled"


def test_an_unpaid_order_expires_and_cannot_be_paid_any_more(shop):
    shopper, _ = shop
    variant = make_variant(stock=1)
    shopper.add(variant.sku)
    page = shopper.place()
    Order.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert orders_expire() == 1
    variant.refresh_from_db()
    assert Order.objects.get().status == Status.EXPIRED and variant.reserved == 0
    shopper.pay(page)
    assert Order.objects.get().status == Status.EXPIRED
    assert PaymentAttempt.objects.get().status == "cancelled"


@pytest.mark.parametrize("goods_left", [True, False])
def test_money_that_comes_after_all_gets_the_goods_or_goes_back(shop, goods_left):
    shopper, provider = shop
    variant = make_variant(stock=1)
    shopper.add(variant.sku)
    page = shopper.place()
    Order.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    # The provider does not hear that the payment is off.
    provider.control(
        "POST", "faults", {"target": "api", "effect": "error", "match": "POST /v1/*/cancel", "times": None}
    )
    orders_expire()
    assert Order.objects.get().status == Status.EXPIRED
    if not goods_left:
        Variant.objects.filter(pk=variant.pk).update(on_hand=0)
    shopper.pay(page)
    until(lambda: PaymentAttempt.objects.get().status == "succeeded", "the late payment")
    order = Order.objects.get()
    if goods_left:
        assert order.status == Status.PAID
        variant.refresh_from_db()
        assert (variant.on_hand, variant.reserved) == (0, 0)
        return
    assert order.status == Status.REFUND_DUE
    work()
    order.refresh_from_db()
    assert order.status == Status.REFUNDED
    assert (Refund.objects.get().status, Refund.objects.get().amount_minor) == ("succeeded", order.total_minor)


def test_the_reconciler_finds_what_nobody_told_us(shop):
    shopper, provider = shop
    shopper.add(make_variant().sku)
    page = shopper.place()
    provider.control("POST", "faults", {"target": "webhook", "effect": "drop", "times": None})
    form = form_with(page.text, "client_secret")
    values = {**form.values, "number": "4242424242424242", "expiry": "12/34", "cvc": "123", "name": "Ada"}
    shopper.post(page.url.partition("?")[0], values, follow=False)
    assert Order.objects.get().status == Status.AWAITING_PAYMENT
    assert payments_reconcile(quiet_seconds=0) == 1
    assert Order.objects.get().status == Status.PAID


def signed(payload: bytes, secret: str, at: float) -> str:
    digest = hmac.new(secret.encode(), f"{int(at)}.".encode() + payload, hashlib.sha256).hexdigest()
    return f"t={int(at)},v1={digest}"


@pytest.mark.parametrize(
    ("change", "secret", "age", "status"),
    [
        ({}, WEBHOOK_SECRET, 0, 200),
        ({}, "whsec_of_somebody_else", 0, 400),
        ({}, WEBHOOK_SECRET, 301, 400),
        ({"livemode": True}, WEBHOOK_SECRET, 0, 400),
        ({"object": "list"}, WEBHOOK_SECRET, 0, 400),
    ],
)
def test_only_messages_signed_just_now_for_this_mode_are_taken(client, settings, change, secret, age, status):
    settings.STRIPE = replace(settings.STRIPE, webhook_secrets=(WEBHOOK_SECRET,))
    event = {"id": "evt_1", "object": "event", "type": "charge.updated", "livemode": False, "data": {"object": {}}}
    payload = json.dumps(event | change).encode()
    headers = {"Stripe-Signature": signed(payload, secret, time.time() - age)}
    answer = client.post("/webhooks/stripe/", payload, content_type="application/json", headers=headers)
    assert answer.status_code == status
    assert WebhookEvent.objects.exists() is (status == 200)


def test_a_signature_of_strange_letters_is_refused(client):
    headers = {"Stripe-Signature": "t=1,v1=\u00e9"}
    answer = client.post("/webhooks/stripe/", b"{}", content_type="application/json", headers=headers)
    assert answer.status_code == 400


def test_where_the_provider_has_no_page_the_card_is_taken_on_ours(shop, settings):
    settings.STRIPE = replace(settings.STRIPE, payment_page_url="")
    shopper, _ = shop
    shopper.add(make_variant().sku)
    page = shopper.place()
    attempt = PaymentAttempt.objects.get()
    assert page.status_code == 200 and attempt.client_secret in page.text
    assert settings.STRIPE.publishable_key in page.text and settings.STRIPE.secret_key not in page.text
    policy = page.headers["Content-Security-Policy"]
    assert "script-src 'self' https://js.stripe.com" in policy and "frame-src https://js.stripe.com" in policy
    assert "js.stripe.com" not in shopper.get("/cart/").headers["Content-Security-Policy"]
