"""A fleet of two ends on one release, whatever dies and whoever puts traffic back while it confirms."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pasargad_ops import boot, units
from pasargad_ops.lease import owner_process, read_lease
from pasargad_ops.outcome import OperationError, Outcome
from pasargad_ops.rollback import RollbackRequest, cost, roll_back
from pasargad_ops.state import load_state
from pasargad_ops.switch import live_slot
from pasargad_ops.work import new_deploy_id
from tests.unit.pasargad_ops.fake_host import Artefact, Host, check_invariants, check_settled

Build = Callable[..., Artefact]
PHASES = ("begin", "stage", "expand", "start", "switch", "verify", "agree", "confirm", "finish")
# The journal from the end of the watch on; finish is final, what comes before it can be taken back.
POINTS = [
    "verify:done",
    "agree:begin",
    "agree:renewed",
    "agree:done",
    "confirm:begin",
    "confirm:confirmed",
    "confirm:done",
    "finish:begin",
    "finish:workers",
    "finish:recorded",
    "finish:done",
]


class Fleet:
    """Two hosts and the play that deploys to them (roles/app_release): phases in step, `abort` when one has failed."""

    old: Artefact

    def __init__(self, hosts: list[Host]) -> None:
        self.hosts = hosts
        self.deploy_id = ""

    def deploy(
        self,
        artefact: Artefact,
        *,
        before: dict[str, Callable[[], object]] | None = None,
        kill: tuple[int, str] = (-1, ""),
        until: str = "finish",
        without: tuple[str, ...] = (),
    ) -> bool:
        """Deploy as the play does, after doing what is wanted before a phase; tell whether it went well."""
        self.deploy_id = new_deploy_id()
        for host in self.hosts:
            host.send(artefact)
        for phase in PHASES[: PHASES.index(until) + 1]:
            if phase in without:
                continue
            (before or {}).get(phase, lambda: None)()
            went_well = [self._phase(number, phase, artefact, kill) for number in range(len(self.hosts))]
            failed = not all(went_well)
            if failed and phase != "finish":
                for host in self.hosts:
                    host.phase("abort", artefact, self.deploy_id)
            if failed:
                return False
        return True

    def _phase(self, number: int, phase: str, artefact: Artefact, kill: tuple[int, str]) -> bool:
        """Run a phase on one host; a host is asked also when the one before it has failed, for they run at once."""
        host = self.hosts[number]
        if phase == "expand" and number > 0:
            return True
        if number == kill[0] and phase == kill[1].split(":")[0]:
            host.kill_at(kill[1], lambda: host.phase(phase, artefact, self.deploy_id, living=()))
            return False
        try:
            # No process of the controller is said to live: the playbook before this one has ended.
            host.phase(phase, artefact, self.deploy_id, living=())
        except OperationError:
            return False
        return True

    def deadman(self, number: int) -> None:
        """Let the dead-man timers of a host fire that were armed so far, as `switch` and `agree` arm them."""
        host = self.hosts[number]
        host.enter()
        pending = load_state(host.config).pending
        boot.revert_unconfirmed(host.config, self.deploy_id, pending.deadline if pending else 0.0)

    def serving(self) -> set[str]:
        """The releases that shoppers get; the live socket, the state and the slot must agree on each host."""
        found = set()
        for host in self.hosts:
            check_invariants(host, served_before=True)
            state = load_state(host.config)
            assert state.serving is not None and state.active == live_slot(host.config)
            assert state.pending is None
            found.add(state.serving.release)
        return found


class Kept:
    """A fleet that serves `old`, handed on from test to test as long as each leaves it settled."""

    def __init__(self, make_root: Callable[[], Path], release: Build) -> None:
        self._make_root, self._release = make_root, release
        self._number, self._clean = 0, False
        self._fleets: list[Fleet] = []

    def take(self) -> Fleet:
        if not self._clean:
            root = self._make_root()
            self._fleets.append(Fleet([Host(self._root(root, name), database=root / "db") for name in ("h1", "h2")]))
            fleet = self._fleets[-1]
            fleet.old = self.newer()
            assert fleet.deploy(fleet.old)
        self._clean = False
        return self._fleets[-1]

    @staticmethod
    def _root(root: Path, name: str) -> Path:
        (root / name).mkdir()
        return root / name

    def newer(self) -> Artefact:
        self._number += 1
        return self._release(f"fleet-{self._number}")

    def settle(self, artefact: Artefact) -> None:
        """Assert that the fleet has come to rest on a release, and leave it to the next test."""
        fleet = self._fleets[-1]
        assert fleet.serving() == {artefact.release}
        for host in fleet.hosts:
            check_settled(host, artefact)
            assert load_state(host.config).confirmed is None
        fleet.old, self._clean = artefact, True

    def end(self) -> None:
        for fleet in self._fleets:
            for host in fleet.hosts:
                host.end()


@pytest.fixture(scope="module")
def kept_fleet(tmp_path_factory: pytest.TempPathFactory, release: Build) -> Iterator[Kept]:
    kept = Kept(lambda: tmp_path_factory.mktemp("fleet"), release)
    yield kept
    kept.end()


@pytest.fixture
def fleet(systemd: None, kept_fleet: Kept) -> Fleet:
    """Two hosts that serve `fleet.old`."""
    return kept_fleet.take()


def test_a_fleet_confirms_in_rounds_and_ends_settled(fleet: Fleet, kept_fleet: Kept) -> None:
    old, new = fleet.old, kept_fleet.newer()
    assert fleet.deploy(new)
    for host in fleet.hosts:
        lines = [f"{line['phase']}:{line['event']}" for line in host.journal() if line["deploy"] == fleet.deploy_id]
        assert lines[lines.index("verify:done") :] == POINTS
        previous = load_state(host.config).previous
        assert previous is not None and previous.release == old.release
        for timer in ("pasargad-deadman.timer", "pasargad-deadman-renewed.timer"):
            assert not units.is_active(timer)
    kept_fleet.settle(new)


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_an_operation_that_is_killed_leaves_the_fleet_on_one_release(
    fleet: Fleet, kept_fleet: Kept, point: str
) -> None:
    old, new, final = fleet.old, kept_fleet.newer(), point.startswith("finish:")
    before = [load_state(host.config) for host in fleet.hosts]
    assert not fleet.deploy(new, kill=(1, point))
    assert fleet.serving() == {new.release if final else old.release}
    for host, state in zip(fleet.hosts, before, strict=True) if not final else ():
        after = load_state(host.config)
        assert (after.previous, after.confirmed, after.bad) == (state.previous, None, ())
        assert host.running("web") == host.running("worker") == [state.active]
        assert host.serving(old), "nothing is left to do for a deploy of what serves"
    assert fleet.deploy(new)
    for host, state in zip(fleet.hosts, before, strict=True):
        assert load_state(host.config).previous == state.serving
    kept_fleet.settle(new)


@pytest.mark.parametrize("phase", ["agree", "confirm"])
def test_a_deadman_that_fires_before_everybody_has_confirmed_takes_all_back(
    fleet: Fleet, kept_fleet: Kept, phase: str
) -> None:
    assert not fleet.deploy(kept_fleet.newer(), before={phase: lambda: fleet.deadman(1)})
    assert {host.audit()[-1]["result"] for host in fleet.hosts} == {"reverted"}
    kept_fleet.settle(fleet.old)


def test_with_the_rounds_left_out_the_same_deadman_leaves_a_mixed_fleet(fleet: Fleet, kept_fleet: Kept) -> None:
    new = kept_fleet.newer()
    assert not fleet.deploy(new, before={"finish": lambda: fleet.deadman(1)}, without=("agree", "confirm"))
    assert fleet.serving() == {fleet.old.release, new.release}
    assert fleet.deploy(new)
    kept_fleet.settle(new)


def test_a_timer_of_before_the_renewal_does_not_put_back(fleet: Fleet, kept_fleet: Kept) -> None:
    new, armed, host = kept_fleet.newer(), list[float](), fleet.hosts[1]

    def remember() -> None:
        pending = load_state(host.config).pending
        assert pending is not None
        armed.append(pending.deadline)

    def fire() -> None:
        host.enter()
        found = boot.revert_unconfirmed(host.config, fleet.deploy_id, armed[0])
        assert not found.changed and found.summary == "the deadline was renewed"

    assert fleet.deploy(new, before={"agree": remember, "confirm": fire})
    kept_fleet.settle(new)


def test_timers_that_fire_after_the_confirmation_find_the_switch_settled(fleet: Fleet, kept_fleet: Kept) -> None:
    new = kept_fleet.newer()

    def fire() -> None:
        fleet.deadman(0)
        fleet.deadman(1)

    assert fleet.deploy(new, before={"finish": fire})
    kept_fleet.settle(new)


@pytest.mark.parametrize("point", ["revert:begin", "revert:done"])
def test_a_kill_while_a_confirmed_switch_is_taken_back_is_made_good(fleet: Fleet, kept_fleet: Kept, point: str) -> None:
    first, second = fleet.hosts
    old, new = fleet.old, kept_fleet.newer()
    assert fleet.deploy(new, until="agree")
    first.phase("confirm", new, fleet.deploy_id)
    assert load_state(first.config).confirmed is not None
    first.kill_at(point, lambda: first.phase("abort", new, fleet.deploy_id))
    second.phase("abort", new, fleet.deploy_id)
    first.enter()
    boot.revert_unconfirmed(first.config, fleet.deploy_id, time.time())
    assert fleet.serving() == {old.release}
    assert fleet.deploy(new)
    kept_fleet.settle(new)


def test_a_boot_between_confirmation_and_abort_starts_the_old_slot_to_go_back(fleet: Fleet, kept_fleet: Kept) -> None:
    first, new = fleet.hosts[0], kept_fleet.newer()

    def reboot() -> None:
        first.phase("confirm", new, fleet.deploy_id)
        first.end()
        first.config.live_socket.unlink()
        boot.bring_back(first.config)
        fleet.deadman(1)

    assert not fleet.deploy(new, before={"confirm": reboot})
    assert first.running("web") == first.running("worker") == [load_state(first.config).active]
    kept_fleet.settle(fleet.old)


def test_an_old_slot_that_does_not_start_again_does_not_get_the_shoppers(fleet: Fleet, kept_fleet: Kept) -> None:
    first, second = fleet.hosts
    old, new = fleet.old, kept_fleet.newer()

    def lose_the_old_slot() -> None:
        first.phase("confirm", new, fleet.deploy_id)
        units.stop(units.web(load_state(first.config).idle))
        shutil.rmtree(first.config.releases / old.release)
        fleet.deadman(1)

    assert not fleet.deploy(new, before={"confirm": lose_the_old_slot})
    assert first.serves(new) and second.serves(old)
    assert first.audit()[-1]["result"] == "failed" and read_lease(first.config) is None
    assert fleet.deploy(new)
    assert fleet.serving() == {new.release}


def test_what_a_dead_deploy_has_confirmed_is_final_for_the_next_one(fleet: Fleet, kept_fleet: Kept) -> None:
    first, old, new = fleet.hosts[0], fleet.old, kept_fleet.newer()
    assert fleet.deploy(new, until="confirm")
    assert load_state(first.config).confirmed is not None
    first.enter()
    back = roll_back(first.config, RollbackRequest(owner_process("ali", os.getpid()), ()))
    assert back.details["release"] == old.release and load_state(first.config).confirmed is None
    assert fleet.deploy(new)
    kept_fleet.settle(new)


def roll_fleet_back(fleet: Fleet, *, fails: int = -1) -> list[Outcome]:
    """Go back as the play does (tasks/rollback.yml): the first host, then those that follow it; one may be out of
    reach.
    """
    outcomes: list[Outcome] = []
    found = [cost(host.config, load_state(host.config)) for host in fleet.hosts]
    assert all(each.possible or each.already or each.leaves != found[0].leaves for each in found)
    for number, host in enumerate(fleet.hosts):
        if number == fails:
            break
        host.enter()
        leader: dict[str, Any] = outcomes[0].details if outcomes else {"deploy_id": "", "fencing": None, "left": ""}
        follow = {"deploy_id": leader["deploy_id"], "fencing": leader["fencing"], "leave": leader["left"]}
        outcomes.append(roll_back(host.config, RollbackRequest(owner_process("ali", os.getpid()), (), **follow)))
    return outcomes


def test_a_fleet_that_has_gone_back_by_half_is_brought_to_its_end(fleet: Fleet, kept_fleet: Kept) -> None:
    old, new = fleet.old, kept_fleet.newer()
    assert fleet.deploy(new)
    roll_fleet_back(fleet, fails=1)
    assert fleet.serving() == {old.release, new.release}
    assert [outcome.changed for outcome in roll_fleet_back(fleet)] == [False, True]
    assert fleet.serving() == {old.release}
    assert [outcome.changed for outcome in roll_fleet_back(fleet)] == [False, False]
    kept_fleet.settle(old)


def test_a_fleet_whose_deploy_died_unconfirmed_goes_back_to_what_served(fleet: Fleet, kept_fleet: Kept) -> None:
    middle, new = kept_fleet.newer(), kept_fleet.newer()
    assert fleet.deploy(middle)
    assert fleet.deploy(new, until="switch")
    fleet.deadman(1)
    assert [outcome.changed for outcome in roll_fleet_back(fleet)] == [True, False]
    assert fleet.serving() == {middle.release}
    kept_fleet.settle(middle)
