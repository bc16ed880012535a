from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from testing.receiver import HOST, Receiver, receiver

from pasargad.webhooks import transport
from pasargad.webhooks.kinds import Kind
from pasargad.webhooks.models import Endpoint
from pasargad.webhooks.services import endpoint_create


@pytest.fixture
def outside_program(tmp_path: Path, monkeypatch) -> Iterator[Receiver]:
    """A program that listens; its name leads to the loopback, which only here passes for the public internet."""
    with receiver(tmp_path) as found:
        real = transport.socket.getaddrinfo

        def lookup(host, *args, **kwargs):
            return real("127.0.0.1" if host == HOST else host, *args, **kwargs)

        monkeypatch.setattr(transport.socket, "getaddrinfo", lookup)
        monkeypatch.setattr(transport, "is_public", lambda text: text == "127.0.0.1")
        context = ssl.create_default_context(cafile=str(found.certificate))
        monkeypatch.setattr(transport, "tls_context", lambda: context)
        yield found


@pytest.fixture
def endpoint(outside_program: Receiver) -> Endpoint:
    """An endpoint that wants everything."""
    return endpoint_create(name="till", url=outside_program.url, events=Kind.values)
