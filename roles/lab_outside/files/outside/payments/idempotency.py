"""Idempotency keys as Stripe keeps them: the first reply to a key is the reply, also if it was a 500.

Source: https://docs.stripe.com/api/idempotent_requests
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from .errors import ApiError
from .forms import pairs

LONGEST_KEY = 255
LIFE_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Reply:
    """A stored reply and the request that first got it."""

    status: int
    body: str
    request_id: str


def fingerprint(body: str) -> str:
    """Return a digest that is the same for the same parameters in any order."""
    return hashlib.sha256(repr(sorted(pairs(body))).encode()).hexdigest()


def recall(connection: sqlite3.Connection, key: str, path: str, digest: str) -> Reply | None:
    """Return the reply kept for the key, or raise if the key belongs to another request."""
    row = connection.execute(
        "SELECT * FROM idempotency WHERE key = ? AND created > ?", (key, time.time() - LIFE_SECONDS)
    ).fetchone()
    if row is None:
        return None
    advice = f"Try using a key other than '{key}' if you meant to execute a different request."
    if row["path"] != path:
        raise ApiError(
            "Keys for idempotent requests can only be used for the same endpoint they were first used for "
            f"('{path}' vs '{row['path']}'). {advice}",
            kind="idempotency_error",
        )
    if row["fingerprint"] != digest:
        raise ApiError(
            "Keys for idempotent requests can only be used with the same parameters they were first used with. "
            + advice,
            kind="idempotency_error",
        )
    return Reply(row["status"], row["body"], row["request_id"])


def remember(connection: sqlite3.Connection, key: str, path: str, digest: str, reply: Reply) -> None:
    """Keep the reply, in the transaction that holds the request's effects; forget keys past their life."""
    now = time.time()
    connection.execute("DELETE FROM idempotency WHERE created <= ?", (now - LIFE_SECONDS,))
    connection.execute(
        "INSERT INTO idempotency (key, path, fingerprint, request_id, status, body, created) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (key, path, digest, reply.request_id, reply.status, reply.body, now),
    )


class InFlight:
    """The keys whose first request is still being executed: a second one is told to come back (409)."""

    def __init__(self) -> None:
        self._keys: set[str] = set()
        self._lock = threading.Lock()

    @contextmanager
    def hold(self, key: str) -> Iterator[None]:
        """Keep the key for the duration of the block."""
        with self._lock:
            if key in self._keys:
                raise ApiError(
                    "There is currently another in-progress request using this Idempotent Key (that probably means you "
                    f"submitted twice, and the other request is still going through): {key}. Please try again later.",
                    status=409,
                    kind="idempotency_error",
                    code="idempotency_key_in_use",
                )
            self._keys.add(key)
        try:
            yield
        finally:
            with self._lock:
                self._keys.discard(key)
