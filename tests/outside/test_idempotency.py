"""Idempotency keys: one key, one effect, one answer."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import stripe

from .conftest import Service, connect, plan, read

CARD: Any = {"amount": 4200, "currency": "usd", "payment_method_types": ["card"]}
PAID: Any = {**CARD, "confirm": True, "payment_method": "pm_card_visa"}


def test_the_same_key_and_parameters_give_the_same_answer(client: stripe.StripeClient) -> None:
    first = client.v1.payment_intents.create(PAID, {"idempotency_key": "order-1"})
    again = client.v1.payment_intents.create(PAID, {"idempotency_key": "order-1"})
    assert first.to_dict() == again.to_dict()
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert again.last_response.headers["Original-Request"] == first.last_response.request_id
    assert len(client.v1.payment_intents.list().data) == 1
    assert client.v1.events.list({"type": "payment_intent.created"}).data[0].request.idempotency_key == "order-1"


def test_the_order_of_parameters_does_not_matter(client: stripe.StripeClient) -> None:
    first = client.v1.payment_intents.create(CARD, {"idempotency_key": "k"})
    turned: Any = dict(reversed(CARD.items()))
    assert client.v1.payment_intents.create(turned, {"idempotency_key": "k"}).id == first.id


def test_other_parameters_are_refused(client: stripe.StripeClient) -> None:
    client.v1.payment_intents.create(CARD, {"idempotency_key": "k"})
    with pytest.raises(stripe.IdempotencyError, match="same parameters") as caught:
        client.v1.payment_intents.create({**CARD, "amount": 4300}, {"idempotency_key": "k"})
    assert caught.value.http_status == 400
    assert len(client.v1.payment_intents.list().data) == 1


def test_another_address_is_refused(client: stripe.StripeClient) -> None:
    intent = client.v1.payment_intents.create(CARD, {"idempotency_key": "k"})
    with pytest.raises(stripe.IdempotencyError, match="same endpoint"):
        client.v1.payment_intents.cancel(intent.id, {}, {"idempotency_key": "k"})


def test_a_key_that_is_too_long_is_refused(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.IdempotencyError, match="255"):
        client.v1.payment_intents.create(CARD, {"idempotency_key": "k" * 256})


def test_what_failed_validation_is_not_kept(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payment_intents.create({"amount": 4200}, {"idempotency_key": "k"})  # type: ignore[typeddict-item]
    assert client.v1.payment_intents.create(CARD, {"idempotency_key": "k"}).amount == 4200


def test_a_decline_is_kept(client: stripe.StripeClient) -> None:
    wish = {**PAID, "payment_method": "pm_card_visa_chargeDeclined"}
    for _ in range(2):
        with pytest.raises(stripe.CardError):
            client.v1.payment_intents.create(wish, {"idempotency_key": "k"})
    assert len(client.v1.charges.list().data) == 1


def test_a_500_after_the_work_is_the_answer_for_good(client: stripe.StripeClient, provider: Service) -> None:
    plan(provider, target="api", effect="error", phase="after", match="POST /v1/payment_intents")
    for _ in range(2):
        with pytest.raises(stripe.APIError) as caught:
            client.v1.payment_intents.create(PAID, {"idempotency_key": "k"})
        assert caught.value.http_status == 500
    assert [intent.status for intent in client.v1.payment_intents.list().data] == ["succeeded"]


def test_a_lost_answer_is_replayed_to_the_retry(client: stripe.StripeClient, provider: Service) -> None:
    plan(provider, target="api", effect="hang_up", phase="after", match="POST /v1/payment_intents")
    with pytest.raises(stripe.APIConnectionError):
        client.v1.payment_intents.create(PAID, {"idempotency_key": "k"})
    replayed = client.v1.payment_intents.create(PAID, {"idempotency_key": "k"})
    assert replayed.last_response.headers["Idempotent-Replayed"] == "true"
    assert [charge.payment_intent for charge in client.v1.charges.list().data] == [replayed.id]


def test_twenty_threads_with_one_key_charge_once(provider: Service) -> None:
    start = threading.Barrier(20)

    def pay(_: int) -> str:
        client = stripe.StripeClient(
            "sk_test_outside_0123456789abcdef", base_addresses={"api": provider.url}, max_network_retries=8
        )
        start.wait()
        return str(client.v1.payment_intents.create(PAID, {"idempotency_key": "one"}).id)

    with ThreadPoolExecutor(20) as pool:
        answers = set(pool.map(pay, range(20)))
    assert len(answers) == 1
    assert len(connect(provider.url).v1.charges.list({"limit": 100}).data) == 1


def test_twenty_threads_without_a_key_charge_twenty_times(provider: Service) -> None:
    """The negative control of the test above: without the key the same race does double charge."""
    start = threading.Barrier(20)

    def pay(number: int) -> str:
        start.wait()
        return str(connect(provider.url).v1.payment_intents.create(PAID, {"idempotency_key": f"own-{number}"}).id)

    with ThreadPoolExecutor(20) as pool:
        assert len(set(pool.map(pay, range(20)))) == 20
    assert len(connect(provider.url).v1.charges.list({"limit": 100}).data) == 20


def test_a_second_request_during_the_first_is_told_to_wait(client: stripe.StripeClient, provider: Service) -> None:
    plan(provider, target="api", effect="sleep", phase="after", seconds=1.5, match="POST /v1/payment_intents")
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(client.v1.payment_intents.create, CARD, {"idempotency_key": "k"})
        while read(provider, "/_control/faults"):
            time.sleep(0.02)
        with pytest.raises(stripe.APIError) as caught:
            connect(provider.url).v1.payment_intents.create(CARD, {"idempotency_key": "k"})
        assert caught.value.http_status == 409
        assert caught.value.json_body["error"]["code"] == "idempotency_key_in_use"
        assert slow.result().amount == 4200
