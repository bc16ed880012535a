"""What the outside world has received, read from each service's own records."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import hooks, mail
from .database import Database
from .payments import control
from .payments.schema import SCHEMA as PAYMENTS_SCHEMA

Records = list[dict[str, Any]]
_NEWEST = 500


class Received:
    """Reads the services' records; the two that keep none are asked by `buckets` and `certificates`."""

    def __init__(
        self, folder: Path, buckets: Callable[[], Records] | None, certificates: Callable[[], Records] | None
    ) -> None:
        self._mails = Database(folder / "mail.sqlite3", mail.SCHEMA)
        self._hooks = Database(folder / "hooks.sqlite3", hooks.SCHEMA)
        self._payments = Database(folder / "payments.sqlite3", PAYMENTS_SCHEMA)
        self._buckets = buckets or list
        self._certificates = certificates or list

    def mails(self) -> Records:
        """Return the mails, newest first."""
        with self._mails.reading() as connection:
            rows = connection.execute("SELECT * FROM mails ORDER BY id DESC LIMIT ?", (_NEWEST,)).fetchall()
        return [mail.describe(row) for row in rows]

    def mail(self, number: int) -> dict[str, Any] | None:
        """Return one mail."""
        with self._mails.reading() as connection:
            row = connection.execute("SELECT * FROM mails WHERE id = ?", (number,)).fetchone()
        return mail.describe(row) if row else None

    def hooks(self) -> Records:
        """Return the requests made to the webhook sink, newest first."""
        with self._hooks.reading() as connection:
            rows = connection.execute("SELECT * FROM hooks ORDER BY id DESC LIMIT ?", (_NEWEST,)).fetchall()
        return [hooks.describe(row) for row in rows]

    def payments(self) -> Records:
        """Return the PaymentIntents with their charges and refunds, newest first."""
        return control.payments(self._payments)[:_NEWEST]

    def deliveries(self) -> Records:
        """Return the deliveries of payment events, newest first."""
        return control.deliveries(self._payments)[::-1][:_NEWEST]

    def buckets(self) -> Records:
        """Return the buckets with the number and size of their objects."""
        return self._buckets()

    def certificates(self) -> Records:
        """Return the certificates the ACME server issued, newest first."""
        return self._certificates()

    def refuse_mails(self, reply: str, times: int) -> None:
        """Answer the next mails with an SMTP reply such as "451 4.3.0 try later"."""
        with self._mails.transaction() as connection:
            connection.executemany("INSERT INTO refusals (reply) VALUES (?)", [(reply,)] * times)

    def clear(self, kind: str) -> None:
        """Forget all mails (and planned refusals), hooks or payments."""
        if kind == "payments":
            with self._payments.transaction() as connection:
                control.forget_payments(connection)
            return
        database, tables = {"mails": (self._mails, ("mails", "refusals")), "hooks": (self._hooks, ("hooks",))}[kind]
        with database.transaction() as connection:
            for table in tables:
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 - names from the line above


def fetch_json(url: str) -> Any:
    """Return what a service of this host answers."""
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - loopback addresses of our own configuration
        return json.load(answer)
