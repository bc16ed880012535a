"""Kill a rollback at every point of its journal."""

from __future__ import annotations

import os

import pytest

from pasargad_ops.__main__ import main
from pasargad_ops.lease import owner_process
from pasargad_ops.rollback import RollbackRequest, roll_back
from pasargad_ops.state import load_state
from tests.unit.pasargad_ops.fake_host import Standing, check_invariants

POINTS = ["rollback:begin", "switch:decided", "switch:renamed", "switch:recorded", "rollback:done"]


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_a_killed_rollback_leaves_one_release_or_the_other(standing: Standing, point: str) -> None:
    host, one, two = standing.host, standing.old, standing.newer()
    first = load_state(host.config).active
    host.deploy(two)
    host.kill_at(point, lambda: main(["--config", str(host.config.file), "rollback"]))
    check_invariants(host, served_before=False)
    back = load_state(host.config).active == first
    assert back == (point not in ("rollback:begin",))
    if not back:
        roll_back(host.config, RollbackRequest(owner_process("ali", os.getpid())))
    host.deploy(one)
    standing.settle(one)
