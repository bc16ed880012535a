"""The hosted card form, walked as a browser without JavaScript walks it."""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import pytest
import stripe

from .conftest import Service

RETURN = "https://shop.test/checkout/done?order=P-1"


@dataclass
class Page:
    """What the browser got."""

    status: int
    location: str
    text: str
    url: str

    @property
    def back(self) -> dict[str, str]:
        """The query with which the shopper returns to the shop."""
        assert self.status == 303
        assert self.location.startswith("https://shop.test/checkout/done?order=P-1&")
        return {name: values[0] for name, values in parse_qs(urlsplit(self.location).query).items()}


class _Form(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "form":
            self.action = values["action"] or ""
        if tag == "input":
            self.fields[values["name"] or ""] = values["value"] or ""


class Browser:
    """Follows nothing by itself."""

    def __init__(self, base: str) -> None:
        self._host = urlsplit(base).netloc
        self._base = base

    def open(self, url: str, values: dict[str, str] | None = None) -> Page:
        """Get a page, or post a form."""
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(self._host, timeout=10)
        connection.request(
            "GET" if values is None else "POST",
            parts.path + (f"?{parts.query}" if parts.query else ""),
            None if values is None else urlencode(values),
            {} if values is None else {"Content-Type": "application/x-www-form-urlencoded"},
        )
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return Page(answer.status, answer.headers.get("Location", ""), text, url)

    def submit(self, page: Page, **values: str) -> Page:
        """Fill in and send the page's form."""
        form = _Form(page.text)
        return self.open(urljoin(page.url, form.action), form.fields | values)


@pytest.fixture
def browser(provider: Service) -> Browser:
    """Return a browser at the provider."""
    return Browser(provider.url)


@pytest.fixture
def intent(client: stripe.StripeClient) -> stripe.PaymentIntent:
    """Return what the shop's checkout creates."""
    return client.v1.payment_intents.create(
        {"amount": 123456, "currency": "eur", "payment_method_types": ["card"], "description": "Order <P-1>"}
    )


def link(intent: Any, **more: str) -> str:
    """Return the address that the shop sends the shopper to."""
    query = {"client_secret": intent.client_secret, "return_url": RETURN, **more}
    return f"/pay/{intent.id}?{urlencode(query)}"


def card(number: str, **more: str) -> dict[str, str]:
    """Return what the shopper types."""
    return {"number": number, "expiry": "12/34", "cvc": "123", "name": "A. Shopper", **more}


def test_a_good_card_pays_and_returns(browser: Browser, client: stripe.StripeClient, intent: Any) -> None:
    page = browser.open(link(intent))
    assert page.status == 200
    assert "EUR 1,234.56" in page.text
    assert "Order &lt;P-1&gt;" in page.text
    assert "<script" not in page.text
    back = browser.submit(page, **card("4242 4242 4242 4242")).back
    assert (back["payment_intent"], back["redirect_status"]) == (intent.id, "succeeded")
    assert back["payment_intent_client_secret"] == intent.client_secret
    paid = client.v1.payment_intents.retrieve(intent.id, {"expand": ["payment_method"]})
    assert (paid.status, paid.payment_method.billing_details.name) == ("succeeded", "A. Shopper")
    assert (paid.payment_method.card.exp_month, paid.payment_method.card.exp_year) == (12, 2034)


def test_paying_twice_charges_once(browser: Browser, client: stripe.StripeClient, intent: Any) -> None:
    page = browser.open(link(intent))
    browser.submit(page, **card("4242424242424242"))
    assert browser.submit(page, **card("4242424242424242")).back["redirect_status"] == "succeeded"
    assert browser.open(link(intent)).back["redirect_status"] == "succeeded"
    assert len(client.v1.charges.list({"payment_intent": intent.id}).data) == 1


def test_a_declined_card_can_be_replaced(browser: Browser, client: stripe.StripeClient, intent: Any) -> None:
    page = browser.submit(browser.open(link(intent)), **card("4000000000009995"))
    assert page.status == 402
    assert "insufficient funds" in page.text
    assert 'value="123"' not in page.text, "the security code must not be shown again"
    assert client.v1.payment_intents.retrieve(intent.id).status == "requires_payment_method"
    assert browser.submit(page, **card("5555555555554444")).back["redirect_status"] == "succeeded"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (card("4242424242424241"), "card number is invalid"),
        (card("4111111111111111"), "never a real card"),
        (card("4242424242424242", expiry="13/34"), "expiration date is incomplete"),
        (card("4242424242424242", expiry="01/20"), "in the past"),
        (card("4242424242424242", cvc="1"), "security code is incomplete"),
    ],
)
def test_typing_errors_are_named_and_charge_nothing(
    browser: Browser, client: stripe.StripeClient, intent: Any, typed: dict[str, str], said: str
) -> None:
    page = browser.submit(browser.open(link(intent)), **typed)
    assert page.status == 422
    assert said in page.text
    assert client.v1.charges.list().data == []


