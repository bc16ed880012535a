"""A strict stand-in for Shippo on the loopback: unknown fields, foreign keys and second purchases are noticed."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

# ruff: noqa: S105  # secrets of nobody
API_KEY = "shippo_test_of_the_tests"
WEBHOOK_SECRET = "a-secret-between-shippo-and-the-tests"

ADDRESS = {"name", "street1", "street2", "city", "state", "zip", "country", "phone", "email"}
PARCEL = {"length", "width", "height", "distance_unit", "weight", "mass_unit"}
SHIPMENT = {"address_from", "address_to", "parcels", "async", "metadata"}
TRANSACTION = {"rate", "label_file_type", "async", "metadata"}


@dataclass
class Books:
    """What the stand-in has done, and which faults come next: `faults` are answered in order.

    `refuse`: 400; `break`: 500 before anything is done; `drop`: it is done, and the connection closed without a word;
    `error`: the purchase fails as carriers' do; `garbage`: an answer that says nothing.
    """

    url: str = ""
    faults: list[str] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    rates: dict[str, dict[str, Any]] = field(default_factory=dict)
    bought: list[dict[str, Any]] = field(default_factory=list)
    tracks: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)


class Refused(Exception):
    pass


@contextmanager
def shippo() -> Iterator[Books]:
    """Run the stand-in until the block ends."""
    books = Books()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer("GET", None)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.answer("POST", json.loads(body))

        def answer(self, method: str, body: Any) -> None:
            parts = urlsplit(self.path)
            books.asked.append((method, parts.path))
            fault = books.faults.pop(0) if books.faults else ""
            if fault == "break":
                return self.say(500, {"detail": "broken"})
            if fault == "refuse":
                return self.say(400, {"detail": "refused"})
            if fault == "garbage":
                return self.say(200, {})
            if self.headers.get("Authorization") != f"ShippoToken {API_KEY}":
                return self.say(401, {"detail": "Invalid token"})
            try:
                done = act(books, method, parts.path, parse_qs(parts.query), body, failing=fault == "error")
            except Refused as error:
                return self.say(400, {"detail": str(error)})
            if fault == "drop":
                self.close_connection = True
                return self.connection.close()
            return self.say(200, done)

        def say(self, status: int, body: Any) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    books.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield books
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def act(books: Books, method: str, path: str, query: dict[str, list[str]], body: Any, *, failing: bool) -> Any:
    if (method, path) == ("POST", "/shipments/"):
        return quote(books, body)
    if (method, path) == ("POST", "/transactions/"):
        return buy(books, body, failing=failing)
    if (method, path) == ("GET", "/transactions/"):
        [rate] = query["rate"]
        return {"results": [entry for entry in books.bought if entry["rate"] == rate]}
    if method == "GET" and path.startswith("/tracks/"):
        carrier, number = path.removeprefix("/tracks/").split("/")
        found = books.tracks.get((carrier, number))
        return found or {"carrier": carrier, "tracking_number": number, "tracking_status": None, "tracking_history": []}
    raise Refused(f"no such thing: {method} {path}")


def quote(books: Books, body: dict[str, Any]) -> dict[str, Any]:
    require(body, SHIPMENT)
    for name in ("address_from", "address_to"):
        require(body[name], ADDRESS)
        if not (body[name]["street1"] and body[name]["city"] and len(body[name]["country"]) == 2):
            raise Refused(f"{name} is not complete")
    for parcel in body["parcels"]:
        require(parcel, PARCEL)
        if parcel["mass_unit"] != "g" or parcel["distance_unit"] != "mm":
            raise Refused("units")
        if not all(float(parcel[name]) > 0 for name in ("length", "width", "height", "weight")):
            raise Refused("a parcel has a size and a weight")
    made = []
    for token, name, amount, days in (("usps_ground", "Ground", "5.35", 5), ("usps_priority", "Priority", "9.1", 2)):
        identity = f"rate{len(books.rates):029d}"
        books.rates[identity] = {
            "object_id": identity,
            "amount": amount,
            "currency": "USD",
            "provider": "USPS",
            "servicelevel": {"name": name, "token": token},
            "estimated_days": days,
        }
        made.append(books.rates[identity])
    return {"object_id": f"shipment{len(books.rates)}", "status": "SUCCESS", "rates": made, "messages": []}


def buy(books: Books, body: dict[str, Any], *, failing: bool) -> dict[str, Any]:
    require(body, TRANSACTION)
    if body["rate"] not in books.rates:
        raise Refused("no such rate")
    if len(body["metadata"]) > 100:
        raise Refused("metadata is too long")
    number = len(books.bought) + 1
    entry = {
        "object_id": f"transaction{number}",
        "rate": body["rate"],
        "status": "ERROR" if failing else "SUCCESS",
        "tracking_number": "" if failing else f"9205590164917312{number:04d}",
        "tracking_url_provider": "" if failing else f"https://tools.usps.com/go/{number}",
        "label_url": "" if failing else f"https://deliver.goshippo.com/{number}.pdf",
        "metadata": body["metadata"],
        "messages": [{"text": "The address is unknown to the carrier."}] if failing else [],
    }
    books.bought.append(entry)
    return entry


def require(given: dict[str, Any], known: set[str]) -> None:
    if set(given) != known:
        raise Refused(f"unknown {sorted(set(given) - known)}, missing {sorted(known - set(given))}")


def signed(event: dict[str, Any], *, secret: str = WEBHOOK_SECRET, at: float | None = None) -> tuple[bytes, str]:
    """Return a message as Shippo sends it, and the header that signs it."""
    body = json.dumps(event).encode()
    sent = str(int(time.time() if at is None else at))
    digest = hmac.new(secret.encode(), sent.encode() + b"." + body, hashlib.sha256).hexdigest()
    return body, f"t={sent},v1={digest}"


def told(number: str, *steps: tuple[str, str], carrier: str = "usps") -> dict[str, Any]:
    """Return what Shippo tells of a parcel: steps of a status and a time."""
    history = [
        {
            "status": status,
            "status_details": f"It is {status.lower()}.",
            "status_date": at,
            "location": {"city": "Boston", "state": "MA", "country": "US", "zip": "02110"},
        }
        for status, at in steps
    ]
    data = {
        "carrier": carrier,
        "tracking_number": number,
        "tracking_status": history[-1] if history else None,
        "tracking_history": history,
    }
    return {"event": "track_updated", "test": True, "data": data}
