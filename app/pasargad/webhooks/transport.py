"""The only way out: one POST over TLS to an address that is looked up, checked and then used, and to no other.

Looking a name up twice would let its owner answer twice: first with a public address, then with one of ours.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPSConnection
from urllib.parse import urlsplit

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 10.0
# However slowly each byte comes, a worker is not held longer.
TOTAL_SECONDS = 20.0
READ_BYTES = 4096
NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Addresses that IPv4 is translated into by somebody: what lies behind them cannot be known.
TRANSLATED = (NAT64, ipaddress.ip_network("64:ff9b:1::/48"), ipaddress.ip_network("2002::/16"))


class Forbidden(Exception):
    """The address is none that we send to; the text is for staff."""


@dataclass(frozen=True)
class Result:
    """What came of a try: a status (0: no answer), what went wrong, and how long it took."""

    status: int
    error: str
    took_ms: int

    @property
    def accepted(self) -> bool:
        return 200 <= self.status < 300


def is_public(text: str) -> bool:
    """Whether an IP address is one of the public internet, also when it is wrapped in another."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return is_public(str(address.ipv4_mapped))
        if address.teredo or any(address in network for network in TRANSLATED):
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def parts_of(url: str) -> tuple[str, int, str]:
    """Return host, port and path of an address that may be sent to as far as its text tells; raises Forbidden."""
    try:
        parts = urlsplit(url)
        port = parts.port or 443
    except ValueError as error:
        raise Forbidden("This is no address.") from error
    if parts.scheme != "https":
        raise Forbidden("Only https is sent to.")
    if parts.username or parts.password or parts.fragment or not parts.hostname:
        raise Forbidden("An address has a host, no password and no fragment.")
    if not (url.isascii() and url.isprintable()) or " " in url:
        raise Forbidden("An address is written in plain ASCII.")
    path = parts.path or "/"
    return parts.hostname, port, f"{path}?{parts.query}" if parts.query else path


def resolve(host: str, port: int) -> list[str]:
    """Look a name up; raises Forbidden if any of its addresses is not public, OSError if it has none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not addresses or not all(is_public(address) for address in addresses):
        raise Forbidden("The name leads to an address that is not on the public internet.")
    return addresses


def post(url: str, body: bytes, headers: Mapping[str, str]) -> Result:
    """Send a message once and follow no redirect; never raises for what the other side does."""
    started = time.monotonic()
    status, error = 0, ""
    try:
        host, port, path = parts_of(url)
        connection = _Pinned(host, port, resolve(host, port))
        with _bounded(connection):
            connection.request("POST", path, body=body, headers={"User-Agent": "Pasargad-Webhooks/1", **headers})
            answer = connection.getresponse()
            status = answer.status
            answer.read(READ_BYTES)
    except Forbidden as refused:
        error = str(refused)
    except (OSError, HTTPException, ValueError) as failed:
        # An answer whose status came counts by its status, whatever became of its body.
        error = "" if status else f"{type(failed).__name__}: {failed}"[:300]
    if status and not 200 <= status < 300:
        error = f"answered {status}"
    return Result(status, error, round((time.monotonic() - started) * 1000))


def tls_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class _Pinned(HTTPSConnection):
    """A connection to addresses that were looked up already; TLS still wants the name's certificate."""

    def __init__(self, host: str, port: int, addresses: list[str]) -> None:
        super().__init__(host, port, timeout=ANSWER_SECONDS, context=tls_context())
        self.addresses = addresses
        self.raw: socket.socket | None = None

    def connect(self) -> None:
        last: OSError | None = None
        for address in self.addresses[:4]:
            try:
                self.raw = socket.create_connection((address, self.port), CONNECT_SECONDS)
                break
            except OSError as error:
                last = error
        if self.raw is None:
            raise last or OSError("no address")
        self.raw.settimeout(ANSWER_SECONDS)
        # The handshake comes after the socket is known, so that it can be cut off too.
        self.sock = tls_context().wrap_socket(self.raw, server_hostname=self.host, do_handshake_on_connect=False)
        self.sock.do_handshake()


@contextmanager
def _bounded(connection: _Pinned) -> Iterator[None]:
    """Cut a connection off at the total time, and close it in any case."""

    def cut() -> None:
        for found in (connection.sock, connection.raw):
            if found is not None:
                # The plain method: TLS would wait for the other side's goodbye.
                try:
                    socket.socket.shutdown(found, socket.SHUT_RDWR)
                except OSError:
                    continue

    timer = threading.Timer(TOTAL_SECONDS, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        connection.close()
