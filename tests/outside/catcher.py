"""A webhook endpoint for tests: collects requests and answers what it is told to."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Caught:
    """One request."""

    path: str
    signature: str
    body: bytes
    moment: float

    @property
    def event(self) -> dict[str, Any]:
        """The event it carries."""
        decoded: dict[str, Any] = json.loads(self.body)
        return decoded


class Catcher:
    """Answers with the next of `answers`, else 200."""

    def __init__(self) -> None:
        self.caught: list[Caught] = []
        self.answers: list[int] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = outer.answers.pop(0) if outer.answers else 200
                outer.caught.append(Caught(self.path, self.headers["Stripe-Signature"], body, time.time()))
                self.send_response(status)
                if status in (301, 302, 307):
                    self.send_header("Location", outer.url + "elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook/"

    def start(self) -> None:
        """Listen."""
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def types(self) -> list[str]:
        """Return the types of the events caught, in the order of arrival."""
        return [caught.event["type"] for caught in self.caught]

    def wait(self, enough: Callable[[], bool], seconds: float = 10) -> None:
        """Wait until `enough` holds; fail with what was caught if it never does."""
        deadline = time.monotonic() + seconds
        while not enough():
            assert time.monotonic() < deadline, f"caught only {self.types()}"
            time.sleep(0.02)
