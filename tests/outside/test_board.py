"""The webhook sink, and the board that shows what everybody received."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import stripe

from .conftest import FILES, Service, call, read


@pytest.fixture
def hooks(run_service: Callable[..., Service]) -> Service:
    """Return a running webhook sink."""
    return run_service("hooks")


@pytest.fixture
def board(run_service: Callable[..., Service]) -> Service:
    """Return a running board; nobody answers for S3."""
    return run_service("board", s3_url="http://127.0.0.1:9", acme_management_url="", authority="")


def post(url: str, body: bytes, **headers: str) -> tuple[int, bytes]:
    """Post as a notification service's client does."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def text(service: Service, path: str) -> str:
    """Return a page."""
    with urllib.request.urlopen(service.url + path, timeout=10) as answer:
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        return str(answer.read().decode())


def test_every_request_is_kept(hooks: Service, board: Service) -> None:
    assert post(hooks.url + "/slack/T1?x=1", b'{"text": "hi"}', **{"X-Own": "yes"}) == (200, b"ok")
    assert post(hooks.url + "/status/503/pagerduty", b"not json")[0] == 503
    newest, first = read(board, "/api/hooks")
    assert (first["method"], first["path"], first["query"], first["json"]) == (
        "POST",
        "/slack/T1",
        "x=1",
        {"text": "hi"},
    )
    assert first["headers"]["x-own"] == "yes"
    assert (newest["status"], newest["body"], newest["json"]) == (503, "not json", None)
    call(board, "DELETE", "/api/hooks")
    assert read(board, "/api/hooks") == []


def test_a_kill_loses_no_request(hooks: Service, board: Service) -> None:
    for number in range(5):
        post(f"{hooks.url}/{number}", b"x")
    hooks.kill()
    hooks.start()
    assert len(read(board, "/api/hooks")) == 5


def test_what_arrived_is_escaped_on_the_page(hooks: Service, board: Service) -> None:
    post(hooks.url + "/x", b"<script>alert(1)</script>")
    page = text(board, "/")
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_one_silent_service_hides_no_other(hooks: Service, board: Service) -> None:
    post(hooks.url + "/visible", b"")
    page = text(board, "/")
    assert "/visible" in page
    assert "The service does not answer" in page


def test_payments_are_shown_without_their_secret(
    client: stripe.StripeClient, provider: Service, board: Service
) -> None:
    wish: Any = {"amount": 4200, "currency": "usd", "description": "Order P-1", "payment_method_types": ["card"]}
    intent = client.v1.payment_intents.create({**wish, "payment_method": "pm_card_visa", "confirm": True})
    client.v1.refunds.create({"payment_intent": intent.id, "amount": 200})
    (shown,) = read(board, "/api/payments")
    assert (shown["id"], shown["status"]) == (intent.id, "succeeded")
    assert [len(shown["charges"]), shown["refunds"][0]["amount"]] == [1, 200]
    page = text(board, "/")
    assert "USD 42.00" in page
    assert str(intent.client_secret) not in page + json.dumps(shown)
    call(board, "DELETE", "/api/payments")
    assert read(board, "/api/payments") == []
    assert client.v1.payment_intents.list().data == []
    assert len(client.v1.webhook_endpoints.list().data) == 1, "endpoints outlive the data"


def test_unknown_names_are_refused(board: Service) -> None:
    for method, path in (("GET", "/api/planets"), ("DELETE", "/api/buckets"), ("GET", "/mails/7"), ("GET", "/nowhere")):
        with pytest.raises(urllib.error.HTTPError) as caught:
            call(board, method, path)
        assert caught.value.code == 404


def test_the_terminal_shows_the_same(hooks: Service, board: Service, tmp_path: Path) -> None:
    post(hooks.url + "/slack", b"hello")

    def received(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "outside", "--config", str(tmp_path / "board.json"), "received", *arguments]
        return subprocess.run(command, env={"PYTHONPATH": str(FILES)}, capture_output=True, text=True, check=False)

    assert "POST /slack  200  hello" in received("hooks").stdout
    assert json.loads(received("hooks", "--json").stdout)[0]["body"] == "hello"
    assert received("planets").returncode == 2
    board.stop()
    silent = received("hooks")
    assert silent.returncode == 1
    assert "journalctl -u outside-board" in silent.stderr
