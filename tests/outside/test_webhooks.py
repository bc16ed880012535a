"""Webhooks: signed as Stripe signs, retried until answered, and spoiled on request."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from .catcher import Catcher
from .conftest import WEBHOOK_SECRET, Service, call, connect, plan, read

PAID: Any = {
    "amount": 4200,
    "currency": "usd",
    "payment_method_types": ["card"],
    "payment_method": "pm_card_visa",
    "confirm": True,
}
PAID_EVENTS = ["charge.succeeded", "payment_intent.created", "payment_intent.succeeded"]


def test_events_pass_stripes_own_verification(client: stripe.StripeClient, catcher: Catcher) -> None:
    intent = client.v1.payment_intents.create(PAID, {"idempotency_key": "order-7"})
    catcher.wait(lambda: len(catcher.caught) == 3)
    assert sorted(catcher.types()) == PAID_EVENTS
    for caught in catcher.caught:
        event = stripe.Webhook.construct_event(caught.body, caught.signature, WEBHOOK_SECRET)
        assert (event.livemode, event.api_version) == (False, "2026-10-28.endive")
        assert event.request.idempotency_key == "order-7"
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(caught.body + b" ", caught.signature, WEBHOOK_SECRET)
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(caught.body, caught.signature, "whsec_other")
    done = next(caught.event for caught in catcher.caught if caught.event["type"] == "payment_intent.succeeded")
    assert done["data"]["object"]["id"] == intent.id
    assert client.v1.events.retrieve(done["id"]).type == "payment_intent.succeeded"


def test_an_endpoint_that_fails_is_tried_again(client: stripe.StripeClient, catcher: Catcher) -> None:
    catcher.answers = [500, 302, 404]
    client.v1.payment_intents.create({"amount": 4200, "currency": "usd"})
    catcher.wait(lambda: len(catcher.caught) == 4)
    assert catcher.types() == ["payment_intent.created"] * 4
    assert {caught.path for caught in catcher.caught} == {"/hook/"}, "a redirect must not be followed"
    assert len({caught.event["id"] for caught in catcher.caught}) == 1


def test_patience_ends(client: stripe.StripeClient, provider: Service, catcher: Catcher) -> None:
    catcher.answers = [500] * 20
    client.v1.payment_intents.create({"amount": 4200, "currency": "usd"})
    catcher.wait(lambda: read(provider, "/_control/deliveries")[0]["state"] == "failed")
    assert len(catcher.caught) == 5
    event = client.v1.events.list({"delivery_success": False}).data[0]
    assert event.pending_webhooks == 1
    catcher.answers = []
    call(provider, "POST", f"/_control/events/{event.id}/redeliver")
    catcher.wait(lambda: len(catcher.caught) == 6)


def test_registered_endpoints_get_what_they_asked_for(
    client: stripe.StripeClient, provider: Service, catcher: Catcher
) -> None:
    own = Catcher()
    own.start()
    endpoint = client.v1.webhook_endpoints.create({"url": own.url, "enabled_events": ["payment_intent.succeeded"]})
    assert endpoint.secret and endpoint.secret.startswith("whsec_")
    assert "secret" not in client.v1.webhook_endpoints.retrieve(endpoint.id).to_dict()
    client.v1.payment_intents.create(PAID)
    own.wait(lambda: bool(own.caught))
    catcher.wait(lambda: len(catcher.caught) == 3)
    assert own.types() == ["payment_intent.succeeded"]
    stripe.Webhook.construct_event(own.caught[0].body, own.caught[0].signature, endpoint.secret)
    client.v1.webhook_endpoints.update(endpoint.id, {"disabled": True})
    client.v1.payment_intents.create(PAID)
    catcher.wait(lambda: len(catcher.caught) == 6)
    assert len(own.caught) == 1
    assert client.v1.webhook_endpoints.delete(endpoint.id).deleted
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.webhook_endpoints.retrieve(endpoint.id)
    own.stop()


def test_an_event_can_be_dropped(client: stripe.StripeClient, provider: Service, catcher: Catcher) -> None:
    plan(provider, target="webhook", effect="drop", match="payment_intent.succeeded")
    client.v1.payment_intents.create(PAID)
    catcher.wait(lambda: len(catcher.caught) == 2)
    assert "payment_intent.succeeded" not in catcher.types()
    assert client.v1.events.list({"type": "payment_intent.succeeded"}).data, "the event exists for a reconciler"


def test_an_event_can_be_duplicated(client: stripe.StripeClient, provider: Service, catcher: Catcher) -> None:
    plan(provider, target="webhook", effect="duplicate", copies=3, match="payment_intent.succeeded")
    client.v1.payment_intents.create(PAID)
    catcher.wait(lambda: len(catcher.caught) == 6)
    assert catcher.types().count("payment_intent.succeeded") == 4


def test_an_event_can_be_late(client: stripe.StripeClient, provider: Service, catcher: Catcher) -> None:
    plan(provider, target="webhook", effect="delay", seconds=1.5, match="payment_intent.created")
    client.v1.payment_intents.create(PAID)
    catcher.wait(lambda: len(catcher.caught) == 3)
    assert catcher.types()[-1] == "payment_intent.created"
    assert catcher.caught[-1].moment - catcher.caught[0].moment > 1


def test_a_late_event_can_be_hurried(client: stripe.StripeClient, provider: Service, catcher: Catcher) -> None:
    plan(provider, target="webhook", effect="delay", seconds=3600, match="payment_intent.created")
    client.v1.payment_intents.create({"amount": 4200, "currency": "usd"})
    assert call(provider, "POST", "/_control/deliveries/due") == {"due": 1}
    catcher.wait(lambda: len(catcher.caught) == 1)


def test_events_can_come_in_reverse(client: stripe.StripeClient, provider: Service, catcher: Catcher) -> None:
    plan(provider, target="webhook", effect="reorder", times=3, seconds=0.6)
    client.v1.payment_intents.create(PAID)
    catcher.wait(lambda: len(catcher.caught) == 3)
    assert catcher.types() == ["payment_intent.succeeded", "charge.succeeded", "payment_intent.created"]


def test_a_fault_that_cannot_be_is_refused(provider: Service) -> None:
    from urllib.error import HTTPError

    for wish in ({"target": "api", "effect": "drop"}, {"effect": "drop"}, {"target": "api", "effect": "sleep", "x": 1}):
        with pytest.raises(HTTPError) as caught:
            call(provider, "POST", "/_control/faults", wish)
        assert caught.value.code == 400


def test_faults_of_the_api_end_after_their_count(client: stripe.StripeClient, provider: Service) -> None:
    plan(provider, target="api", effect="rate_limit", times=2, match="GET /v1/payment_intents*")
    for _ in range(2):
        with pytest.raises(stripe.RateLimitError):
            client.v1.payment_intents.list()
    assert client.v1.payment_intents.list().data == []
    plan(provider, target="api", effect="error", status=503)
    with pytest.raises(stripe.APIError):
        client.v1.payment_intents.create(PAID)
    assert client.v1.payment_intents.list().data == [], "before means: nothing was executed"


def test_configured_endpoints_follow_the_configuration(provider: Service, catcher: Catcher) -> None:
    own = provider.config["payments"]
    assert len(connect(provider.url).v1.webhook_endpoints.list().data) == 1
    provider.stop()
    provider.start()
    assert len(connect(provider.url).v1.webhook_endpoints.list().data) == 1
    provider.stop()
    own["endpoints"] = [{"url": catcher.url + "new/", "secret": WEBHOOK_SECRET}]
    provider.start()
    assert [item.url for item in connect(provider.url).v1.webhook_endpoints.list().data] == [catcher.url + "new/"]
