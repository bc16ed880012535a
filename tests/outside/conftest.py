"""The services of the outside world as real processes on loopback, spoken to by the official clients."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import stripe

from .catcher import Catcher

FILES = Path(__file__).parents[2] / "roles/lab_outside/files"
SECRET_KEY = "sk_test_outside_0123456789abcdef"
WEBHOOK_SECRET = "whsec_outside_0123456789abcdef"


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class Service:
    """One service as its own process; `start` returns once it told its readiness, as to systemd."""

    def __init__(self, name: str, folder: Path, config: dict[str, Any]) -> None:
        self.name = name
        self.config = config
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The service's address."""
        return f"http://127.0.0.1:{self.config[self.name]['port']}"

    def start(self) -> None:
        """Start the process and wait until it is ready."""
        path = self._folder / f"{self.name}.json"
        path.write_text(json.dumps(self.config))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
            address = str(self._folder / f"{self.name}.notify")
            Path(address).unlink(missing_ok=True)
            notices.bind(address)
            notices.settimeout(20)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "outside", "--config", str(path), self.name],
                env={**os.environ, "PYTHONPATH": str(FILES), "NOTIFY_SOCKET": address},
            )
            assert notices.recv(64) == b"READY=1"

    def kill(self) -> None:
        """End the process as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End the process as systemd would; it must end by itself."""
        assert self._end(signal.SIGTERM) == 0

    def _end(self, number: int) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(number)
        return process.wait(timeout=20)


@pytest.fixture
def run_service(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Return a function that starts a service with its part of the configuration."""
    running: list[Service] = []

    def run(name: str, **settings: Any) -> Service:
        own = {"host": "127.0.0.1", "port": free_port(), **settings}
        service = Service(name, tmp_path, {"state_dir": str(tmp_path / "state"), name: own})
        running.append(service)
        service.start()
        return service

    yield run
    for service in running:
        service.stop()


@pytest.fixture
def catcher() -> Iterator[Catcher]:
    """Return an endpoint that collects what is sent to it."""
    endpoint = Catcher()
    endpoint.start()
    yield endpoint
    endpoint.stop()


@pytest.fixture
def provider(run_service: Callable[..., Service], catcher: Catcher) -> Service:
    """Return a running payment provider that tells `catcher` of everything, and tries again after 0.2 s, four times."""
    return run_service(
        "payments",
        secret_key=SECRET_KEY,
        page_url="http://pay.test",
        merchant="Pasargad Prints",
        endpoints=[{"url": catcher.url, "secret": WEBHOOK_SECRET}],
        backoff_seconds=[0.2, 0.2, 0.2, 0.2],
        trust=[],
    )


def connect(url: str, key: str = SECRET_KEY) -> stripe.StripeClient:
    """Return Stripe's own client, pointed at the provider and made to show every first answer."""
    return stripe.StripeClient(key, base_addresses={"api": url}, max_network_retries=0)


@pytest.fixture
def client(provider: Service) -> stripe.StripeClient:
    """Return a client of the running provider."""
    return connect(provider.url)


def call(service: Service, method: str, path: str, body: object = None) -> Any:
    """Speak JSON with a service."""
    sent = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(service.url + path, sent, method=method), timeout=10) as answer:
        return json.load(answer)


def read(service: Service, path: str) -> Any:
    """Return what a service answers."""
    return call(service, "GET", path)


def plan(service: Service, **fault: object) -> None:
    """Plan a fault of the payment provider."""
    assert call(service, "POST", "/_control/faults", fault)["id"]
