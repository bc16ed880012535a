"""Plain HTTPS requests to the shop of a room, for checkers that need a page's own bytes."""

from __future__ import annotations

import http.client
import socket
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

from .room import DOMAIN, Room

ANSWER_SECONDS = 60.0


@dataclass(frozen=True)
class Answer:
    """A whole response; header names in lower case."""

    url: str
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def is_page(self) -> bool:
        return self.headers.get("content-type", "").startswith("text/html")


class _Connection(http.client.HTTPSConnection):
    """Connects to the room's address and speaks to the shop's name."""

    def __init__(self, room: Room, context: ssl.SSLContext) -> None:
        super().__init__(DOMAIN, timeout=ANSWER_SECONDS, context=context)
        self._address, self._tls = room.address, context

    def connect(self) -> None:
        plain = socket.create_connection((self._address, 443), timeout=ANSWER_SECONDS)
        self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)


class Client:
    """Asks the shop over one connection; follows no redirect and keeps no cookie."""

    def __init__(self, room: Room, cookies: str = "") -> None:
        self._headers = {"Cookie": cookies} if cookies else {}
        self._connection = _Connection(room, ssl.create_default_context(cafile=str(room.certificates.authority)))
        self.origin = room.url

    def get(self, url: str) -> Answer:
        return self.ask("GET", url)

    def ask(self, method: str, url: str, body: str | None = None, headers: dict[str, str] | None = None) -> Answer:
        parts = urlsplit(url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._connection.request(method, path, body=body, headers={**self._headers, **(headers or {})})
        found = self._connection.getresponse()
        content = found.read()
        named = {name.lower(): value for name, value in found.getheaders()}
        return Answer(f"{self.origin}{path}", found.status, named, content)
