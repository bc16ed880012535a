"""Delivers events: signed, at least once, again and again until the endpoint answers 2xx or patience ends."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import logging
import sqlite3
import ssl
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from ..database import Database
from .books import Books, Object

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 10
IDLE_SECONDS = 0.25


def signature(secret: str, body: bytes, moment: int) -> str:
    """Return the Stripe-Signature header for a body sent at `moment` (Unix seconds)."""
    digest = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"


class Postman(threading.Thread):
    """Works off the deliveries table; `backoff` holds the seconds before each further attempt.

    A delivery is marked only after the answer, so a killed process sends it once more: endpoints must bear
    duplicates, as with Stripe.
    """

    def __init__(self, database: Database, backoff: Sequence[float], trust: Sequence[Path] = ()) -> None:
        super().__init__(name="postman", daemon=True)
        self._database = database
        self._backoff = backoff
        self._trust = trust
        self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="delivery")
        self._under_way: set[int] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    def run(self) -> None:
        """Hand out what is due until stopped."""
        while not self._stopping.wait(IDLE_SECONDS):
            for row in self._due():
                with self._lock:
                    if row["id"] in self._under_way:
                        continue
                    self._under_way.add(row["id"])
                self._pool.submit(self._deliver, row)

    def stop(self) -> None:
        """End after the deliveries under way."""
        self._stopping.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _due(self) -> list[sqlite3.Row]:
        with self._database.reading() as connection:
            return connection.execute(
                "SELECT * FROM deliveries WHERE state = 'pending' AND due <= ? ORDER BY due, id LIMIT 16",
                (time.time(),),
            ).fetchall()

    def _deliver(self, row: sqlite3.Row) -> None:
        try:
            with self._database.reading() as connection:
                still = connection.execute(
                    "SELECT state, attempts FROM deliveries WHERE id = ?", (row["id"],)
                ).fetchone()
                event = Books(connection).peek(row["event"])
                secret = connection.execute(
                    "SELECT secret FROM endpoint_secrets WHERE endpoint = ?", (row["endpoint"],)
                ).fetchone()
            if still is None or tuple(still) != ("pending", row["attempts"]):
                return  # it was listed while its previous attempt was just being noted
            if event is None or secret is None:
                self._note(row, "dropped", None, "the event or its endpoint is gone")
                return
            status, error = self._post(row["url"], event, secret["secret"])
            delivered = status is not None and 200 <= status < 300
            gave_up = not delivered and row["attempts"] >= len(self._backoff)
            self._note(row, "delivered" if delivered else "failed" if gave_up else "pending", status, error)
        except Exception:
            log.exception("delivery %s failed", row["id"])
        finally:
            with self._lock:
                self._under_way.discard(row["id"])

    def _post(self, url: str, event: Object, secret: str) -> tuple[int | None, str | None]:
        body = json.dumps(event, indent=2).encode()
        parts = urlsplit(url)
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Stripe-Signature": signature(secret, body, int(time.time())),
        }
        connection = self._connect(parts.scheme, parts.hostname or "", parts.port)
        try:
            connection.request("POST", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), body, headers)
            answer = connection.getresponse()
            text = answer.read(2000).decode("utf-8", "replace")
            # A redirect counts as a failure: following it would send the signed event somewhere unasked.
            return answer.status, None if 200 <= answer.status < 300 else text
        except (OSError, http.client.HTTPException) as error:
            return None, f"{type(error).__name__}: {error}"
        finally:
            connection.close()

    def _connect(self, scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
        if scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=PATIENCE_SECONDS)
        # Read anew each time: the ACME server adds its root when it starts.
        context = ssl.create_default_context()
        for bundle in self._trust:
            if bundle.is_file() and bundle.stat().st_size:
                context.load_verify_locations(bundle)
        return http.client.HTTPSConnection(host, port, timeout=PATIENCE_SECONDS, context=context)

    def _note(self, row: sqlite3.Row, state: str, status: int | None, error: str | None) -> None:
        now = time.time()
        wait = self._backoff[min(row["attempts"], len(self._backoff) - 1)] if self._backoff else 0.0
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE deliveries SET state = ?, attempts = attempts + 1, due = ?, last_status = ?, last_error = ?, "
                "finished = ? WHERE id = ? AND state = 'pending'",
                (state, now + wait, status, error, None if state == "pending" else now, row["id"]),
            )
        log.info("event %s to %s: %s %s", row["type"], row["url"], status or "no answer", state)
