"""The only door to the payment provider (Stripe's PaymentIntents, by its own library).

Every function raises ProviderUnreachable when the outcome is unknown and ProviderRefused when it is a definite no.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlencode

import stripe
from django.conf import settings
from django.utils.translation import gettext

from .exceptions import PaymentError, ProviderFailed, ProviderRefused, ProviderUnreachable, WebhookRefused

NOT_NOW = "The payment service does not answer at the moment. Nothing was charged; please try again."


@dataclass(frozen=True)
class Intent:
    """What matters of a PaymentIntent; money in minor units."""

    id: str
    status: str
    amount: int
    received: int
    currency: str
    client_secret: str
    attempt_key: str
    error: str

    @classmethod
    def read(cls, raw: dict[str, Any]) -> Intent:
        failure = raw.get("last_payment_error") or {}
        return cls(
            id=raw["id"],
            status=raw["status"],
            amount=raw["amount"],
            received=raw.get("amount_received") or 0,
            currency=raw["currency"],
            client_secret=raw.get("client_secret") or "",
            attempt_key=(raw.get("metadata") or {}).get("attempt", ""),
            error=(failure.get("message") or "")[:300],
        )


@dataclass(frozen=True)
class Sent:
    """What matters of a refund at the provider; `key` is ours if we asked for it."""

    id: str
    status: str
    amount: int
    currency: str
    intent_id: str
    key: str
    error: str

    @classmethod
    def read(cls, raw: dict[str, Any]) -> Sent:
        return cls(
            id=raw["id"],
            status=raw.get("status") or "succeeded",
            amount=raw["amount"],
            currency=raw["currency"],
            intent_id=raw.get("payment_intent") or "",
            key=(raw.get("metadata") or {}).get("refund", ""),
            error=raw.get("failure_reason") or "",
        )


@dataclass(frozen=True)
class Case:
    """What matters of a dispute."""

    id: str
    status: str
    amount: int
    currency: str
    intent_id: str
    reason: str
    due_at: datetime | None = None

    @classmethod
    def read(cls, raw: dict[str, Any]) -> Case:
        due = (raw.get("evidence_details") or {}).get("due_by")
        return cls(
            id=raw["id"],
            status=raw["status"],
            amount=raw["amount"],
            currency=raw["currency"],
            intent_id=raw.get("payment_intent") or "",
            reason=raw.get("reason") or "",
            due_at=datetime.fromtimestamp(due, UTC) if due else None,
        )


def intent_create(*, amount: int, currency: str, key: str, order_number: str, email: str) -> Intent:
    params: dict[str, Any] = {
        "amount": amount,
        "currency": currency,
        # Wallets come as cards. What settles days later would still move money of orders that have expired.
        "payment_method_types": ["card"],
        "description": f"Order {order_number}",
        "metadata": {"order": order_number, "attempt": key},
        "receipt_email": email,
    }
    if settings.STRIPE.statement_descriptor:
        params["statement_descriptor_suffix"] = settings.STRIPE.statement_descriptor
    with _translated():
        return _read(_client().v1.payment_intents.create(params, {"idempotency_key": key}))  # type: ignore[arg-type]


def intent_get(intent_id: str) -> Intent:
    with _translated():
        return _read(_client().v1.payment_intents.retrieve(intent_id))


def intent_cancel(intent_id: str) -> Intent:
    """Cancel an intent, or return it as it is if the provider does not cancel it any more."""
    try:
        with _translated():
            params = {"cancellation_reason": "abandoned"}
            return _read(_client().v1.payment_intents.cancel(intent_id, params))  # type: ignore[arg-type]
    except ProviderRefused:
        return intent_get(intent_id)


def refund_create(*, intent_id: str, amount: int, key: str) -> Sent:
    """Give money back."""
    with _translated():
        params = {"payment_intent": intent_id, "amount": amount, "metadata": {"refund": key}}
        made = _client().v1.refunds.create(params, {"idempotency_key": key})  # type: ignore[arg-type]
        return Sent.read(made.to_dict())


def refunds_of(intent_id: str) -> list[Sent]:
    """Return every refund of a payment that the provider knows."""
    return [Sent.read(raw) for raw in _every("refunds", {"payment_intent": intent_id})]


def events_since(moment: datetime, types: list[str]) -> list[dict[str, Any]]:
    """Return the events of these types since a moment, oldest first."""
    return _every("events", {"types": types, "created": {"gte": int(moment.timestamp())}})[::-1]


def intents_between(since: datetime, until: datetime) -> list[Intent]:
    return [Intent.read(raw) for raw in _every("payment_intents", {"created": _range(since, until)})]


def refunds_between(since: datetime, until: datetime) -> list[Sent]:
    return [Sent.read(raw) for raw in _every("refunds", {"created": _range(since, until)})]


def cases_between(since: datetime, until: datetime) -> list[Case]:
    return [Case.read(raw) for raw in _every("disputes", {"created": _range(since, until)})]


def _range(since: datetime, until: datetime) -> dict[str, int]:
    return {"gte": int(since.timestamp()), "lt": int(until.timestamp())}


def payment_page(intent_id: str, client_secret: str, return_url: str) -> str:
    """Return the address of the provider's own page for a payment, or "" if cards are taken on ours."""
    if not settings.STRIPE.payment_page_url:
        return ""
    query = urlencode({"client_secret": client_secret, "return_url": return_url})
    return f"{settings.STRIPE.payment_page_url}/{quote(intent_id)}?{query}"


