"""Fixtures of the world outside that several of the shop's apps are tested with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from testing import carrier as carriers
from testing.provider import SECRET_KEY, WEBHOOK_SECRET, Provider, provider


def introduce(settings: Any, running: Provider) -> None:
    """Make the payment provider known to the shop."""
    settings.STRIPE = replace(
        settings.STRIPE,
        secret_key=SECRET_KEY,
        webhook_secrets=(WEBHOOK_SECRET,),
        api_base=running.url,
        payment_page_url=f"{running.url}/pay",
        max_network_retries=0,
        timeout_seconds=5,
    )


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """One strict payment provider for a module; its webhooks go nowhere, tests deliver them."""
    folder: Path = tmp_path_factory.mktemp("provider")
    with provider(folder) as found:
        yield found


@pytest.fixture
def outside(running: Provider, settings: Any) -> Provider:
    """The provider, empty, and known to the shop."""
    running.control("DELETE", "data")
    introduce(settings, running)
    return running


@pytest.fixture
def carrier(settings: Any) -> Iterator[carriers.Books]:
    """A strict Shippo, known to the shop."""
    with carriers.shippo() as books:
        settings.GOSHIPPO = replace(
            settings.GOSHIPPO,
            api_key=carriers.API_KEY,
            webhook_secret=carriers.WEBHOOK_SECRET,
            api_base=books.url,
        )
        yield books
