"""Every test begins with a shop at rest and has to leave it so: with the release it had, or one it deployed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.bad_input.refusal import serving
from tests.e2e.conftest import KEEP, LAB
from tests.shop import Shop


@pytest.fixture(scope="session")
def shop() -> Iterator[Shop]:
    """The shop, deployed by the operator's own commands; nobody watches this one."""
    with Shop(LAB).for_a_while(keep=KEEP) as deployed:
        yield deployed


@pytest.fixture
def release(shop: Shop) -> str:
    """The release that serves when the test begins."""
    return serving(shop)
