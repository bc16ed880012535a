"""Which slot and release answered, and one log line for each request."""

from __future__ import annotations

import logging
import os
import re
import time
import uuid
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse

from config.logs import request_id

GetResponse = Callable[[HttpRequest], HttpResponse]
logger = logging.getLogger("pasargad.requests")
sql_logger = logging.getLogger("pasargad.slow_queries")
REQUEST_ID = re.compile(r"[0-9A-Za-z-]{8,64}")


class ReleaseHeaders:
    """Tells the proxy who answered; it logs the headers and hides them from the world."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers["X-Pasargad-Slot"] = settings.PASARGAD_SLOT
        response.headers["X-Pasargad-Release"] = settings.PASARGAD_RELEASE
        response.headers["X-Pasargad-Worker"] = str(os.getpid())
        return response


# What stands in an address after these lets its holder in.
TOKENS = re.compile(
    r"(/orders/)[0-9a-f]{32}(?=/|$)"
    r"|^((?:/[a-z]{2})?(?:/account/confirm-email/|/account/password/reset/key/|/reminders/stop/)).+?(?=/?$)"
)


class RequestLog:
    """Gives the request an id (the proxy's, if it sent one) that all its log lines carry, and logs its outcome."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self.watch = slow_queries if settings.MONITORING.slow_query_ms else None

    def __call__(self, request: HttpRequest) -> HttpResponse:
        sent = request.headers.get("X-Request-ID", "")
        token = request_id.set(sent if REQUEST_ID.fullmatch(sent) else uuid.uuid4().hex)
        started = time.perf_counter()
        try:
            response = self._watched(request)
            self._log(request, response.status_code, started)
            response.headers["X-Request-ID"] = request_id.get()
            return response
        finally:
            request_id.reset(token)

    def _watched(self, request: HttpRequest) -> HttpResponse:
        if self.watch is None:
            return self.get_response(request)
        with connection.execute_wrapper(self.watch):
            return self.get_response(request)

    def _log(self, request: HttpRequest, status: int, started: float) -> None:
        took_ms = round((time.perf_counter() - started) * 1000, 1)
        slow = bool(settings.MONITORING.slow_request_ms) and took_ms >= settings.MONITORING.slow_request_ms
        if request.path.startswith("/health/") and status == 200 and not slow:
            return
        level = logging.ERROR if status >= 500 else logging.WARNING if slow else logging.INFO
        if level > logging.INFO or settings.LOG_REQUESTS:
            fields = {"method": request.method, "path": masked(request.path), "status": status, "took_ms": took_ms}
            logger.log(level, "slow request" if slow else "request", extra=fields)


def masked(path: str) -> str:
    """Hide the tokens of orders and of mails' links: who reads the log must not get into them."""
    return TOKENS.sub(lambda found: f"{found[1] or found[2]}…", path)


def slow_queries(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
    """Log statements that take too long, without their values."""
    started = time.perf_counter()
    try:
        return execute(sql, params, many, context)
    finally:
        took_ms = (time.perf_counter() - started) * 1000
        if took_ms >= settings.MONITORING.slow_query_ms:
            sql_logger.warning("slow query", extra={"sql": sql[:500], "took_ms": round(took_ms, 1)})
