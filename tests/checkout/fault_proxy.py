"""Run on the host `outside`, between the shop and its payment provider: breaks connections as a bad network does.

    python3 fault_proxy.py PORT PROVIDER_PORT CERTIFICATE KEY

Ends TLS with the provider's own certificate, passes requests on, and for each /v1 request throws the dice of the plan:
`PUT /__plan` sets {"effect": probability}, `GET /__plan` tells how often each effect struck. Standard library only.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import socket
import ssl
import struct
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# before: the provider hears nothing; after: it does the work, and its answer is lost.
EFFECTS = ("reset_before", "reset_after", "timeout_before", "timeout_after", "error_before", "error_after", "slow")
# Longer than the shop waits for the provider.
TIMEOUT_SECONDS = 40.0
SLOW_SECONDS = 1.5
plan: dict[str, float] = {}
struck: Counter[str] = Counter()
lock = threading.Lock()


def draw() -> str:
    """Return the effect that strikes this request, or ""."""
    with lock:
        dice, effect = random.random(), ""
        for name, share in plan.items():
            dice -= share
            if dice < 0:
                effect = name
                break
        struck[effect or "passed"] += 1
        return effect


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 120
    provider_port = 0

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing: the counts are asked for."""

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/__plan":
            self.replan(body)
            return
        effect = draw() if self.path.startswith("/v1/") else ""
        if effect == "slow":
            time.sleep(SLOW_SECONDS)
        if effect == "error_before":
            self.answer(503, b'{"error": {"message": "away", "type": "api_error"}}', [])
            return
        if not effect.endswith("_before"):
            status, text, headers = self.ask(body)
        if effect.startswith("timeout"):
            time.sleep(TIMEOUT_SECONDS)
        if effect.startswith(("reset", "timeout")):
            self.reset()
        elif effect == "error_after":
            self.answer(502, b"<html>Bad gateway</html>", [("Content-Type", "text/html")])
        else:
            self.answer(status, text, headers)

    do_GET = do_POST = do_DELETE = do_PUT = handle_any

    def replan(self, body: bytes) -> None:
        with lock:
            if self.command == "PUT":
                wanted: dict[str, float] = json.loads(body)
                assert set(wanted) <= set(EFFECTS), EFFECTS
                plan.clear()
                plan.update(wanted)
                struck.clear()
            told = json.dumps({"plan": plan, "struck": struck}).encode()
        self.answer(200, told, [("Content-Type", "application/json")])

    def ask(self, body: bytes) -> tuple[int, bytes, list[tuple[str, str]]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.provider_port, timeout=120)
        try:
            connection.request(self.command, self.path, body=body, headers=dict(self.headers.items()))
            answer = connection.getresponse()
            text = answer.read()
            kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in DROPPED]
            return answer.status, text, kept
        finally:
            connection.close()

    def answer(self, status: int, text: bytes, headers: list[tuple[str, str]]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def reset(self) -> None:
        """Close with an RST, not with a goodbye."""
        raw: Any = self.connection
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        socket.close(raw.detach())


DROPPED = ("content-length", "transfer-encoding", "connection", "date", "server")


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        super().__init__(("0.0.0.0", port), Handler)  # noqa: S104 - a lab host
        self.context = context

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Shake hands in the connection's own thread: a slow client keeps nobody waiting."""
        request.settimeout(120)
        with contextlib.suppress(OSError):
            wrapped = self.context.wrap_socket(request, server_side=True)
            super().finish_request(wrapped, client_address)

    def shutdown_request(self, request: Any) -> None:
        with contextlib.suppress(OSError):
            super().shutdown_request(request)


def main() -> None:
    port, Handler.provider_port = int(sys.argv[1]), int(sys.argv[2])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[3], sys.argv[4])
    Server(port, context).serve_forever()


if __name__ == "__main__":
    main()
