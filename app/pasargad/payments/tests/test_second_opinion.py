"""A provider that others wrote (localstripe) hears the shop's payment code, and its books agree with ours.

It is no strict stand-in. Where it deviates from Stripe's API:
- it knows no `description`, `receipt_email`, `cancellation_reason`: left out here;
- it ignores idempotency keys: the same key makes a second payment, which our own stand-in refuses to do;
- it gives back more than was received: only the shop's own limit holds;
- it tells of succeeded payments, not of refunds, and only once; it has no disputes; no `created` or `types` in lists;
- a payment method is set by an update, as `confirm` takes none;
- a payment does not say `amount_received`: what its charge says is read instead.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
import stripe
from testing.factories import make_order, make_variant
from testing.provider import free_port

from pasargad.books.oracles import check
from pasargad.ledger.selectors import balances
from pasargad.orders.models import Order, Status
from pasargad.payments import gateway
from pasargad.payments.exceptions import RefundRefused
from pasargad.payments.models import PaymentAttempt, Refund
from pasargad.payments.refunds import order_refund, refund_send, refunds_check
from pasargad.payments.services import order_withdraw, payment_check, payment_start

UNKNOWN_TO_IT = ("description", "receipt_email", "cancellation_reason")
# ruff: noqa: S310  # addresses of this machine only
SECRET = "whsec_of_strangers"
READY_SECONDS = 30.0


class Reduced(stripe.RequestsClient):
    """Sends what the other side knows of each request, and nothing else is changed."""

    def request(self, method: str, url: str, headers: Any, post_data: Any = None) -> Any:
        if isinstance(post_data, str):
            given = parse_qsl(post_data, keep_blank_values=True)
            post_data = urlencode([(name, value) for name, value in given if name.split("[")[0] not in UNKNOWN_TO_IT])
        return super().request(method, url, headers, post_data)


def read_with_charge(raw: dict[str, Any]) -> gateway.Intent:
    charge = raw.get("latest_charge") or {}
    return READ({**raw, "amount_received": charge["amount"] if raw["status"] == "succeeded" else 0})


READ = gateway.Intent.read


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    url, folder = f"http://localhost:{port}", tmp_path_factory.mktemp("localstripe")
    # It writes its whole store to /tmp after each request; nobody reads that here.
    command = [sys.executable, "-m", "localstripe.server", "--from-scratch", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "TMPDIR": str(folder)})
    try:
        _wait(url, process, folder / "log")
        yield url
    finally:
        process.terminate()
        process.wait(10)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            urllib.request.urlopen(f"{url}/js.stripe.com/v3/", timeout=2).close()
            return
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)


@pytest.fixture
def strangers(address: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> stripe.StripeClient:
    """The strangers' provider, empty, known to the shop; its official client for what shoppers do there."""
    request = urllib.request.Request(f"{address}/_config/data", method="DELETE")
    urllib.request.urlopen(request, timeout=10).close()
    client = stripe.StripeClient(
        "sk_test_of_strangers", base_addresses={"api": address}, http_client=Reduced(timeout=10), max_network_retries=0
    )
    settings.STRIPE = replace(settings.STRIPE, api_base=address, webhook_secrets=(SECRET,), live_mode=False)
    monkeypatch.setattr(gateway, "_client", lambda: client)
    monkeypatch.setattr(gateway.Intent, "read", read_with_charge)
    return client


def pay(client: stripe.StripeClient, attempt: PaymentAttempt, card: str = "4242424242424242") -> None:
    """Give a card, as the shopper's browser would."""
    method = client.v1.payment_methods.create(
        {"type": "card", "card": {"number": card, "exp_month": 12, "exp_year": 2034, "cvc": "123"}}
    )
    client.v1.payment_intents.update(attempt.intent_id or "", {"payment_method": method.id})
    client.v1.payment_intents.confirm(attempt.intent_id or "")


def their_balance(client: stripe.StripeClient) -> int:
    return sum(move.net for move in client.v1.balance_transactions.list({"limit": 100}).data)


@pytest.mark.django_db
def test_strangers_take_and_give_back_what_our_books_say(strangers):
    order = make_order((make_variant(stock=5), 3))
    attempt = payment_start(order.pk)
    assert payment_start(order.pk).intent_id == attempt.intent_id, "a second start asks for no second payment"
    pay(strangers, attempt)
    payment_check(attempt, actor="return")
    order.refresh_from_db()
    assert order.status == Status.PAID and their_balance(strangers) == order.total_minor

    for amount in (500, 700):
        refund_send(order_refund(order.pk, amount, "A scratch.", actor="staff").pk)
    assert set(Refund.objects.values_list("status", flat=True)) == {"succeeded"}
    assert balances()["provider", "usd"] == their_balance(strangers) == order.total_minor - 1200
    refunds_check(attempt.pk)
    assert Refund.objects.count() == 2, "their list holds nothing that we did not know"

    rest = order.total_minor - 1200
    with pytest.raises(RefundRefused):
        order_refund(order.pk, rest + 1, "Too much.", actor="staff")
    refund_send(order_refund(order.pk, rest, "The rest.", actor="staff").pk)
    assert Order.objects.get().status == Status.REFUNDED
    assert balances()["provider", "usd"] == their_balance(strangers) == 0
    assert check() == []


@pytest.mark.django_db
def test_a_withdrawn_payment_cannot_be_paid_there(strangers):
    order = make_order()
    attempt = payment_start(order.pk)
    assert order_withdraw(order.pk, actor="shopper").status == Status.CANCELLED
    with pytest.raises(stripe.InvalidRequestError):
        pay(strangers, attempt)
    assert their_balance(strangers) == 0 and check() == []


@pytest.mark.django_db(transaction=True)
def test_their_signed_message_pays_the_order(strangers, address, live_server):
    body = json.dumps({"url": f"{live_server.url}/webhooks/stripe/", "secret": SECRET}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}/_config/webhooks/shop", body, headers)
    urllib.request.urlopen(request, timeout=10).close()
    order = make_order()
    pay(strangers, payment_start(order.pk))
    deadline = time.monotonic() + 15
    while Order.objects.get().status != Status.PAID:
        assert time.monotonic() < deadline, "no message has paid the order"
        time.sleep(0.2)
    assert check() == []


@pytest.mark.django_db
def test_where_they_deviate_only_our_own_limits_hold(strangers):
    """Says of which guards these tests are no proof; the strict stand-in is (tests/outside)."""
    attempt = payment_start(make_order().pk)
    pay(strangers, attempt)
    same = {"idempotency_key": "once"}
    first, second = (strangers.v1.payment_intents.create({"amount": 500, "currency": "usd"}, same) for _ in range(2))
    assert first.id != second.id
    beyond = strangers.v1.refunds.create({"payment_intent": attempt.intent_id or "", "amount": 10**6})
    assert beyond.status == "succeeded"
