"""Shippo, over HTTP. Questions are asked again when no answer comes; a purchase is not."""

from __future__ import annotations

import hashlib
import hmac
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from email.message import Message
from http.client import HTTPException
from typing import IO, Any
from urllib.parse import quote, urlencode

from django.conf import settings
from django.utils import timezone

from pasargad.catalog.money import WITHOUT_MINOR

from ..exceptions import CarrierRefused, CarrierUnreachable, WebhookRefused
from .port import (
    DELIVERED,
    PRE_TRANSIT,
    PROBLEM,
    RETURNED,
    TRANSIT,
    CarrierRate,
    Label,
    Parcel,
    Party,
    Step,
    Tracking,
)

TIMEOUT_SECONDS = 10
TRIES = 3
TOLERANCE_SECONDS = 300
LARGEST_ANSWER = 2_000_000
STATUS = {
    "PRE_TRANSIT": PRE_TRANSIT,
    "TRANSIT": TRANSIT,
    "DELIVERED": DELIVERED,
    "RETURNED": RETURNED,
    "FAILURE": PROBLEM,
}


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would carry our key elsewhere."""

    def redirect_request(self, req: Any, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirects)


class Shippo:
    def rates(self, parcel: Parcel) -> list[CarrierRate]:
        """Ask for rates; a question that is asked twice costs nothing."""
        body = {
            "address_from": _address(parcel.sender),
            "address_to": _address(parcel.recipient),
            "parcels": [
                {
                    "length": str(parcel.length_mm),
                    "width": str(parcel.width_mm),
                    "height": str(parcel.height_mm),
                    "distance_unit": "mm",
                    "weight": str(parcel.grams),
                    "mass_unit": "g",
                }
            ],
            "async": False,
            "metadata": parcel.reference,
        }
        answer = _ask("POST", "/shipments/", body, repeatable=True)
        with _Reading():
            return [_rate(raw) for raw in answer["rates"]]

    def buy(self, rate_id: str, *, reference: str) -> Label:
        body = {"rate": rate_id, "label_file_type": "PDF", "async": False, "metadata": reference}
        answer = _ask("POST", "/transactions/", body, repeatable=False)
        with _Reading():
            if answer["status"] == "ERROR":
                raise CarrierRefused(_messages(answer))
            if answer["status"] != "SUCCESS":
                raise CarrierUnreachable("The label is not ready yet.")
            return _label(answer)

    def find(self, rate_id: str) -> Label | None:
        answer = _ask("GET", f"/transactions/?{urlencode({'rate': rate_id})}", repeatable=True)
        with _Reading():
            found = [raw for raw in answer["results"] if raw["rate"] == rate_id]
            if any(raw["status"] in ("QUEUED", "WAITING") for raw in found):
                raise CarrierUnreachable("The label is not ready yet.")
            return next((_label(raw) for raw in found if raw["status"] == "SUCCESS"), None)

    def track(self, carrier: str, number: str) -> Tracking:
        answer = _ask("GET", f"/tracks/{quote(carrier, safe='')}/{quote(number, safe='')}", repeatable=True)
        return read_tracking(answer)


class _Reading:
    """Turns an answer that lacks what it must have into an unknown outcome."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, KeyError | TypeError | ValueError | ArithmeticError):
            raise CarrierUnreachable("Shippo's answer cannot be read.") from error


def read_tracking(raw: Mapping[str, Any]) -> Tracking:
    with _Reading():
        told = [*(raw.get("tracking_history") or []), *([raw["tracking_status"]] if raw.get("tracking_status") else [])]
        steps = tuple(_step(entry) for entry in told if entry.get("status") in STATUS)
        return Tracking(str(raw["carrier"]), str(raw["tracking_number"]), steps)


