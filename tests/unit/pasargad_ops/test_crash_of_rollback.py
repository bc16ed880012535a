"""Kill a rollback at every point of its journal, and ask for one more often than is needed: it goes back once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

from pasargad_ops import switch
from pasargad_ops.__main__ import main
from pasargad_ops.lease import owner_process
from pasargad_ops.outcome import NotReady, Outcome
from pasargad_ops.rollback import RollbackRequest, cost, roll_back
from pasargad_ops.state import load_state
from tests.unit.pasargad_ops.fake_host import Artefact, Host, Standing, check_invariants

POINTS = ["rollback:begin", "switch:decided", "switch:renamed", "switch:recorded", "rollback:done"]


def go_back(host: Host, *, dry_run: bool = False) -> Outcome:
    host.enter()
    return roll_back(host.config, RollbackRequest(owner_process("ali", os.getpid())), dry_run=dry_run)


def kill_rollback(host: Host, point: str) -> None:
    host.kill_at(point, lambda: main(["--config", str(host.config.file), "rollback"]))


def needless(host: Host, left: Artefact) -> bool:
    """Tell whether another rollback finds that one went back already, and that this is all it does."""
    before = load_state(host.config)
    dry, again = go_back(host, dry_run=True), go_back(host)
    same = load_state(host.config).having(fencing=before.fencing) == before
    return not dry.changed and not again.changed and again.details["left"] == left.release and same


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_a_killed_rollback_leaves_one_release_or_the_other(standing: Standing, point: str) -> None:
    host, one, two = standing.host, standing.old, standing.newer()
    first = load_state(host.config).active
    host.deploy(two)
    kill_rollback(host, point)
    check_invariants(host, served_before=False)
    back = load_state(host.config).active == first
    assert back == (point not in ("rollback:begin",))
    if not back:
        go_back(host)
    host.deploy(one)
    assert needless(host, left=two)
    standing.settle(one)


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_a_killed_rollback_that_is_asked_for_again_goes_back_once(standing: Standing, point: str) -> None:
    host, one, two = standing.host, standing.old, standing.newer()
    host.deploy(two)
    kill_rollback(host, point)
    again = go_back(host)
    assert again.details["release"] == one.release
    assert again.changed == (point != "rollback:done"), "what had died was brought to its end"
    assert host.serves(one)
    assert needless(host, left=two)
    standing.settle(one)


def test_a_rollback_that_dies_after_its_decision_moves_the_shoppers_by_itself(
    standing: Standing, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, two = standing.host, standing.newer()
    host.deploy(two)
    monkeypatch.setattr(switch, "REPAIR_SECONDS", 0.5)
    kill_rollback(host, "switch:decided")
    decided = load_state(host.config).active
    assert switch.live_slot(host.config) != decided, "the link has not moved yet"
    deadline = time.monotonic() + 20
    while switch.live_slot(host.config) != decided:
        assert time.monotonic() < deadline, "nobody moved the link"
        time.sleep(0.1)
    check_invariants(host, served_before=True)
    assert go_back(host).details["left"] == two.release
    standing.settle(standing.old)


def test_a_failed_deploy_does_not_end_the_memory_of_a_rollback(
    standing: Standing, release: Callable[..., Artefact]
) -> None:
    host, one, two = standing.host, standing.old, standing.newer()
    host.deploy(two)
    go_back(host)
    migrations = [f"{each['app']}.{each['name']}" for each in two.manifest["migrations"]]
    with pytest.raises(NotReady):
        host.deploy(release("crashes-after-rollback", migrations=migrations, crash=True))
    assert needless(host, left=two)
    assert not cost(host.config, load_state(host.config)).possible
    standing.settle(one)


def test_a_rollback_of_an_unconfirmed_switch_goes_back_once(standing: Standing) -> None:
    host, two = standing.host, standing.newer()
    host.deploy(two)
    three = standing.other()
    host.deploy(three, until="switch", living=())
    assert cost(host.config, load_state(host.config)).release == two.release
    assert go_back(host).details["left"] == three.release
    assert needless(host, left=three) and host.serves(two), "nobody asked for what served before the release before"
    standing.settle(two)
