"""The lab's payment provider as a real process on the loopback, which sends its webhooks to a live shop."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILES = Path(__file__).resolve().parents[2] / "roles" / "lab_outside" / "files"
# ruff: noqa: S105, S310  # secrets of nobody, and addresses of this machine only
SECRET_KEY = "sk_test_of_the_tests"
WEBHOOK_SECRET = "whsec_of_the_tests_of_the_shop"


@dataclass(frozen=True)
class Provider:
    url: str

    def control(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Use the stand-in's levers, for example to plan a fault."""
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"{self.url}/_control/{path}", data=data, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def provider(directory: Path, webhook_url: str = "") -> Iterator[Provider]:
    """Run the stand-in until the block ends; it sends its events to `webhook_url`."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    endpoints = []
    if webhook_url:
        endpoints = [{"url": webhook_url, "secret": WEBHOOK_SECRET, "enabled_events": ["*"]}]
    config = {
        "state_dir": str(directory),
        "payments": {
            "host": "127.0.0.1",
            "port": port,
            "secret_key": SECRET_KEY,
            "page_url": url,
            "merchant": "Pasargad Prints",
            "endpoints": endpoints,
            "backoff_seconds": [0.2, 0.4, 0.8, 1, 1, 1],
            "trust": [],
        },
    }
    path = directory / "outside.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    with (directory / "payments.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "outside", "--config", str(path), "payments"],
            env={**os.environ, "PYTHONPATH": str(FILES)},
            stdout=log,
            stderr=log,
        )
    try:
        _wait(port, process, directory / "payments.log")
        yield Provider(url)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 15
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the payment provider did not start:\n{log.read_text()}") from None
            time.sleep(0.05)
