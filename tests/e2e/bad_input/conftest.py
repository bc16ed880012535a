"""Every test begins with a shop at rest and has to leave it so: with the release it had, or one it deployed."""

from __future__ import annotations

import pytest

from tests.e2e.bad_input.refusal import serving
from tests.shop import Shop


@pytest.fixture
def release(shop: Shop) -> str:
    """The release that serves when the test begins."""
    return serving(shop)
