"""One request from its address to its answer: the only place where operations meet HTTP."""

from __future__ import annotations

import json
import logging
import re
from functools import cache
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.core.signals import got_request_exception
from django.db import OperationalError, transaction
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from pydantic import BaseModel

from pasargad import flags
from pasargad.audit.acting import acting, acting_now
from pasargad.audit.services import audit_record
from pasargad.clients import client_address

from . import access, idempotency
from .etags import etag_of, is_known
from .idempotency import Stored
from .operations import PUBLIC, Call, Operation, operations
from .problems import FieldError, Problem
from .reading import read_body, read_json, read_query
from .scopes import Scope

logger = logging.getLogger(__name__)
KEY = re.compile(r"[A-Za-z0-9_-]{16,64}")
# Gives up a wait for a row that somebody else holds.
LOCK_NOT_AVAILABLE = "55P03"


@csrf_exempt
def api(request: HttpRequest, path: str) -> HttpResponse:
    """Answer any request below /api/v1/: whatever happens, as JSON."""
    headers: dict[str, str] = {}
    try:
        response = _answer(request, f"/{path}", headers)
    except Problem as problem:
        response = problem.response()
    except SuspiciousOperation:
        # Django's own bounds: more parameters than anybody sends, or a host that is not ours.
        response = Problem("malformed", "The request goes beyond what is read.").response()
    except OperationalError as error:
        if getattr(error.__cause__, "pgcode", "") != LOCK_NOT_AVAILABLE:
            response = _broken(request)
        else:
            busy = Problem("unavailable", "Others are changing the same goods.", headers={"Retry-After": "1"})
            response = busy.response()
    except Exception:
        response = _broken(request)
    for name, value in headers.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "private, no-store")
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


# Keys and tokens are sent on purpose; where a browser's session counts, `access` asks for the origin itself.
api.accepts_any_origin = True  # type: ignore[attr-defined]


def _broken(request: HttpRequest) -> HttpResponse:
    logger.exception("the API failed", extra={"method": request.method})
    got_request_exception.send(sender=None, request=request)
    return Problem("broken").response()


def _answer(request: HttpRequest, path: str, headers: dict[str, str]) -> HttpResponse:
    if not flags.is_on("api"):
        raise Problem("unavailable", "The API is switched off at the moment.", headers={"Retry-After": "300"})
    methods, parts = find(path)
    method = "GET" if request.method == "HEAD" else str(request.method)
    allowed = ", ".join(sorted({*methods, "OPTIONS", *(["HEAD"] if "GET" in methods else [])}))
    if method == "OPTIONS":
        return HttpResponse(status=204, headers={"Allow": allowed})
    if method not in methods:
        raise Problem("method-not-allowed", headers={"Allow": allowed})
    operation = methods[method]
    who = access.identify(request, operation)
    counted = access.count_request(request, operation, who)
    if counted:
        headers.update(access.limit_headers(counted))
    call = Call(request, operation, parts, actor=who.name)
    if operation.access in Scope.values:
        # Whoever may not is told so, and nothing of what could be sent.
        access.authorise(call, who)
        _read(call)
    else:
        _read(call)
        access.authorise(call, who)
    done = _perform(call, who)
    headers.update(call.headers)
    return _response(call, done)


def find(path: str) -> tuple[dict[str, Operation], dict[str, str]]:
    """Return the operations at a path by method, and what stands in its variable parts; raises Problem."""
    for pattern, methods in _paths():
        if found := pattern.fullmatch(path):
            return methods, found.groupdict()
    raise Problem("not-found", "There is no such address.")


@cache
def _paths() -> list[tuple[re.Pattern[str], dict[str, Operation]]]:
    by_path: dict[str, dict[str, Operation]] = {}
    for operation in operations():
        by_path.setdefault(operation.pattern, {})[operation.method] = operation
    return [(re.compile(pattern), methods) for pattern, methods in by_path.items()]


def _read(call: Call) -> None:
    """Understand everything that was sent, and complain about all of it at once."""
    request, operation = call.request, call.operation
    call.query, errors = read_query(request.GET, operation.query)
    errors += access.token_errors(call) + _header_errors(call)
    if operation.body:
        value = read_json(request)
        call.body, more = read_body(value, operation.body)
        errors += more
        if operation.keyed:
            call.request_value = value
    elif operation.method not in access.SAFE and request.read(1):
        errors.append(FieldError("body", "", "This operation takes no body."))
    if errors:
        raise Problem("invalid", errors=errors)


def _header_errors(call: Call) -> list[FieldError]:
    request, operation = call.request, call.operation
    errors = []
    if operation.keyed:
        call.idempotency_key = request.headers.get("Idempotency-Key", "")
        if not KEY.fullmatch(call.idempotency_key):
            hint = "A fresh text of 16 to 64 letters, digits, dashes and underscores is needed."
            errors.append(FieldError("header", "Idempotency-Key", hint))
    return errors


def _perform(call: Call, who: access.Who) -> Stored:
    operation = call.operation
    if operation.access in Scope.values and operation.method not in access.SAFE:
        with acting(who.actor(client_address(call.request))):
            return _done(call, who)
    return _done(call, who)


def _done(call: Call, who: access.Who) -> Stored:
    operation = call.operation
    if not operation.keyed:
        return _stored(operation, _handled(call))
    asked = idempotency.request_of(
        identity=_identity(call, who),
        key=call.idempotency_key,
        method=operation.method,
        path=call.request.path,
        body=call.request_value,
    )

    def work() -> Stored:
        return _stored(operation, _handled(call))

    def finish(body: Any) -> Stored:
        return _stored(operation, operation.finish(body) if operation.finish else _handled(call))

    if operation.outside:
        done = idempotency.once_outside(asked, None, finish)
    elif operation.finish:
        done = idempotency.once_outside(asked, work, finish)
    else:
        done = idempotency.once(asked, work)
    if done.replayed:
        call.headers["Idempotent-Replayed"] = "true"
    return done


def _handled(call: Call) -> BaseModel | None:
    """Do what is asked; an act of the staff stands in the audit log, or did not happen."""
    operation = call.operation
    if acting_now() is None:
        return operation.handler(call)
    with transaction.atomic():
        audit_record(f"api: {operation.name}", target_type="api", changes={k: [None, v] for k, v in call.path.items()})
        return operation.handler(call)


def _identity(call: Call, who: access.Who) -> str:
    """Say whose key it is: a key of one cart or order says nothing about another's."""
    if call.cart_found is not None:
        return f"{who.identity} cart:{call.cart_found.pk}"
    if call.order_found is not None:
        return f"{who.identity} order:{call.order_found.pk}"
    return who.identity or f"address:{client_address(call.request)}"


def _stored(operation: Operation, shown: BaseModel | None) -> Stored:
    return Stored(operation.status, None if shown is None else shown.model_dump(mode="json"))


def _response(call: Call, done: Stored) -> HttpResponse:
    if done.body is None:
        return HttpResponse(status=done.status)
    etag = etag_of(done.body)
    response = HttpResponse(status=done.status, content_type="application/json")
    if call.operation.method == "GET":
        # Whoever keeps it asks each time whether it is still so, and is told in a few bytes.
        response.headers["Cache-Control"] = "no-cache" if call.operation.access == PUBLIC else "private, no-cache"
        response.headers["ETag"] = etag
        if is_known(call.request, etag):
            response.status_code = 304
            del response.headers["Content-Type"]
            return response
    elif call.operation.guarded:
        response.headers["ETag"] = etag
    response.content = json.dumps(done.body).encode()
    return response
