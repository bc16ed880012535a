"""People with accounts for tests, their mails, and an authenticator app."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import struct
import time
from typing import Any

from allauth.account.models import EmailAddress
from django.conf import settings
from django.core import mail
from django.test import Client

from pasargad.accounts.models import User
from pasargad.notifications.services import mails_send_due

PASSWORD = "correct horse battery 9"  # noqa: S105


def make_user(email: str = "ada@example.org", *, verified: bool = True, **fields: Any) -> User:
    user = User.objects.create_user(email, PASSWORD, **fields)
    EmailAddress.objects.create(user=user, email=email.lower(), verified=verified, primary=True)
    return user


def sign_in(client: Client, email: str = "ada@example.org", password: str = PASSWORD, **more: str) -> Any:
    """Fill in the form as a browser does; follows nothing."""
    return client.post("/account/login/", {"login": email, "password": password, **more})


def prove(client: Client, password: str = PASSWORD) -> None:
    """Type the password again, as sensitive acts ask."""
    answer = client.post("/account/reauthenticate/", {"password": password})
    assert answer.status_code == 302, answer.content.decode()  # noqa: S101


def delivered(to: str) -> list[mail.EmailMessage]:
    """Send what waits, and return everything that ever came to an address."""
    mails_send_due()
    return [message for message in mail.outbox if message.to == [to]]


def link_in(message: mail.EmailMessage) -> str:
    """Return the path of the first link to the shop in a mail."""
    found = re.search(rf"{re.escape(settings.SITE_URL)}(/\S+)", str(message.body))
    assert found, message.body  # noqa: S101
    return found[1]


def totp(secret: str, *, at: float | None = None) -> str:
    """Return what an authenticator app shows (RFC 6238: SHA-1, six digits, thirty seconds)."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.new(key, struct.pack(">Q", int((time.time() if at is None else at) // 30)), hashlib.sha1).digest()
    start = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[start : start + 4])[0] & 0x7FFFFFFF) % 10**6:06d}"


def enrol(client: Client) -> str:
    """Set up an authenticator app for who is signed in; returns its secret."""
    prove(client)
    page = client.get("/account/2fa/totp/activate/").content.decode()
    secret = re.search(r'id="authenticator_secret"[^>]* value="([A-Z2-7]+)"', page)
    assert secret, page  # noqa: S101
    answer = client.post("/account/2fa/totp/activate/", {"code": totp(secret[1])})
    assert answer.status_code == 302, answer.content.decode()  # noqa: S101
    return secret[1]
