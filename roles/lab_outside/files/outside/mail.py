"""The mail sink: takes every mail that arrives over TLS with the right login, delivers none, keeps all."""

from __future__ import annotations

import email
import email.policy
import hmac
import json
import ssl
import time
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from .database import Database

SCHEMA = """
CREATE TABLE IF NOT EXISTS mails (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    received REAL NOT NULL,
    sender TEXT NOT NULL,
    recipients TEXT NOT NULL,
    raw BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS refusals (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    reply TEXT NOT NULL
);
"""
LARGEST_MAIL = 30 << 20


@dataclass(frozen=True)
class Settings:
    """What the sink is told."""

    database: Path
    host: str
    port: int
    certificate: Path
    key: Path
    user: str
    password: str
    hostname: str = "smtp.outside.test"


class Sink:
    """aiosmtpd's handler: a mail is on disk before the sender hears 250."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Keep the mail, or answer with a planned refusal."""
        with self._database.transaction() as connection:
            planned = connection.execute("SELECT id, reply FROM refusals ORDER BY id LIMIT 1").fetchone()
            if planned:
                connection.execute("DELETE FROM refusals WHERE id = ?", (planned["id"],))
                return str(planned["reply"])
            number = connection.execute(
                "INSERT INTO mails (received, sender, recipients, raw) VALUES (?, ?, ?, ?)",
                (time.time(), envelope.mail_from or "", json.dumps(envelope.rcpt_tos), envelope.original_content),
            ).lastrowid
        return f"250 2.0.0 kept as mail {number}"


class MailService:
    """The SMTP server of one sink."""

    def __init__(self, settings: Settings) -> None:
        self._database = Database(settings.database, SCHEMA)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(settings.certificate, settings.key)

        def check(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
            right = isinstance(data, LoginPassword) and all(
                hmac.compare_digest(given, wanted.encode())
                for given, wanted in ((data.login, settings.user), (data.password, settings.password))
            )
            # aiosmtpd answers 535 by itself when the message is left out and the result is not "handled".
            return AuthResult(success=right, handled=False)

        self._controller = Controller(
            Sink(self._database),
            hostname=settings.host,
            port=settings.port,
            server_hostname=settings.hostname,
            tls_context=context,
            require_starttls=True,
            auth_required=True,
            authenticator=check,
            data_size_limit=LARGEST_MAIL,
            ident="outside",
        )

    def start(self) -> None:
        """Listen."""
        self._controller.start()

    def stop(self) -> None:
        """Stop listening."""
        self._controller.stop()
        self._database.close()


def describe(row: Any) -> dict[str, Any]:
    """Return a stored mail as tests and the board read it; bodies are decoded text."""
    message = email.message_from_bytes(row["raw"], policy=email.policy.default)
    if not isinstance(message, EmailMessage):
        raise TypeError("the default policy makes EmailMessage")
    return {
        "id": row["id"],
        "received": row["received"],
        "sender": row["sender"],
        "recipients": json.loads(row["recipients"]),
        "from": str(message.get("From", "")),
        "to": str(message.get("To", "")),
        "subject": str(message.get("Subject", "")),
        "headers": [[name, str(value)] for name, value in message.items()],
        "text": _body(message, "plain"),
        "html": _body(message, "html"),
        "attachments": [part.get_filename() or part.get_content_type() for part in message.iter_attachments()],
    }


def _body(message: EmailMessage, kind: str) -> str:
    part = message.get_body(preferencelist=(kind,))
    return str(part.get_content()) if part else ""