def webhook_read(payload: bytes, signature: str) -> Tracking | None:
    """Return what a signed message tells of a parcel, or None if it tells of something else; raises WebhookRefused.

    The header reads `t=<unix time>,v1=<hex>`: HMAC-SHA256 over the time, a dot and the body.
    """
    secret = settings.GOSHIPPO.webhook_secret
    if not secret:
        raise WebhookRefused("No secret is set: nobody is believed.")
    parts = dict(part.strip().split("=", 1) for part in signature.split(",") if "=" in part)
    sent, given = parts.get("t", ""), parts.get("v1", "")
    expected = hmac.new(secret.encode(), sent.encode() + b"." + payload, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), given.encode()):
        raise WebhookRefused("The signature is wrong.")
    if not sent.isdigit() or abs(timezone.now().timestamp() - int(sent)) > TOLERANCE_SECONDS:
        raise WebhookRefused("The message is too old.")
    try:
        event = json.loads(payload)
        if event["event"] != "track_updated":
            return None
        if event.get("test") is settings.GOSHIPPO.live_mode:
            raise WebhookRefused("The message is of the other mode, test or live.")
        return read_tracking(event["data"])
    except (ValueError, KeyError, TypeError, CarrierUnreachable) as error:
        raise WebhookRefused("The message cannot be read.") from error


def _ask(method: str, path: str, body: Mapping[str, Any] | None = None, *, repeatable: bool) -> Any:
    if not settings.GOSHIPPO.api_key:
        raise CarrierRefused("GOSHIPPO_API_KEY is not set.")
    for _ in range(TRIES - 1 if repeatable else 0):
        try:
            return _ask_once(method, path, body)
        except CarrierUnreachable:
            continue
    return _ask_once(method, path, body)


def _ask_once(method: str, path: str, body: Mapping[str, Any] | None) -> Any:
    request = urllib.request.Request(  # noqa: S310  # the address is the operator's, checked when settings are read
        f"{settings.GOSHIPPO.api_base}{path}",
        data=json.dumps(body).encode() if body is not None else None,
        method=method,
        headers={
            "Authorization": f"ShippoToken {settings.GOSHIPPO.api_key}",
            "Content-Type": "application/json",
            "Shippo-API-Version": "2018-02-08",
        },
    )
    try:
        with _opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
            return json.loads(answer.read(LARGEST_ANSWER))
    except urllib.error.HTTPError as error:
        if error.code in (408, 409, 429) or error.code >= 500:
            raise CarrierUnreachable(f"Shippo answered {error.code}.") from error
        raise CarrierRefused(f"Shippo refused ({error.code}): {_reason(error)}") from error
    except (OSError, HTTPException, ValueError) as error:
        raise CarrierUnreachable(f"Shippo does not answer: {type(error).__name__}.") from error


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        return error.read(2000).decode(errors="replace")[:200]
    except (OSError, HTTPException):
        return ""


def _address(party: Party) -> dict[str, str]:
    return {
        "name": party.name,
        "street1": party.street,
        "street2": party.street2,
        "city": party.city,
        "state": party.state,
        "zip": party.zip,
        "country": party.country,
        "phone": party.phone,
        "email": party.email,
    }


def _rate(raw: Mapping[str, Any]) -> CarrierRate:
    currency = raw["currency"].lower()
    amount = Decimal(raw["amount"]).scaleb(0 if currency in WITHOUT_MINOR else 2)
    return CarrierRate(
        id=raw["object_id"],
        carrier=raw["provider"],
        service=raw["servicelevel"]["token"],
        name=f"{raw['provider']} {raw['servicelevel']['name']}",
        price_minor=int(amount.to_integral_value()),
        currency=currency,
        days=int(raw.get("estimated_days") or 0),
    )


def _label(raw: Mapping[str, Any]) -> Label:
    return Label(raw["object_id"], raw["tracking_number"], raw.get("tracking_url_provider") or "", raw["label_url"])


def _messages(raw: Mapping[str, Any]) -> str:
    return "; ".join(str(entry.get("text", "")) for entry in raw.get("messages") or [])[:300] or "Shippo refused."


def _step(raw: Mapping[str, Any]) -> Step:
    where = raw.get("location") or {}
    place = ", ".join(str(where[name]) for name in ("city", "state", "country") if where.get(name))
    at = datetime.fromisoformat(raw["status_date"])
    if timezone.is_naive(at):
        raise ValueError("a time without its zone")
    return Step(STATUS[raw["status"]], str(raw.get("status_details") or "")[:200], place[:120], at)
