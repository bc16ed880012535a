"""A small threaded HTTP/1.1 server with path patterns: enough for the lab, nothing but the standard library."""

from __future__ import annotations

import json
import logging
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """One request; header names are lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    client: str = ""

    def query_values(self) -> dict[str, str]:
        """Return the query's values, the last one where a name is repeated."""
        return dict(parse_qsl(self.query, keep_blank_values=True))

    def form_values(self) -> dict[str, str]:
        """Return the body's form values, the last one where a name is repeated."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))


@dataclass
class Response:
    """One reply; `hang_up` closes the connection without sending it, as a broken network would."""

    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)
    hang_up: bool = False


Handler = Callable[[Request], Response]


def json_response(value: Any, status: int = 200) -> Response:
    """Return `value` as indented JSON."""
    return Response(status, (json.dumps(value, indent=2) + "\n").encode(), "application/json")


def html_response(page: str, status: int = 200) -> Response:
    """Return a page that loads nothing from elsewhere and runs no script."""
    headers = {
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        "frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return Response(status, page.encode(), "text/html; charset=utf-8", headers)


def redirect(url: str) -> Response:
    """Send the browser to `url` with a GET."""
    return Response(303, b"", headers={"Location": url, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})


class Router:
    """Finds the handler of a method and path; patterns look like `/v1/refunds/{id}`."""

    def __init__(self) -> None:
        self._routes: list[tuple[str, re.Pattern[str], Callable[..., Response]]] = []

    def add(self, method: str, pattern: str, handler: Callable[..., Response]) -> None:
        """Register `handler(request, **captured)`."""
        self._routes.append((method, path_pattern(pattern), handler))

    def __call__(self, request: Request) -> Response:
        """Answer with the matching handler, 405 if only the method differs, else 404."""
        other_method = False
        asked = "GET" if request.method == "HEAD" else request.method
        for method, pattern, handler in self._routes:
            found = pattern.fullmatch(request.path)
            if found and method == asked:
                return handler(request, **found.groupdict())
            other_method = other_method or found is not None
        if other_method:
            return json_response({"error": f"{request.method} is not possible here"}, 405)
        return json_response({"error": f"nothing lives at {request.path}"}, 404)


def path_pattern(pattern: str) -> re.Pattern[str]:
    """Compile `/a/{name}` so that `{name}` takes one path segment."""
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern))


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm: ClassVar[bool] = True
    timeout = 75
    server: Server

    def _answer(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > self.server.largest_body:
            self.close_connection = True
            self._send(json_response({"error": f"a body may have {self.server.largest_body} bytes"}, 413))
            return
        parts = urlsplit(self.path)
        request = Request(
            method=self.command,
            path=parts.path,
            query=parts.query,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(int(length)),
            client=self.headers.get("X-Real-IP", self.client_address[0]),
        )
        try:
            response = self.server.handler(request)
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            response = json_response({"error": "the service failed; its journal has the reason"}, 500)
        if response.hang_up:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self._send(response)

    def _send(self, response: Response) -> None:
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _answer

    def version_string(self) -> str:
        return "outside"

    def log_message(self, format: str, *args: Any) -> None:
        log.info("%s %s", self.address_string(), format % args)

    def address_string(self) -> str:
        return self.headers.get("X-Real-IP", self.client_address[0]) if hasattr(self, "headers") else ""


class Server(ThreadingHTTPServer):
    """Serves one handler on one address; port 0 takes a free one."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: Handler, largest_body: int = 1 << 20) -> None:
        self.handler = handler
        self.largest_body = largest_body
        super().__init__(address, _Connection)
