"""Plain HTTPS requests to lab hosts: a name, the address it lives at, and the authorities to believe."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.shop import DOMAIN, Shop

ANSWER_SECONDS = 30.0


@dataclass(frozen=True)
class Answer:
    """A whole response; header names in lower case, of several with one name the last; cookies as `name=value`."""

    status: int
    headers: dict[str, str]
    body: bytes
    cookies: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        return json.loads(self.body)


class _Connection(http.client.HTTPSConnection):
    """Connects to an address and speaks to a name; nobody's resolver knows the lab."""

    def __init__(self, host: str, address: str, context: ssl.SSLContext) -> None:
        super().__init__(host, timeout=ANSWER_SECONDS, context=context)
        self._address, self._tls = address, context

    def connect(self) -> None:
        plain = socket.create_connection((self._address, 443), timeout=ANSWER_SECONDS)
        self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)


@dataclass(frozen=True)
class Web:
    """The web of one lab as a client sees it who trusts the lab's authorities, and only these."""

    network: str
    authorities: Path
    context: ssl.SSLContext = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "context", ssl.create_default_context(cafile=str(self.authorities)))

    def address(self, host: str) -> str:
        return f"{self.network}.11" if host == DOMAIN else f"{self.network}.50"

    def connection(self, host: str) -> http.client.HTTPSConnection:
        """Return a connection that can be kept for many requests; it opens with the first."""
        return _Connection(host, self.address(host), self.context)

    def ask(
        self,
        url: str,
        *,
        method: str = "GET",
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Send one request; redirects are answers, not orders."""
        host, _, path = url.removeprefix("https://").partition("/")
        connection = self.connection(host)
        try:
            connection.request(method, f"/{path}", body=body, headers=headers or {})
            response = connection.getresponse()
            fields = [(name.lower(), value) for name, value in response.getheaders()]
            cookies = tuple(value.split(";")[0] for name, value in fields if name == "set-cookie")
            return Answer(response.status, dict(fields), response.read(), cookies)
        finally:
            connection.close()

    def shop(self, path: str) -> Answer:
        return self.ask(f"https://{DOMAIN}{path}")

    def received(self, what: str) -> Any:
        """Return what the world outside received (mails, payments, …), newest first."""
        return self.ask(f"https://outside.test/api/{what}").json()


def write_authorities(shop: Shop, path: Path) -> Path:
    """Write the authorities that signed the lab's certificates into one file: the lab's own and the ACME server's."""
    roots = shop.on("outside", "cat /var/lib/outside-acme/roots.pem").require().output
    path.write_text(shop.ca_file.read_text() + roots)
    return path