def webhook_event(payload: bytes, signature: str) -> dict[str, Any]:
    """Return the event in a message that the provider signed; raises WebhookRefused."""
    if not signature.isascii():
        raise WebhookRefused("The signature is none.")
    for secret in settings.STRIPE.webhook_secrets:
        try:
            text = payload.decode()
            stripe.WebhookSignature.verify_header(text, signature, secret, settings.STRIPE.webhook_tolerance_seconds)
            event = json.loads(text)
        except stripe.SignatureVerificationError:
            continue
        except ValueError as error:
            raise WebhookRefused("The message is not JSON.") from error
        if not isinstance(event, dict) or event.get("object") != "event":
            raise WebhookRefused("The message is not an event.")
        if event.get("livemode") is not settings.STRIPE.live_mode:
            raise WebhookRefused("The event belongs to the other mode (live or test).")
        return event
    raise WebhookRefused("The signature is not the provider's, or is too old.")


@lru_cache(maxsize=4)
def _client_for(config: Any) -> stripe.StripeClient:
    if config.ca_bundle:
        stripe.ca_bundle_path = config.ca_bundle
    return stripe.StripeClient(
        config.secret_key,
        base_addresses={"api": config.api_base},
        max_network_retries=config.max_network_retries,
        http_client=stripe.RequestsClient(timeout=config.timeout_seconds),
    )


def _client() -> stripe.StripeClient:
    return _client_for(settings.STRIPE)


def _every(kind: str, params: dict[str, Any]) -> list[dict[str, Any]]:
    """Return all pages of a list, newest first."""
    with _translated():
        first = getattr(_client().v1, kind).list({**params, "limit": 100})
        return [item.to_dict() for item in first.auto_paging_iter()]


def _read(found: stripe.PaymentIntent) -> Intent:
    return Intent.read(found.to_dict())


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (stripe.APIConnectionError, stripe.RateLimitError) as error:
        raise ProviderUnreachable(NOT_NOW) from error
    except stripe.StripeError as error:
        status = error.http_status or 0
        if status >= 500:
            raise ProviderFailed(NOT_NOW) from error
        # 409: another request with the same key is still under way.
        if status in (0, 409):
            raise ProviderUnreachable(NOT_NOW) from error
        raise ProviderRefused(error.user_message or gettext("The payment service refused the payment.")) from error
    except PaymentError:
        raise
