"""Webhook endpoints: those the shop registers and those the lab's configuration names."""

from __future__ import annotations

from typing import Any

from . import params
from .books import Books, Object, new_id
from .errors import ApiError

# What this provider can tell of; Stripe refuses names it does not know.
EVENT_TYPES = (
    "charge.captured", "charge.failed", "charge.refunded", "charge.succeeded",
    "payment_intent.amount_capturable_updated",
    "payment_intent.canceled", "payment_intent.created", "payment_intent.payment_failed", "payment_intent.processing",
    "payment_intent.requires_action", "payment_intent.succeeded", "refund.created", "refund.failed", "refund.updated",
    "charge.refund.updated", "charge.dispute.created", "charge.dispute.updated", "charge.dispute.closed",
    "charge.dispute.funds_withdrawn", "charge.dispute.funds_reinstated", "charge.updated", "charge.expired",
)  # fmt: skip


def _event_type(name: str, raw: Any) -> str:
    if raw != "*" and raw not in EVENT_TYPES:
        raise ApiError(f"Invalid {name}: must be one of *, {', '.join(EVENT_TYPES)}", param=name)
    return str(raw)


_CHANGEABLE: params.FieldDict = {
    "description": params.string(clearable=True),
    "metadata": params.metadata,
}
CREATE_FIELDS = _CHANGEABLE | {
    "url": params.Required(params.url),
    "enabled_events": params.Required(params.array(_event_type)),
    "api_version": params.string(),
    "connect": params.absent,
}
UPDATE_FIELDS = _CHANGEABLE | {
    "url": params.url,
    "enabled_events": params.array(_event_type),
    "disabled": params.boolean,
}


def create(books: Books, wish: dict[str, Any], *, secret: str | None = None) -> Object:
    """Register an endpoint; the reply is the only one that carries its secret."""
    endpoint: Object = {
        "id": new_id("we"),
        "object": "webhook_endpoint",
        "api_version": wish.get("api_version"),
        "application": None,
        "created": books.now,
        "description": wish.get("description"),
        "enabled_events": wish["enabled_events"],
        "livemode": False,
        "metadata": params.merge_metadata({}, wish.get("metadata", {})),
        "status": "enabled",
        "url": wish["url"],
    }
    books.add(endpoint)
    configured = secret is not None
    secret = secret or new_id("whsec", 32)
    books.connection.execute(
        "INSERT INTO endpoint_secrets (endpoint, secret, configured) VALUES (?, ?, ?)",
        (endpoint["id"], secret, configured),
    )
    return endpoint | {"secret": secret}


def update(books: Books, endpoint: Object, wish: dict[str, Any]) -> Object:
    """Change or switch off an endpoint."""
    wish = dict(wish)
    if "disabled" in wish:
        endpoint["status"] = "disabled" if wish.pop("disabled") else "enabled"
    if "metadata" in wish:
        endpoint["metadata"] = params.merge_metadata(endpoint["metadata"], wish.pop("metadata"))
    return books.save(endpoint | wish)


def delete(books: Books, endpoint: Object) -> Object:
    """Forget an endpoint; what it is still owed is dropped."""
    books.delete(endpoint["id"])
    books.connection.execute("DELETE FROM endpoint_secrets WHERE endpoint = ?", (endpoint["id"],))
    books.connection.execute(
        "UPDATE deliveries SET state = 'dropped' WHERE endpoint = ? AND state = 'pending'", (endpoint["id"],)
    )
    return {"id": endpoint["id"], "object": "webhook_endpoint", "deleted": True}


def configure(books: Books, wanted: list[dict[str, Any]]) -> None:
    """Make the configured endpoints those of the configuration; registered ones stay as they are."""
    rows = books.connection.execute("SELECT endpoint, secret FROM endpoint_secrets WHERE configured").fetchall()
    known = {}
    for row in rows:
        endpoint = books.find("webhook_endpoint", row["endpoint"])
        known[endpoint["url"], row["secret"], tuple(endpoint["enabled_events"])] = endpoint
    for item in wanted:
        events = item.get("enabled_events", ["*"])
        checked = params.check_fields(CREATE_FIELDS, {"url": item["url"], "enabled_events": events})
        if known.pop((item["url"], item["secret"], tuple(events)), None) is None:
            create(books, checked, secret=item["secret"])
    for endpoint in known.values():
        delete(books, endpoint)
