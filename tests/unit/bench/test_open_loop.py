"""Waits at a fixed rate: a stall is counted for everybody who was due meanwhile."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.bench.open_loop import percentile, waits_at

STALL_SECONDS = 0.5


class Stalling(BaseHTTPRequestHandler):
    """Answers at once, but for a stall of everybody some time after the first request."""

    protocol_version = "HTTP/1.1"
    status = 200
    stalls_at = 0.0
    guard = threading.Lock()

    def do_GET(self) -> None:
        with self.guard:
            now = time.monotonic()
            if Stalling.stalls_at and now > Stalling.stalls_at:
                Stalling.stalls_at = 0.0
                time.sleep(STALL_SECONDS)
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


class Near:
    """The part of Web that the generator uses, for a server of the test."""

    def __init__(self, port: int) -> None:
        self.port = port

    def connection(self, host: str) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)


@pytest.fixture
def web() -> Iterator[Near]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stalling)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Near(server.server_address[1])
    Stalling.status, Stalling.stalls_at = 200, 0.0
    server.shutdown()
    server.server_close()


def test_percentiles_are_values_that_were_seen() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([float(number) for number in range(1, 101)], 0.99) == 99.0
    assert percentile([5.0], 0.99) == 5.0


def test_a_stall_counts_for_all_who_were_due_meanwhile(web: Near) -> None:
    """One client that waited for its answer would have counted one slow request of hundreds: p99 would hide it."""
    Stalling.stalls_at = time.monotonic() + 3.5
    seen = waits_at(web, "/", rate=100, seconds=4, connections=4)
    assert seen.requests == 600 and seen.bad == 0
    assert seen.p99_ms > STALL_SECONDS * 1000 / 2
    assert seen.p50_ms < STALL_SECONDS * 1000 / 2


def test_answers_that_are_no_200_are_counted(web: Near) -> None:
    Stalling.status = 503
    seen = waits_at(web, "/", rate=50, seconds=0.5, connections=2)
    assert seen.bad == seen.requests == 125
