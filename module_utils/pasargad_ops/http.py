"""Ask a web server over its unix socket or through the public path, as a shopper's browser would."""

from __future__ import annotations

import hashlib
import http.client
import socket
import ssl
import time
from dataclasses import dataclass
from pathlib import Path

from .outcome import OperationError


@dataclass(frozen=True)
class Answer:
    """One response: status, headers in lower case, body, and the time it took in milliseconds."""

    status: int
    headers: dict[str, str]
    body: bytes
    milliseconds: float


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, host: str, timeout: float) -> None:
        super().__init__(host, timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class _PinnedConnection(http.client.HTTPSConnection):
    """Connects to an address, asks for `host`, and accepts only the certificate that is installed on this machine."""

    def __init__(self, address: str, host: str, pin: bytes | None, timeout: float) -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        super().__init__(host, timeout=timeout, context=context)
        # The pin takes the place of the authorities: also a private or expired certificate has to be the installed one.
        self._address, self._host, self._pin, self._tls = address, host, pin, context

    def connect(self) -> None:
        raw = socket.create_connection((self._address, 443), timeout=self.timeout)
        self.sock = self._tls.wrap_socket(raw, server_hostname=self._host)
        served = hashlib.sha256(self.sock.getpeercert(binary_form=True) or b"").digest()
        if self._pin is not None and served != self._pin:
            raise OperationError(
                "the proxy serves another certificate than the one installed",
                hint="on the host: systemctl reload nginx; then run deploy.yml",
            )


def certificate_pin(path: Path) -> bytes:
    """Return the digest of the first certificate in a PEM file."""
    text = path.read_text()
    end = "-----END CERTIFICATE-----"
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(text[: text.index(end) + len(end)])).digest()


def _ask(connection: http.client.HTTPConnection, path: str, headers: dict[str, str]) -> Answer:
    started = time.perf_counter()
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    found = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, found, body, (time.perf_counter() - started) * 1000)


def get_from_socket(path: Path, url: str, *, host: str, timeout: float = 10) -> Answer:
    """GET over a unix socket as the proxy would ask; raises OSError when nobody answers."""
    headers = {"Host": host, "X-Forwarded-Proto": "https", "X-Forwarded-For": "127.0.0.1", "User-Agent": "pasargad-ops"}
    return _ask(_UnixConnection(path, host, timeout), url, headers)


def get_in_public(url: str, *, host: str, certificate: Path, address: str = "127.0.0.1", timeout: float = 10) -> Answer:
    """GET through the proxy's TLS listener; raises OSError when nobody answers."""
    # The proxy never answers a request with Authorization from its cache, so this one reaches the release.
    headers = {"Host": host, "User-Agent": "pasargad-ops", "Authorization": "Probe"}
    return _ask(_PinnedConnection(address, host, certificate_pin(certificate), timeout), url, headers)
