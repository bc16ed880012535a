"""The provider's objects inside one transaction, with the events that tell of their changes."""

from __future__ import annotations

import json
import secrets
import sqlite3
import string
import time
from dataclasses import dataclass
from typing import Any

from . import faults
from .errors import no_such

API_VERSION = "2026-10-28.endive"
_ALPHABET = string.ascii_letters + string.digits

Object = dict[str, Any]


def new_id(prefix: str, length: int = 24) -> str:
    """Return a fresh identifier such as pi_3….

    The 3 is Stripe's too; nothing may read meaning from the rest.
    """
    return f"{prefix}_" + "".join(secrets.choice(_ALPHABET) for _ in range(length))


@dataclass(frozen=True)
class Origin:
    """The API request that a change comes from; the hosted page's changes have no key."""

    request_id: str | None = None
    idempotency_key: str | None = None


class Books:
    """Reads and writes objects; everything belongs to the caller's transaction."""

    def __init__(self, connection: sqlite3.Connection, origin: Origin | None = None) -> None:
        self.connection = connection
        self.origin = origin or Origin()
        self.now = int(time.time())

    def find(self, kind: str, identity: str, param: str = "id") -> Object:
        """Return the object or raise Stripe's resource_missing, naming the parameter that led here."""
        found = self.peek(identity)
        if found is None or found["object"] != kind:
            raise no_such(kind, identity, param)
        return found

    def peek(self, identity: str) -> Object | None:
        """Return the object of any kind, None if there is none."""
        row = self.connection.execute("SELECT body FROM objects WHERE id = ?", (identity,)).fetchone()
        return json.loads(row["body"]) if row else None

    def add(self, item: Object) -> Object:
        """Keep a new object."""
        self.connection.execute(
            "INSERT INTO objects (id, kind, body) VALUES (?, ?, ?)", (item["id"], item["object"], json.dumps(item))
        )
        return item

    def save(self, item: Object) -> Object:
        """Keep the changed object."""
        self.connection.execute("UPDATE objects SET body = ? WHERE id = ?", (json.dumps(item), item["id"]))
        return item

    def delete(self, identity: str) -> None:
        """Forget the object."""
        self.connection.execute("DELETE FROM objects WHERE id = ?", (identity,))

    def every(self, kind: str) -> list[Object]:
        """Return all objects of a kind, oldest first."""
        rows = self.connection.execute("SELECT body FROM objects WHERE kind = ? ORDER BY seq", (kind,))
        return [json.loads(row["body"]) for row in rows]

    def emit(self, event_type: str, item: Object, previous: Object | None = None) -> None:
        """Record an event and owe it to every endpoint that asked for its type, in this very transaction."""
        data: Object = {"object": item}
        if previous:
            data["previous_attributes"] = previous
        event = self.add(
            {
                "id": new_id("evt"),
                "object": "event",
                "api_version": API_VERSION,
                "created": self.now,
                "data": data,
                "livemode": False,
                "pending_webhooks": 0,
                "request": {"id": self.origin.request_id, "idempotency_key": self.origin.idempotency_key},
                "type": event_type,
            }
        )
        for endpoint in self.every("webhook_endpoint"):
            wanted = endpoint["enabled_events"]
            if endpoint["status"] == "enabled" and (event_type in wanted or "*" in wanted):
                for delay, state in faults.webhook_schedule(self.connection, event_type):
                    owe(self.connection, event, endpoint, time.time() + delay, state)


def owe(connection: sqlite3.Connection, event: Object, endpoint: Object, due: float, state: str = "pending") -> None:
    """Put one delivery on the list the postman works off."""
    connection.execute(
        "INSERT INTO deliveries (event, type, endpoint, url, state, due) VALUES (?, ?, ?, ?, ?, ?)",
        (event["id"], event["type"], endpoint["id"], endpoint["url"], state, due),
    )
