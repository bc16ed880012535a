"""The hosted card form: where the shopper's browser goes between the shop's checkout and its thank-you page.

Without JavaScript: a form, perhaps the bank's question, then a redirect to return_url with payment_intent,
payment_intent_client_secret and redirect_status, as Stripe's redirects have them.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from ..database import Database
from ..web import Request, Response, Router, html_response, redirect
from . import intents, methods, pages
from .books import Books, Object
from .cards import BY_NUMBER, luhn_valid
from .errors import ApiError

_PAYABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
_DONE = ("succeeded", "processing", "requires_capture")


class FormError(Exception):
    """What the shopper must correct, in words for the shopper."""


@dataclass(frozen=True)
class Visit:
    """A shopper who proved with the client secret that this payment is theirs to make."""

    intent: Object
    secret: str
    return_url: str

    def back(self, status: str) -> Response:
        """Send the shopper to the shop."""
        parts = urlsplit(self.return_url)
        query = [
            *parse_qsl(parts.query, keep_blank_values=True),
            ("payment_intent", self.intent["id"]),
            ("payment_intent_client_secret", self.secret),
            ("redirect_status", status),
        ]
        return redirect(urlunsplit(parts._replace(query=urlencode(query))))


class HostedPages:
    """Registers the shopper's pages on a router."""

    def __init__(self, database: Database, router: Router, page_url: str, merchant: str) -> None:
        self._database = database
        self._page_url = page_url
        self._merchant = merchant
        for method, pattern, handler in (
            ("GET", "/pay/{id}", self.show),
            ("POST", "/pay/{id}", self.pay),
            ("GET", "/3ds/{id}", self.ask),
            ("POST", "/3ds/{id}", self.answer),
        ):
            router.add(method, pattern, handler)

    def show(self, request: Request, id: str) -> Response:
        """Show the form, or send a shopper who has already paid back to the shop."""
        with self._database.reading() as connection:
            visit = _visit(Books(connection), id, request.query_values())
        if visit is None:
            return html_response(pages.not_yours(self._merchant), 404)
        return self._elsewhere(visit) or self._form(visit, {}, None)

    def pay(self, request: Request, id: str) -> Response:
        """Take the card and try to collect the money."""
        values = request.form_values()
        with self._database.transaction() as connection:
            books = Books(connection)
            visit = _visit(books, id, request.query_values() | values)
            if visit is None:
                return html_response(pages.not_yours(self._merchant), 404)
            elsewhere = self._elsewhere(visit)
            if elsewhere:
                return elsewhere
            try:
                method = _card_method(books, values)
                if values.get("amount") != str(visit.intent["amount"]):
                    raise FormError("The amount has changed since this page was shown. Please check it and pay again.")
                wish = {"payment_method": method["id"], "return_url": visit.return_url}
                intent = intents.confirm(books, visit.intent, wish, self._page_url)
            except FormError as error:
                return self._form(visit, values, str(error), 422)
            except ApiError as error:
                return self._form(visit, values, str(error), error.status)
        if intent["next_action"]:
            return redirect(intent["next_action"]["redirect_to_url"]["url"])
        return visit.back("succeeded")

    def ask(self, request: Request, id: str) -> Response:
        """Show the bank's question."""
        with self._database.reading() as connection:
            visit = _visit(Books(connection), id, request.query_values())
        if visit is None:
            return html_response(pages.not_yours(self._merchant), 404)
        if visit.intent["status"] != "requires_action":
            return visit.back("succeeded" if visit.intent["status"] in _DONE else "failed")
        return html_response(pages.bank_question(self._merchant, visit.intent, visit.secret, visit.return_url))

    def answer(self, request: Request, id: str) -> Response:
        """Carry on with what the shopper answered the bank."""
        values = request.form_values()
        with self._database.transaction() as connection:
            books = Books(connection)
            visit = _visit(books, id, values)
            if visit is None:
                return html_response(pages.not_yours(self._merchant), 404)
            try:
                intents.authenticate(books, visit.intent, approved=values.get("answer") == "approve")
            except ApiError:
                return visit.back("succeeded" if visit.intent["status"] in _DONE else "failed")
        return visit.back("succeeded")

    def _elsewhere(self, visit: Visit) -> Response | None:
        if visit.intent["status"] in _PAYABLE:
            return None
        return visit.back("succeeded" if visit.intent["status"] in _DONE else "failed")

    def _form(self, visit: Visit, values: dict[str, str], error: str | None, status: int = 200) -> Response:
        leave = visit.back("failed").headers["Location"]
        form = pages.card_form(self._merchant, visit.intent, visit.secret, visit.return_url, leave, values, error)
        return html_response(form, status)


def _visit(books: Books, identity: str, values: dict[str, str]) -> Visit | None:
    """Return the visit, or None for an unknown payment, a wrong secret or a return address that is none."""
    intent = books.peek(identity)
    secret = values.get("client_secret", "")
    if intent is None or intent["object"] != "payment_intent":
        return None
    if not hmac.compare_digest(secret.encode(), intent["client_secret"].encode()):
        return None
    pending = (intent["next_action"] or {}).get("redirect_to_url", {})
    return_url = values.get("return_url") or pending.get("return_url", "")
    parts = urlsplit(return_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    return Visit(intent, secret, return_url)


def _card_method(books: Books, values: dict[str, Any]) -> Object:
    number = re.sub(r"[\s-]", "", values.get("number", ""))
    if not luhn_valid(number):
        raise FormError("Your card number is invalid.")
    if number not in BY_NUMBER:
        raise FormError("This is a test payment page: use one of the test cards named below, never a real card.")
    expiry = re.fullmatch(r"\s*(\d{1,2})\s*/?\s*(?:20)?(\d{2})\s*", values.get("expiry", ""))
    if not expiry or not 1 <= int(expiry[1]) <= 12:
        raise FormError("Your card's expiration date is incomplete.")
    month, year = int(expiry[1]), 2000 + int(expiry[2])
    today = datetime.now(UTC)
    if (year, month) < (today.year, today.month):
        raise FormError("Your card's expiration date is in the past.")
    if not re.fullmatch(r"\d{3,4}", values.get("cvc", "").strip()):
        raise FormError("Your card's security code is incomplete.")
    name = values.get("name", "").strip() or None
    return methods.make(books, BY_NUMBER[number], {"name": name}, expiry=(month, year))
