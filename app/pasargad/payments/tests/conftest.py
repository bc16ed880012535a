from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from testing.fixtures import introduce
from testing.provider import Provider, provider
from testing.shopper import Shopper


@pytest.fixture
def shop(live_server, settings, tmp_path: Path) -> Iterator[tuple[Shopper, Provider]]:
    """A live shop and a live payment provider that know each other."""
    settings.SITE_URL = live_server.url
    settings.ALLOWED_HOSTS = ["localhost", "127.0.0.1", "testserver"]
    with provider(tmp_path, f"{live_server.url}/webhooks/stripe/") as running:
        introduce(settings, running)
        yield Shopper(live_server.url), running
