"""The front desk of /v1: who asks, with which key, what came of it, in one transaction with the reply that is kept."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import logging
import time
from typing import Any

from ..database import Database
from ..web import Request, Response
from . import expand, faults, forms, idempotency, params
from .books import API_VERSION, Books, Origin, new_id
from .errors import ApiError
from .operations import Operation, build

log = logging.getLogger(__name__)


class Api:
    """Answers every request under /v1."""

    def __init__(self, database: Database, secret_key: str, page_url: str) -> None:
        self._database = database
        self._secret_key = secret_key
        self._operations = build(page_url)
        self._in_flight = idempotency.InFlight()

    def __call__(self, request: Request) -> Response:
        """Answer one request; planned faults come before or after the work."""
        request_id = new_id("req", 14)
        where = f"{request.method} {request.path}"
        try:
            self._authenticate(request)
            operation, path = self._match(request)
            spoiled = self._fault(where, "before", request_id)
            if spoiled:
                return spoiled
            reply = self._execute(request, operation, path, request_id, where)
        except ApiError as error:
            reply = _reply(error.status, json.dumps(error.envelope, indent=2), request_id)
        return reply

    def _authenticate(self, request: Request) -> None:
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                value = base64.b64decode(value).decode().partition(":")[0]
            except (binascii.Error, UnicodeDecodeError):
                value = ""
        if not value:
            raise ApiError(
                "You did not provide an API key. You need to provide your API key in the Authorization header, using "
                "Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
                status=401,
            )
        if not hmac.compare_digest(value.strip().encode(), self._secret_key.encode()):
            shown = value[:8] + "*" * 8 + value[-4:] if len(value) > 16 else "*" * len(value)
            raise ApiError(f"Invalid API Key provided: {shown}", status=401)

    def _match(self, request: Request) -> tuple[Operation, dict[str, str]]:
        for operation in self._operations:
            found = operation.pattern.fullmatch(request.path)
            if found and operation.method == request.method:
                return operation, found.groupdict()
        raise ApiError(f"Unrecognized request URL ({request.method}: {request.path}).", status=404)

    def _fault(self, where: str, phase: str, request_id: str) -> Response | None:
        with self._database.reading() as connection:
            if not faults.every(connection):
                return None
        with self._database.transaction() as connection:
            fault = faults.take(connection, "api", where, phase)
        if fault is None:
            return None
        time.sleep(fault.seconds)
        if fault.effect == "hang_up":
            return Response(hang_up=True)
        if fault.effect == "rate_limit":
            error = ApiError("Too many requests hit the API too quickly.", status=429, code="rate_limit")
            return _reply(429, json.dumps(error.envelope, indent=2), request_id)
        if fault.effect == "error":
            return _reply(fault.status, _server_error(), request_id)
        return None

    def _execute(
        self, request: Request, operation: Operation, path: dict[str, str], request_id: str, where: str
    ) -> Response:
        if request.method == "GET":
            wish = params.check_fields(operation.fields, forms.decode(request.query))
            with self._database.reading() as connection:
                books = Books(connection)
                return _reply(200, json.dumps(_run(books, operation, path, wish), indent=2), request_id)
        if "json" in request.headers.get("content-type", ""):
            raise ApiError(
                "Invalid request (check that your POST content type is application/x-www-form-urlencoded). If you have "
                "questions, we can help at https://support.stripe.com/."
            )
        body = request.body.decode("utf-8", "replace")
        key = request.headers.get("idempotency-key", "") if request.method == "POST" else ""
        if len(key) > idempotency.LONGEST_KEY:
            raise ApiError(
                f"Idempotency keys may have up to {idempotency.LONGEST_KEY} characters.", kind="idempotency_error"
            )
        if not key:
            return self._write(request.path, operation, path, body, "", request_id, where)
        with self._in_flight.hold(key):
            return self._write(request.path, operation, path, body, key, request_id, where)

    def _write(
        self, url: str, operation: Operation, path: dict[str, str], body: str, key: str, request_id: str, where: str
    ) -> Response:
        digest = idempotency.fingerprint(body)
        with self._database.reading() as connection:
            kept = idempotency.recall(connection, key, url, digest) if key else None
        if kept:
            replayed = {"Idempotency-Key": key, "Idempotent-Replayed": "true", "Original-Request": kept.request_id}
            return _reply(kept.status, kept.body, kept.request_id, replayed)
        wish = params.check_fields(operation.fields, forms.decode(body))
        spoiled = None
        try:
            with self._database.transaction() as connection:
                books = Books(connection, Origin(request_id, key or None))
                try:
                    status, text = 200, json.dumps(_run(books, operation, path, wish), indent=2)
                except expand.ExpandError:
                    raise
                except ApiError as error:
                    # The operations check before they write, so what stands now (a refused charge) is meant to stay.
                    status, text = error.status, json.dumps(error.envelope, indent=2)
                fault = faults.take(connection, "api", where, "after")
                if fault and fault.effect == "error":
                    status, text = fault.status, _server_error()
                spoiled = fault
                self._remember(connection, key, url, digest, idempotency.Reply(status, text, request_id))
        except ApiError:
            raise
        except Exception:
            log.exception("%s failed", where)
            status, text = 500, _server_error()
            with self._database.transaction() as connection:
                self._remember(connection, key, url, digest, idempotency.Reply(status, text, request_id))
        if spoiled:
            time.sleep(spoiled.seconds)
            if spoiled.effect == "hang_up":
                return Response(hang_up=True)
        return _reply(status, text, request_id, {"Idempotency-Key": key} if key else {})

    @staticmethod
    def _remember(connection: Any, key: str, url: str, digest: str, reply: idempotency.Reply) -> None:
        if key:
            idempotency.remember(connection, key, url, digest, reply)


def _run(books: Books, operation: Operation, path: dict[str, str], wish: dict[str, Any]) -> dict[str, Any]:
    paths = wish.pop("expand", [])
    return expand.expand(books, operation.run(books, path, wish), paths)


def _server_error() -> str:
    message = "Sorry! An error occurred on our end. Please try again in a little while."
    return json.dumps({"error": {"message": message, "type": "api_error"}}, indent=2)


def _reply(status: int, text: str, request_id: str, headers: dict[str, str] | None = None) -> Response:
    always = {"Request-Id": request_id, "Stripe-Version": API_VERSION, "Cache-Control": "no-cache, no-store"}
    return Response(status, text.encode() + b"\n", "application/json", always | (headers or {}))
