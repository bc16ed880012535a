"""What the API offers: each operation's method, path, parameters and the function that does it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..web import path_pattern
from . import disputes, endpoints, intent_fields, intents, lists, methods, params, refunds
from .books import Books, Object
from .errors import ApiError

Run = Callable[[Books, dict[str, str], dict[str, Any]], Object]
EXPAND = {"expand": params.array(params.string())}


@dataclass(frozen=True)
class Operation:
    """One row of the API; `run` gets the path's names and the checked parameters."""

    method: str
    pattern: re.Pattern[str]
    fields: params.Fields
    run: Run


def build(page_url: str) -> list[Operation]:
    """Return every operation; `page_url` is the public address of the hosted pages."""
    table: list[tuple[str, str, params.Fields, Run]] = [
        *_intents(page_url),
        ("POST", "/v1/payment_methods", methods.CREATE_FIELDS, lambda books, _, wish: methods.create(books, wish)),
        ("GET", "/v1/payment_methods/{id}", {}, _find("payment_method")),
        ("GET", "/v1/charges", *_listing("charge", "payment_intent")),
        ("GET", "/v1/charges/{id}", {}, _find("charge")),
        ("POST", "/v1/refunds", refunds.CREATE_FIELDS, lambda books, _, wish: refunds.create(books, wish)),
        ("GET", "/v1/refunds", *_listing("refund", "payment_intent", "charge")),
        ("GET", "/v1/refunds/{id}", {}, _find("refund")),
        ("POST", "/v1/refunds/{id}", refunds.UPDATE_FIELDS, _change("refund", refunds.update)),
        ("GET", "/v1/disputes", *_listing("dispute", "payment_intent", "charge")),
        ("GET", "/v1/disputes/{id}", {}, _find("dispute")),
        ("POST", "/v1/disputes/{id}", disputes.UPDATE_FIELDS, _change("dispute", disputes.update)),
        ("POST", "/v1/disputes/{id}/close", {}, _change("dispute", disputes.close)),
        ("GET", "/v1/events", *_events()),
        ("GET", "/v1/events/{id}", {}, lambda books, path, _: _with_pending(books, books.find("event", path["id"]))),
        ("GET", "/v1/balance_transactions", *_listing("balance_transaction", "type", "source", "currency")),
        ("GET", "/v1/balance_transactions/{id}", {}, _find("balance_transaction")),
        ("GET", "/v1/balance", {}, _balance),
        ("GET", "/v1/account", {}, _account),
        (
            "POST",
            "/v1/webhook_endpoints",
            endpoints.CREATE_FIELDS,
            lambda books, _, wish: endpoints.create(books, wish),
        ),
        ("GET", "/v1/webhook_endpoints", *_listing("webhook_endpoint")),
        ("GET", "/v1/webhook_endpoints/{id}", {}, _find("webhook_endpoint")),
        ("POST", "/v1/webhook_endpoints/{id}", endpoints.UPDATE_FIELDS, _change("webhook_endpoint", endpoints.update)),
        (
            "DELETE",
            "/v1/webhook_endpoints/{id}",
            {},
            lambda books, path, _: endpoints.delete(books, books.find("webhook_endpoint", path["id"])),
        ),
    ]
    return [Operation(method, path_pattern(path), {**fields, **EXPAND}, run) for method, path, fields, run in table]


def _intents(page_url: str) -> list[tuple[str, str, params.Fields, Run]]:
    def confirm(books: Books, intent: Object, wish: dict[str, Any]) -> Object:
        return intents.confirm(books, intent, wish, page_url)

    path, kind = "/v1/payment_intents", "payment_intent"
    return [
        ("POST", path, intent_fields.CREATE_FIELDS, lambda books, _, wish: intents.create(books, wish, page_url)),
        ("GET", path, *_listing(kind)),
        ("GET", path + "/{id}", {}, _find(kind)),
        ("POST", path + "/{id}", intent_fields.UPDATE_FIELDS, _change(kind, intents.update)),
        ("POST", path + "/{id}/confirm", intent_fields.CONFIRM_FIELDS, _change(kind, confirm)),
        ("POST", path + "/{id}/cancel", intent_fields.CANCEL_FIELDS, _change(kind, intents.cancel)),
        ("POST", path + "/{id}/capture", intent_fields.CAPTURE_FIELDS, _change(kind, intents.capture)),
    ]


def _find(kind: str) -> Run:
    return lambda books, path, _: books.find(kind, path["id"], "intent" if kind == "payment_intent" else "id")


def _change(kind: str, action: Callable[[Books, Object, dict[str, Any]], Object]) -> Run:
    find = _find(kind)
    return lambda books, path, wish: action(books, find(books, path, wish), wish)


def _listing(kind: str, *filters: str) -> tuple[params.Fields, Run]:
    fields: params.FieldDict = lists.PAGE_FIELDS | lists.CREATED_FIELD | dict.fromkeys(filters, params.string())

    def run(books: Books, path: dict[str, str], wish: dict[str, Any]) -> Object:
        equal = {name: wish[name] for name in filters if name in wish}
        return lists.page(books, kind, f"/v1/{kind}s", wish, equal)

    return fields, run


def _events() -> tuple[params.Fields, Run]:
    fields, _ = _listing("event")
    fields = {
        **fields,
        "type": params.string(),
        "types": params.array(params.string()),
        "delivery_success": params.boolean,
    }

    def run(books: Books, _: dict[str, str], wish: dict[str, Any]) -> Object:
        if "type" in wish and "types" in wish:
            raise ApiError("You may pass `type` or `types`, not both.", param="types")
        asked = wish.get("types") or wish.get("type")
        found = lists.page(books, "event", "/v1/events", wish, {"type": asked} if asked else {})
        found["data"] = [_with_pending(books, event) for event in found["data"]]
        if "delivery_success" in wish:
            found["data"] = [
                event for event in found["data"] if (event["pending_webhooks"] == 0) == wish["delivery_success"]
            ]
        return found

    return fields, run


def _with_pending(books: Books, event: Object) -> Object:
    row = books.connection.execute(
        "SELECT count(*) FROM deliveries WHERE event = ? AND state IN ('pending', 'failed')", (event["id"],)
    ).fetchone()
    return event | {"pending_webhooks": row[0]}


def _balance(books: Books, path: dict[str, str], wish: dict[str, Any]) -> Object:
    totals: dict[str, int] = {}
    for move in books.every("balance_transaction"):
        totals[move["currency"]] = totals.get(move["currency"], 0) + move["net"]
    pending = [{"amount": total, "currency": code, "source_types": {"card": total}} for code, total in totals.items()]
    return {"object": "balance", "available": [], "livemode": False, "pending": pending}


def _account(books: Books, path: dict[str, str], wish: dict[str, Any]) -> Object:
    return {
        "id": "acct_lab",
        "object": "account",
        "charges_enabled": True,
        "country": "US",
        "default_currency": "usd",
        "details_submitted": True,
        "payouts_enabled": True,
        "type": "standard",
    }
