"""A deploy with nothing to do does nothing, and --check tells the truth (make test-idempotence says more about it)."""

from __future__ import annotations

import pytest

from tests.e2e.watching import Observed, Watched
from tests.idempotence.run import check_mode, second_run
from tests.shop import Shop

pytestmark = pytest.mark.lab


def test_second_run_changes_nothing_and_restarts_nothing(shop: Shop) -> None:
    shop.deploy().require()
    figures = second_run(shop)
    assert figures["changed_tasks"] == []
    assert figures["restarted_services"] == []
    assert figures["services"] > 5


def test_check_mode_foretells_what_happens_and_touches_nothing(shop: Shop, watched: Watched) -> None:
    way_back: list[Observed] = []
    figures = check_mode(shop, lambda: way_back.append(watched.play("deploy.yml", callback="pasargad")))
    assert figures["touched_by_check"] == []
    assert figures["only_foretold"] == []
    assert figures["only_done"] == []
    assert figures["foretold"] > 3
    # On the way back much is provisioned anew and released: a good run to be watched, with the operator's own output.
    (observed,) = way_back
    observed.run.require()
    assert observed.problems(watched.sentinel) == []
