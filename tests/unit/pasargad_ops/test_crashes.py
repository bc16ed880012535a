"""Kill the operation at every point of its journal: shoppers keep what they have, and the next deploy converges."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pasargad_ops.state import load_state
from tests.unit.pasargad_ops.fake_host import Artefact, Host, Standing, check_invariants, check_settled

Build = Callable[..., Artefact]
OLD = ("old", {"migrations": ["shop.0001_initial"]})
NEW = ("new", {"migrations": ["shop.0001_initial", "shop.0002_more"]})

# Every point that a deploy with a migration writes to its journal; the first test holds this list to the truth.
POINTS = [
    "begin:begin",
    "begin:done",
    "stage:begin",
    "stage:done",
    "expand:begin",
    "expand:restore_point",
    "expand:started",
    "expand:done",
    "start:begin",
    "start:stopped",
    "start:linked",
    "start:done",
    "switch:begin",
    "switch:pending",
    "switch:armed",
    "switch:renamed",
    "switch:recorded",
    "switch:done",
    "verify:begin",
    "verify:done",
    "finish:begin",
    "finish:confirmed",
    "finish:workers",
    "finish:recorded",
    "finish:done",
]
# After these the switch is final: the new release serves.
FINAL = {"finish:confirmed", "finish:workers", "finish:recorded", "finish:done"}


def test_the_points_are_all_that_a_deploy_has(host: Host, release: Callable[..., Artefact]) -> None:
    host.deploy(release(OLD[0], **OLD[1]))
    host.deploy(release(NEW[0], **NEW[1]), deploy_id="d2")
    assert [f"{line['phase']}:{line['event']}" for line in host.journal() if line["deploy"] == "d2"] == POINTS


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_a_kill_during_an_upgrade_harms_nobody(standing: Standing, point: str) -> None:
    host, new = standing.host, standing.newer()
    served, migrated = load_state(host.config).serving, host.migrations_run()
    host.crash(new, point)
    check_invariants(host, served_before=True)
    assert host.serves(new) or point not in FINAL
    host.deploy(new)
    assert load_state(host.config).previous == served
    assert load_state(host.config).bad == ()
    assert host.migrations_run() == migrated + 1, "each migration ran once"
    standing.settle(new)


@pytest.mark.slow
@pytest.mark.parametrize("point", ["stage:done", "expand:started", "start:linked", "switch:renamed", "finish:workers"])
def test_a_kill_during_the_first_deploy_harms_nobody(host: Host, release: Build, point: str) -> None:
    old = release(OLD[0], **OLD[1])
    host.crash(old, point)
    check_invariants(host, served_before=False)
    host.deploy(old)
    check_settled(host, old)


@pytest.mark.slow
@pytest.mark.parametrize("point", sorted(FINAL | {"switch:recorded"}))
def test_after_a_kill_a_deploy_of_something_else_converges(standing: Standing, point: str) -> None:
    host, old, new, other = standing.host, standing.old, standing.newer(), standing.other()
    died = host.crash(new, point)
    host.deploy(other)
    wanted = new.release if point in FINAL else old.release
    previous = load_state(host.config).previous
    assert previous is not None and previous.release == wanted
    results = {line["deploy"]: line["result"] for line in host.audit()}
    assert results[died] in ({"success", "abandoned"} if point in FINAL else {"reverted"})
    standing.settle(other)


@pytest.mark.parametrize("leftover", ["releases/{id}.tmp/app", "deps/abc-cp311.tmp/x", ".static.tmp/y"])
def test_leftovers_of_a_crash_are_removed(host: Host, release: Build, leftover: str) -> None:
    old = release(OLD[0], **OLD[1])
    path = host.config.srv_dir / leftover.format(id=old.release)
    path.mkdir(parents=True)
    host.deploy(old)
    assert not path.exists() and not Path(str(path.parent)).exists()
    check_settled(host, old)


@pytest.mark.parametrize("point", ["start:linked", "switch:armed", "switch:recorded"])
def test_a_host_that_was_killed_is_put_back_with_the_others(standing: Standing, point: str) -> None:
    host, old, new = standing.host, standing.old, standing.newer()
    active = load_state(host.config).active
    died = host.crash(new, point)
    host.phase("abort", new, died)
    check_invariants(host, served_before=True)
    assert host.running("web") == [active]
    assert host.serving(old), "nothing is left to do for a deploy of what serves"
    assert host.audit()[-1]["deploy"] == died
    host.deploy(new)
    standing.settle(new)
