from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from testing.carrier import API_KEY, WEBHOOK_SECRET, Books, shippo


@pytest.fixture
def carrier(settings) -> Iterator[Books]:
    """A strict Shippo, known to the shop."""
    with shippo() as books:
        settings.GOSHIPPO = replace(
            settings.GOSHIPPO, api_key=API_KEY, webhook_secret=WEBHOOK_SECRET, api_base=books.url
        )
        yield books
