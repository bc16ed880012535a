"""A proxy before S3 that lets requests pass, remembers them, and fails where it is told to."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Seen:
    """A request as it came; `same` counts those of its kind before it."""

    kind: str
    headers: dict[str, str]
    same: int
    path: str = ""


@dataclass(frozen=True)
class Fault:
    """What happens to a request: an answer in place of S3's, a broken line, a wait, a flipped byte, a short answer.

    `headers` alone take the place of those in S3's own answer; `forwarded` lets S3 do what was asked before its answer
    is lost or replaced.
    """

    status: int = 0
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    reset: bool = False
    wait: float = 0
    flip: bool = False
    short: int = 0
    forwarded: bool = False


def refuse(status: int, code: str, **headers: str) -> Fault:
    """An answer as S3 gives it."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>as told</Message></Error>".encode()
    return Fault(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


class Proxy:
    """Listens on loopback; `fault` is asked for each request, and `added` are headers that S3 gets besides."""

    def __init__(self, behind: str) -> None:
        self.behind = urlsplit(behind).netloc
        self.seen: list[Seen] = []
        self.fault: Callable[[Seen], Fault | None] = lambda _: None
        self.added: dict[str, str] = {}
        self._lock = threading.Lock()
        proxy = self

        class Handler(_Handler):
            pass

        Handler.proxy = proxy
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()

    def take(self, method: str, path: str, headers: dict[str, str]) -> Fault:
        """Remember a request and say what happens to it."""
        with self._lock:
            kind = kind_of(method, path)
            one = Seen(kind, headers, self.count(kind), path)
            self.seen.append(one)
            return self.fault(one) or Fault()

    def count(self, kind: str) -> int:
        """How many requests of a kind have come."""
        return sum(1 for one in self.seen if one.kind == kind)

    def headers_of(self, kind: str) -> list[dict[str, str]]:
        """The headers of a kind's requests."""
        return [one.headers for one in self.seen if one.kind == kind]


def kind_of(method: str, path: str) -> str:
    """Name what a request wants."""
    query = parse_qs(urlsplit(path).query, keep_blank_values=True)
    if method == "POST":
        return "begin" if "uploads" in query else "complete"
    if method == "PUT":
        return "part" if "partNumber" in query else "retain" if "retention" in query else "put"
    if "uploadId" in query:
        return "abort" if method == "DELETE" else "parts"
    return {"GET": "list" if "list-type" in query else "get"}.get(method, method.lower())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Proxy

    def log_message(self, *_: object) -> None:
        pass

    def _serve(self) -> None:
        fault = self.proxy.take(self.command, self.path, {name.lower(): value for name, value in self.headers.items()})
        length = int(self.headers.get("Content-Length") or 0)
        if fault.reset and not fault.forwarded:
            self.rfile.read(length // 2)
            self._reset()
            return
        body = self.rfile.read(length)
        if fault.flip:
            body = bytes([body[0] ^ 1]) + body[1:]
            sent = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
            if sent != self.headers["Content-MD5"]:
                fault = refuse(400, "BadDigest")
        time.sleep(fault.wait)
        status, headers, answer = fault.status, list(fault.headers.items()), fault.body
        if not status or fault.forwarded:
            told = self._forward(body)
            if not status:
                status, headers, answer = told[0], [*fault.headers.items(), *told[1]], told[2]
        if fault.reset:
            self._reset()
            return
        self._answer(status, headers, answer, fault.short)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        line = http.client.HTTPConnection(self.proxy.behind, timeout=20)
        with contextlib.closing(line):
            line.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("expect", "connection"):
                    line.putheader(name, value)
            for name, value in self.proxy.added.items():
                line.putheader(name, value)
            line.endheaders(body or None)
            answer = line.getresponse()
            headers = [
                (name, value)
                for name, value in answer.getheaders()
                if name.lower() not in ("connection", "transfer-encoding", "server")
            ]
            return answer.status, headers, answer.read()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes, short: int) -> None:
        self.send_response_only(status)
        # The first of a name counts, so that a fault can put its own in place of S3's.
        first: dict[str, str] = {}
        for name, value in [*headers, ("Content-Length", str(len(body)))]:
            first.setdefault(name.lower(), value)
        for name, value in first.items():
            self.send_header(name, value)
        with contextlib.suppress(OSError):
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body[:short] if short else body)
        if short:
            self.close_connection = True

    def _reset(self) -> None:
        # Without lingering, close(2) sends RST in place of FIN.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def finish(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().finish()


def fault_at(kind: str, fault: Fault, *numbers: int) -> Callable[[Seen], Any]:
    """Fail the given requests of a kind, counted from 0; all of them where none is given."""
    return lambda seen: fault if seen.kind == kind and (not numbers or seen.same in numbers) else None