def test_the_bank_asks_and_the_shopper_approves(browser: Browser, client: stripe.StripeClient, intent: Any) -> None:
    step = browser.submit(browser.open(link(intent)), **card("4000002500003155"))
    assert step.status == 303
    assert step.location.startswith(f"http://pay.test/3ds/{intent.id}?")
    assert client.v1.payment_intents.retrieve(intent.id).status == "requires_action"
    question = browser.open(step.location)
    assert "EUR 1,234.56" in question.text
    assert browser.submit(question, answer="approve").back["redirect_status"] == "succeeded"
    assert client.v1.payment_intents.retrieve(intent.id).status == "succeeded"
    assert browser.submit(question, answer="approve").back["redirect_status"] == "succeeded"
    assert len(client.v1.charges.list({"payment_intent": intent.id}).data) == 1


def test_the_bank_asks_and_the_shopper_refuses(browser: Browser, client: stripe.StripeClient, intent: Any) -> None:
    step = browser.submit(browser.open(link(intent)), **card("4000002500003155"))
    assert browser.submit(browser.open(step.location), answer="refuse").back["redirect_status"] == "failed"
    kept = client.v1.payment_intents.retrieve(intent.id)
    assert (kept.status, kept.last_payment_error.code) == (
        "requires_payment_method",
        "payment_intent_authentication_failure",
    )


def test_approved_but_declined_afterwards(browser: Browser, intent: Any) -> None:
    step = browser.submit(browser.open(link(intent)), **card("4000008260003178"))
    assert browser.submit(browser.open(step.location), answer="approve").back["redirect_status"] == "failed"


def test_the_amount_shown_is_the_amount_charged(browser: Browser, client: stripe.StripeClient, intent: Any) -> None:
    page = browser.open(link(intent))
    client.v1.payment_intents.update(intent.id, {"amount": 999999})
    again = browser.submit(page, **card("4242424242424242"))
    assert (again.status, "EUR 9,999.99" in again.text, "amount has changed" in again.text) == (422, True, True)
    assert browser.submit(again, **card("4242424242424242")).back["redirect_status"] == "succeeded"


def test_a_cancelled_payment_returns_as_failed(browser: Browser, client: stripe.StripeClient, intent: Any) -> None:
    client.v1.payment_intents.cancel(intent.id)
    assert browser.open(link(intent)).back["redirect_status"] == "failed"


@pytest.mark.parametrize(
    "more", [{"client_secret": "wrong"}, {"return_url": "javascript:alert(1)"}, {"return_url": "/relative"}]
)
def test_a_link_that_is_not_valid_shows_nothing(browser: Browser, intent: Any, more: dict[str, str]) -> None:
    page = browser.open(link(intent, **more))
    assert page.status == 404
    assert "1,234.56" not in page.text
    unknown = browser.open(link(intent).replace(intent.id, "pi_none"))
    assert (unknown.status, unknown.text) == (page.status, page.text)
