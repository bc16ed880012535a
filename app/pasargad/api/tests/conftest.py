from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from testing.provider import SECRET_KEY, WEBHOOK_SECRET, Provider, provider


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """One strict payment provider for a module."""
    folder: Path = tmp_path_factory.mktemp("provider")
    with provider(folder) as found:
        yield found


@pytest.fixture
def outside(running: Provider, settings) -> Provider:
    """The provider, empty, and known to the shop."""
    running.control("DELETE", "data")
    settings.STRIPE = replace(
        settings.STRIPE,
        secret_key=SECRET_KEY,
        webhook_secrets=(WEBHOOK_SECRET,),
        api_base=running.url,
        payment_page_url=f"{running.url}/pay",
        max_network_retries=0,
        timeout_seconds=5,
    )
    return running
