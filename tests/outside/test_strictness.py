"""What Stripe refuses is refused here, in the same words and codes: a lenient fake would hide a shop's mistakes."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest
import stripe

from .conftest import SECRET_KEY, Service, connect

CARD: dict[str, Any] = {"amount": 4200, "currency": "usd", "payment_method_types": ["card"]}


def raw(provider: Service, method: str, path: str, body: str = "", **headers: str) -> tuple[int, dict[str, Any]]:
    """Speak HTTP without Stripe's client."""
    request = urllib.request.Request(provider.url + path, body.encode() or None, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.mark.parametrize(
    ("wish", "code", "param"),
    [
        ({"amount": 4200}, "parameter_missing", "currency"),
        ({"currency": "usd"}, "parameter_missing", "amount"),
        ({**CARD, "amout": 1}, "parameter_unknown", "amout"),
        ({**CARD, "shipping": {"name": "A", "address": {}, "planet": "x"}}, "parameter_unknown", "shipping[planet]"),
        ({**CARD, "shipping": {"name": "A"}}, "parameter_missing", "shipping[address]"),
        ({**CARD, "amount": "42.00"}, "parameter_invalid_integer", "amount"),
        ({**CARD, "amount": -5}, "parameter_invalid_integer", "amount"),
        ({**CARD, "amount": 49}, "amount_too_small", "amount"),
        ({**CARD, "amount": 100_000_000}, "amount_too_large", "amount"),
        ({**CARD, "currency": "irt"}, None, "currency"),
        ({**CARD, "receipt_email": "not an address"}, "email_invalid", "receipt_email"),
        ({**CARD, "payment_method_types": ["bitcoin"]}, "payment_intent_invalid_parameter", "payment_method_types"),
        ({**CARD, "payment_method": "pm_card_unheard_of"}, "resource_missing", "payment_method"),
        ({**CARD, "payment_method": ""}, "parameter_invalid_empty", "payment_method"),
        ({**CARD, "capture_method": "later"}, None, "capture_method"),
        ({**CARD, "confirm": "yes"}, None, "confirm"),
        ({**CARD, "return_url": "https://shop.test/"}, None, "return_url"),
        ({**CARD, "confirm": True, "payment_method": "pm_card_visa", "return_url": "x"}, "url_invalid", "return_url"),
        ({**CARD, "metadata": {"k" * 41: "v"}}, None, "metadata"),
        ({**CARD, "metadata": {"k": "v" * 501}}, None, "metadata[k]"),
        ({**CARD, "metadata": {f"k{n}": "v" for n in range(51)}}, None, "metadata"),
        ({**CARD, "expand": ["nonsense"]}, None, "expand"),
        ({**CARD, "statement_descriptor_suffix": "x" * 23}, "parameter_invalid_string", "statement_descriptor_suffix"),
        ({**CARD, "customer": "cus_1"}, None, "customer"),
    ],
)
def test_a_wrong_parameter_is_named(
    client: stripe.StripeClient, wish: dict[str, Any], code: str | None, param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.payment_intents.create(wish)  # type: ignore[arg-type]
    assert (caught.value.code, caught.value.param) == (code, param)
    assert caught.value.http_status in (400, 404)
    assert caught.value.request_id.startswith("req_")
    assert client.v1.payment_intents.list().data == []


def test_several_unknown_parameters_are_all_named(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="unknown parameters: one, two"):
        client.v1.payment_intents.create({**CARD, "one": "1", "two": "2"})  # type: ignore[typeddict-unknown-key]


def test_unknown_parameters_are_refused_on_reads_too(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="unknown parameter: colour"):
        client.v1.payment_intents.list({"colour": "red"})  # type: ignore[typeddict-unknown-key]
    for limit in (0, 101):
        with pytest.raises(stripe.InvalidRequestError) as caught:
            client.v1.payment_intents.list({"limit": limit})
        assert caught.value.param == "limit"


def test_automatic_payment_methods_may_redirect_so_confirm_needs_a_return_url(client: stripe.StripeClient) -> None:
    wish: Any = {"amount": 4200, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True}
    with pytest.raises(stripe.InvalidRequestError, match="must provide a `return_url`"):
        client.v1.payment_intents.create(wish)
    never = wish | {"automatic_payment_methods": {"enabled": True, "allow_redirects": "never"}}
    assert client.v1.payment_intents.create(never).status == "succeeded"


def test_confirm_without_a_payment_method_is_refused(client: stripe.StripeClient) -> None:
    intent = client.v1.payment_intents.create(CARD)  # type: ignore[arg-type]
    with pytest.raises(stripe.InvalidRequestError, match="missing a payment method"):
        client.v1.payment_intents.confirm(intent.id)


def test_raw_card_numbers_are_refused_by_the_api(client: stripe.StripeClient) -> None:
    card = {"number": "4242424242424242", "exp_month": 1, "exp_year": 2034, "cvc": "123"}
    with pytest.raises(stripe.CardError, match="generally unsafe"):
        client.v1.payment_methods.create({"type": "card", "card": card})


def test_a_wrong_key_is_401_and_is_not_shown_whole(provider: Service) -> None:
    with pytest.raises(stripe.AuthenticationError) as caught:
        connect(provider.url, "sk_test_somebody_elses_key_1234").v1.payment_intents.list()
    assert caught.value.http_status == 401
    assert "somebody" not in str(caught.value)


def test_no_key_is_401(provider: Service) -> None:
    status, answer = raw(provider, "GET", "/v1/payment_intents")
    assert (status, answer["error"]["type"]) == (401, "invalid_request_error")
    assert "did not provide an API key" in answer["error"]["message"]


def test_the_envelope_and_the_address_are_stripes(provider: Service) -> None:
    key = {"Authorization": f"Bearer {SECRET_KEY}"}
    status, answer = raw(provider, "GET", "/v1/planets", **key)
    assert (status, answer["error"]["message"]) == (404, "Unrecognized request URL (GET: /v1/planets).")
    status, answer = raw(provider, "GET", "/v1/payment_intents/pi_none", **key)
    assert (status, answer["error"]["code"]) == (404, "resource_missing")
    assert answer["error"]["message"] == "No such payment_intent: 'pi_none'"
    status, answer = raw(
        provider, "POST", "/v1/payment_intents", json.dumps(CARD), **key, **{"Content-Type": "application/json"}
    )
    assert status == 400
    assert "application/x-www-form-urlencoded" in answer["error"]["message"]


def test_contradicting_form_names_are_refused(provider: Service) -> None:
    status, answer = raw(
        provider, "POST", "/v1/payment_intents", "metadata=1&metadata[a]=2", Authorization=f"Bearer {SECRET_KEY}"
    )
    assert (status, answer["error"]["param"]) == (400, "metadata[a]")


def test_webhook_endpoints_know_their_event_types(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="enabled_events"):
        client.v1.webhook_endpoints.create({"url": "https://a.test/", "enabled_events": ["payment.done"]})  # type: ignore[list-item]
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.webhook_endpoints.create({"url": "shop", "enabled_events": ["*"]})
    assert caught.value.code == "url_invalid"
