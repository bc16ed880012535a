"""A deploy with nothing to do does nothing, and --check tells the truth (make test-idempotence says more about it)."""

from __future__ import annotations

import pytest

from tests.idempotence.run import check_mode, second_run
from tests.shop import Shop

pytestmark = pytest.mark.lab


def test_second_run_changes_nothing_and_restarts_nothing(shop: Shop) -> None:
    shop.deploy().require()
    figures = second_run(shop)
    assert figures["changed_tasks"] == []
    assert figures["restarted_services"] == []
    assert figures["services"] > 5


def test_check_mode_foretells_what_happens_and_touches_nothing(shop: Shop) -> None:
    figures = check_mode(shop)
    assert figures["touched_by_check"] == []
    assert figures["only_foretold"] == []
    assert figures["only_done"] == []
    assert figures["foretold"] > 3
