"""Carry a message to people: the doors to SMTP and to a Slack webhook."""

from __future__ import annotations

import email.utils
import ipaddress
import queue
import smtplib
import socket
import ssl
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from http.client import HTTPException
from json import dumps
from pathlib import Path
from typing import Any, Protocol

TIMEOUT_SECONDS = 5.0
# For all of a delivery: resolving a name and a server that drips bytes keep to no socket's timeout.
WHOLE_SECONDS = 15.0
RETRY_AFTER_LIMIT = 24 * 3600.0


@dataclass(frozen=True)
class Message:
    """What is sent: `id` is the same at each attempt, so that a reader can fold what came twice."""

    id: str
    title: str
    text: str


class Undelivered(Exception):
    """A message was not taken.

    `down` says that the channel, not the message, is at fault; `hold_seconds` how long it asks to be left alone.
    """

    def __init__(self, reason: str, *, down: bool, hold_seconds: float = 0) -> None:
        super().__init__(reason)
        self.down = down
        self.hold_seconds = hold_seconds


class Channel(Protocol):
    """A way to people."""

    @property
    def name(self) -> str:
        """What it is remembered by."""

    def send(self, message: Message, now: float) -> None:
        """Deliver, or raise Undelivered."""


@dataclass(frozen=True)
class Mail:
    """Mail through a relay; with `starttls` nothing is said in the clear, also not when the relay cannot do better.

    Mail servers and readers that fold by Message-ID (Gmail, Cyrus, sieve's `duplicate`) show a message once.
    """

    host: str
    port: int
    sender: str
    recipients: tuple[str, ...]
    starttls: bool = True
    user: str = ""
    password_file: Path | None = None
    ca_file: Path | None = None
    name: str = "mail"

    def send(self, message: Message, now: float) -> None:
        """Deliver, or raise Undelivered."""
        letter = EmailMessage()
        letter["From"], letter["To"] = self.sender, ", ".join(self.recipients)
        letter["Subject"] = " ".join(message.title.split())
        letter["Date"] = email.utils.formatdate(now)
        letter["Message-ID"] = f"<{message.id}@{self.sender.rpartition('@')[2] or 'localhost'}>"
        letter["Auto-Submitted"] = "auto-generated"
        letter.set_content(message.text + "\n")
        if self.user and not self.starttls and not _is_loopback(self.host):
            raise Undelivered("a password is sent over TLS only; turn STARTTLS on", down=True)
        try:
            # The host's own name as it is: asking the resolver for a full one may take longer than the delivery.
            with smtplib.SMTP(self.host, self.port, socket.gethostname(), TIMEOUT_SECONDS) as relay:
                if self.starttls:
                    relay.starttls(context=ssl.create_default_context(cafile=self.ca_file))
                if self.user and self.password_file is not None:
                    relay.login(self.user, self.password_file.read_text().strip())
                relay.send_message(letter)
        except smtplib.SMTPRecipientsRefused as error:
            raise Undelivered(f"no recipient was accepted ({_codes(error.recipients)})", down=False) from None
        except (smtplib.SMTPDataError, smtplib.SMTPSenderRefused) as error:
            raise Undelivered(f"the relay answered {error.smtp_code}", down=error.smtp_code < 500) from None
        except smtplib.SMTPResponseException as error:
            raise Undelivered(f"the relay answered {error.smtp_code}", down=True) from None
        except (OSError, smtplib.SMTPException, UnicodeError) as error:
            raise Undelivered(_kind(error), down=True) from None


@dataclass(frozen=True)
class Slack:
    """An incoming webhook; its URL is the secret, so it is read from a file and never appears in a reason.

    Slack knows no key against duplicates; the notice's number in the text lets people see one.
    """

    url_file: Path
    name: str = "slack"

    def send(self, message: Message, now: float) -> None:
        """Deliver, or raise Undelivered."""
        text = f"*{_escaped(' '.join(message.title.split()))}*\n{_escaped(message.text)}\n_{message.id}_"
        try:
            url = self.url_file.read_text().strip()
            if not _may_be_asked(url):
                raise Undelivered(f"{self.url_file} holds no https address", down=True)
            headers = {"Content-Type": "application/json", "User-Agent": "pasargad-ops"}
            request = urllib.request.Request(url, dumps({"text": text}).encode(), headers)  # noqa: S310
            with urllib.request.build_opener(_NoRedirect).open(request, timeout=TIMEOUT_SECONDS) as answer:
                answer.read(1024)
        except urllib.error.HTTPError as error:
            error.close()
            hold = _retry_after(error.headers.get("Retry-After", ""), now) if error.code in (429, 503) else 0.0
            down = error.code in (404, 408, 410, 429) or error.code >= 500
            raise Undelivered(f"the webhook answered {error.code}", down=down, hold_seconds=hold) from None
        except (OSError, HTTPException, ValueError) as error:
            raise Undelivered(_kind(error), down=True) from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A webhook that points elsewhere has not taken the message: followed, it would become an empty GET."""

    def redirect_request(self, *_: Any) -> None:
        return None


def send_bounded(channel: Channel, message: Message, now: float, seconds: float = WHOLE_SECONDS) -> None:
    """Deliver within `seconds`, or raise Undelivered, whatever goes wrong."""
    ending: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def run() -> None:
        try:
            channel.send(message, now)
        except BaseException as error:
            ending.put(error)
        else:
            ending.put(None)

    # A thread cannot be ended; it dies with the process, or delivers late, which the message's id lets readers see.
    threading.Thread(target=run, daemon=True).start()
    try:
        error = ending.get(timeout=seconds)
    except queue.Empty:
        raise Undelivered(f"no end within {seconds:g} s", down=True) from None
    if isinstance(error, Undelivered):
        raise error
    if error is not None:
        raise Undelivered(_kind(error), down=True) from None


def _kind(error: BaseException) -> str:
    """Return an error's kind and the system's word for it; never its own text, which may quote an address."""
    reason = getattr(error, "reason", None)
    inner = reason if isinstance(reason, OSError) else error
    word = inner.strerror if isinstance(inner, OSError) and isinstance(inner.strerror, str) else ""
    return f"{type(inner).__name__}{': ' if word else ''}{word}"


def _codes(recipients: Mapping[str, tuple[int, bytes]]) -> str:
    return ", ".join(sorted({str(code) for code, _ in recipients.values()}))


def _retry_after(value: str, now: float) -> float:
    """Return the seconds that a Retry-After asks for, in either of its forms; at most a day."""
    value, seconds = value.strip(), 0.0
    if value.isdigit():
        seconds = float(value)
    elif value:
        parsed = _quietly(lambda: email.utils.parsedate_to_datetime(value).timestamp())
        seconds = parsed - now if parsed is not None else 0.0
    return min(max(seconds, 0.0), RETRY_AFTER_LIMIT)


def _quietly(work: Callable[[], float]) -> float | None:
    try:
        return work()
    except (ValueError, TypeError, OverflowError):
        return None


def _may_be_asked(url: str) -> bool:
    parts = urllib.parse.urlsplit(url)
    return bool(parts.hostname) and (
        parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname))
    )


def _is_loopback(host: str | None) -> bool:
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return host == "localhost"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
