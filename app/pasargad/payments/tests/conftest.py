from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from testing.provider import SECRET_KEY, WEBHOOK_SECRET, Provider, provider
from testing.shopper import Shopper


@pytest.fixture
def shop(live_server, settings, tmp_path: Path) -> Iterator[tuple[Shopper, Provider]]:
    """A live shop and a live payment provider that know each other."""
    settings.SITE_URL = live_server.url
    settings.ALLOWED_HOSTS = ["localhost", "127.0.0.1", "testserver"]
    with provider(tmp_path, f"{live_server.url}/webhooks/stripe/") as running:
        settings.STRIPE = replace(
            settings.STRIPE,
            secret_key=SECRET_KEY,
            webhook_secrets=(WEBHOOK_SECRET,),
            api_base=running.url,
            payment_page_url=f"{running.url}/pay",
            max_network_retries=0,
            timeout_seconds=5,
        )
        yield Shopper(live_server.url), running
