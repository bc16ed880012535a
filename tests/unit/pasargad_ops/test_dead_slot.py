"""A fix that was deployed over a slot that has died is not put back to the dead slot, whoever gives the deploy up."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from pasargad_ops import boot, units
from pasargad_ops.outcome import OperationError
from pasargad_ops.state import load_state
from pasargad_ops.switch import live_slot
from tests.unit.pasargad_ops.fake_host import Artefact, Host, Standing, check_invariants

GivesUp = Callable[[Host, Artefact, str], object]


def deadman(host: Host, artefact: Artefact, deploy_id: str) -> None:
    boot.revert_unconfirmed(host.config, deploy_id, time.time() + 3600)


def next_deploy(host: Host, artefact: Artefact, deploy_id: str) -> None:
    host.phase("begin", artefact, "d-next", living=())
    host.phase("abort", artefact, "d-next")


def abort(host: Host, artefact: Artefact, deploy_id: str) -> None:
    host.phase("abort", artefact, deploy_id)


@pytest.mark.parametrize("gives_up", [deadman, next_deploy, abort])
def test_a_fix_over_a_dead_slot_is_kept(standing: Standing, gives_up: GivesUp) -> None:
    host, fix = standing.host, standing.newer()
    broken = load_state(host.config)
    units.stop(units.web(broken.active or ""))
    host.deploy(fix, until="switch", deploy_id="d-fix")
    gives_up(host, fix, "d-fix")
    state = load_state(host.config)
    assert host.serves(fix) and state.pending is None and state.previous == broken.serving
    line = next(line for line in host.audit() if line["deploy"] == "d-fix")
    assert line["result"] == "kept" and f"{broken.active} does not serve" in line["reason"]
    assert host.running("worker") == [state.active]
    host.deploy(fix, living=())
    assert host.serves(fix)


def test_a_release_that_is_seen_to_misbehave_is_put_back_also_to_a_dead_slot(standing: Standing) -> None:
    host, bad = standing.host, standing.newer()
    before = load_state(host.config)
    units.stop(units.web(before.active or ""))
    host.deploy(bad, until="switch", deploy_id="d-bad")
    line = {"status": 500, "us": "500", "slot": before.idle}
    host.config.access_log.write_text((json.dumps(line) + "\n") * 30)
    with pytest.raises(OperationError, match="misbehaves"):
        host.phase("verify", bad, "d-bad")
    assert load_state(host.config).active == live_slot(host.config) == before.active
    assert bad.release in load_state(host.config).bad


def test_after_a_boot_both_slots_are_down_and_the_switch_goes_back(standing: Standing) -> None:
    host, old, new = standing.host, standing.old, standing.newer()
    host.deploy(new, until="switch", deploy_id="d-new")
    host.end()
    host.config.live_socket.unlink()
    boot.bring_back(host.config)
    serving = load_state(host.config).serving
    assert serving is not None and serving.release == old.release
    check_invariants(host, served_before=False)
