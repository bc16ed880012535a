"""The lab's levers at /_control: plan faults, look at deliveries, send an event again, start anew. Not for shops."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from ..database import Database
from ..web import Request, Response, Router, json_response
from . import disputes, faults, refunds
from .books import Books, Object, owe
from .errors import ApiError


class Control:
    """Registers the levers on a router."""

    def __init__(self, database: Database, router: Router) -> None:
        self._database = database
        router.add("GET", "/_control/faults", self.faults)
        router.add("POST", "/_control/faults", self.plan)
        router.add("DELETE", "/_control/faults", self.forget_faults)
        router.add("GET", "/_control/deliveries", self.deliveries)
        router.add("POST", "/_control/deliveries/due", self.hurry)
        router.add("POST", "/_control/events/{id}/redeliver", self.redeliver)
        router.add("POST", "/_control/disputes", self.dispute)
        router.add("POST", "/_control/disputes/{id}/{outcome}", self.decide)
        router.add("POST", "/_control/refunds/{id}/{outcome}", self.refund)
        router.add("DELETE", "/_control/data", self.clear)

    def faults(self, request: Request) -> Response:
        """List the plans still open."""
        with self._database.reading() as connection:
            return json_response([asdict(fault) for fault in faults.every(connection)])

    def plan(self, request: Request) -> Response:
        """Plan a fault; see faults.Fault for the members."""
        try:
            wish = json.loads(request.body)
            if not isinstance(wish, dict):
                raise faults.FaultError("send one JSON object")
            with self._database.transaction() as connection:
                return json_response(asdict(faults.plan(connection, wish)), 201)
        except ValueError as error:
            return json_response({"error": str(error)}, 400)

    def forget_faults(self, request: Request) -> Response:
        """Remove every plan."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM faults")
        return json_response({"faults": 0})

    def deliveries(self, request: Request) -> Response:
        """List deliveries, oldest first; `?state=` picks one state."""
        wanted = request.query_values().get("state")
        return json_response([row for row in deliveries(self._database) if wanted in (None, row["state"])])

    def hurry(self, request: Request) -> Response:
        """Make every pending delivery due now."""
        with self._database.transaction() as connection:
            changed = connection.execute(
                "UPDATE deliveries SET due = ? WHERE state = 'pending'", (time.time(),)
            ).rowcount
        return json_response({"due": changed})

    def redeliver(self, request: Request, id: str) -> Response:
        """Send an event once more to every enabled endpoint."""
        with self._database.transaction() as connection:
            books = Books(connection)
            event = books.peek(id)
            if event is None or event["object"] != "event":
                return json_response({"error": f"no event {id}"}, 404)
            targets = [item for item in books.every("webhook_endpoint") if item["status"] == "enabled"]
            for endpoint in targets:
                owe(connection, event, endpoint, time.time())
        return json_response({"owed": len(targets)}, 202)

    def dispute(self, request: Request) -> Response:
        """Let the shopper's bank dispute a payment: {"payment_intent", "amount"?, "reason"?}."""

        def run(books: Books) -> Object:
            wish = json.loads(request.body)
            intent = books.find("payment_intent", wish.pop("payment_intent", ""), "payment_intent")
            return disputes.open_case(books, books.find("charge", intent["latest_charge"] or ""), **wish)

        return self._pull(run, 201)

    def decide(self, request: Request, id: str, outcome: str) -> Response:
        """Decide a dispute: won or lost."""
        if outcome not in ("won", "lost"):
            return json_response({"error": "a dispute is won or lost"}, 404)
        return self._pull(lambda books: disputes.decide(books, books.find("dispute", id), won=outcome == "won"))

    def refund(self, request: Request, id: str, outcome: str) -> Response:
        """Let a refund succeed or fail."""
        levers = {"succeed": refunds.succeed, "fail": refunds.fail}
        if outcome not in levers:
            return json_response({"error": "a refund can succeed or fail"}, 404)
        return self._pull(lambda books: levers[outcome](books, books.find("refund", id)))

    def _pull(self, run: Callable[[Books], Object], status: int = 200) -> Response:
        try:
            with self._database.transaction() as connection:
                return json_response(run(Books(connection)), status)
        except (ApiError, ValueError, TypeError) as error:
            return json_response({"error": str(error)}, 400)

    def clear(self, request: Request) -> Response:
        """Forget payments, events, deliveries, keys and faults; webhook endpoints stay."""
        with self._database.transaction() as connection:
            forget_payments(connection)
        return json_response({"cleared": True})


def forget_payments(connection: sqlite3.Connection) -> None:
    """Forget payments, events, deliveries, keys and faults; webhook endpoints stay."""
    connection.execute("DELETE FROM objects WHERE kind != 'webhook_endpoint'")
    connection.execute("DELETE FROM idempotency")
    connection.execute("DELETE FROM deliveries")
    connection.execute("DELETE FROM faults")


def deliveries(database: Database) -> list[dict[str, Any]]:
    """Return every delivery, oldest first."""
    with database.reading() as connection:
        return [dict(row) for row in connection.execute("SELECT * FROM deliveries ORDER BY id")]


def payments(database: Database) -> list[dict[str, Any]]:
    """Return every PaymentIntent with its charges and refunds, newest first; client secrets are left out."""
    with database.reading() as connection:
        books = Books(connection)
        charges, refunds = books.every("charge"), books.every("refund")
        found = []
        for intent in reversed(books.every("payment_intent")):
            identity = intent["id"]
            del intent["client_secret"]
            found.append(
                intent
                | {
                    "charges": [item for item in charges if item["payment_intent"] == identity],
                    "refunds": [item for item in refunds if item["payment_intent"] == identity],
                }
            )
    return found
