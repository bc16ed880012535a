"""What two processes may want at the same instant is decided once; with the lock off, the same tests see the race."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from pasargad_ops import boot, state, switch
from pasargad_ops.audit import audit_path
from pasargad_ops.config import ReleaseConfig
from pasargad_ops.outcome import OperationError
from pasargad_ops.state import Content, Pending, State, load_state, save_state
from pasargad_ops.switch import live_slot, point_live
from pasargad_ops.work import new_deploy_id
from tests.unit.pasargad_ops.fake_host import Artefact, Host

ROUNDS = 60
MOST_ROUNDS_TO_SEE_IT = 400
FORK = multiprocessing.get_context("fork")


def at_once(*actions: Callable[[], bool], spread_seconds: float = 0.0) -> list[bool]:
    """Do things in a process each, all let go at the same instant and then a random while apart; return what they
    said.
    """
    gate = FORK.Barrier(len(actions))

    def run(action: Callable[[], bool], delay: float) -> None:
        gate.wait()
        time.sleep(delay)
        raise SystemExit(0 if action() else 7)

    children = [FORK.Process(target=run, args=(each, random.uniform(0, spread_seconds))) for each in actions]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert {child.exitcode for child in children} <= {0, 7}
    return [child.exitcode == 0 for child in children]


def succeeds(action: Callable[[], object]) -> bool:
    try:
        action()
    except OperationError:
        return False
    return True


def pending_switch(config: ReleaseConfig) -> Pending:
    """Write down a switch from blue to green that waits for its confirmation."""
    pending = Pending("d1", "blue", "green", time.time() + 60)
    slots = {"blue": Content("a" * 12, "e"), "green": Content("b" * 12, "e")}
    save_state(config, State(active="green", slots=slots, pending=pending))
    point_live(config, "green")
    audit_path(config).unlink(missing_ok=True)
    return pending


def play(config: ReleaseConfig, contender: Callable[[ReleaseConfig, str], object], *, keeps: bool) -> tuple[str, bool]:
    """Let a phase and the dead-man meet; return who won and whether all that is left behind says the same."""
    pending = pending_switch(config)
    went_on, put_back = at_once(
        lambda: succeeds(lambda: contender(config, "d1")),
        lambda: boot.revert_unconfirmed(config, "d1", pending.deadline).changed,
        spread_seconds=0.004,
    )
    after = load_state(config)
    wanted = "green" if went_on else "blue"
    sound = (
        went_on != put_back
        and after.active == live_slot(config) == wanted
        and (after.pending is not None) == (went_on and not keeps)
        and audit_path(config).exists() == put_back
    )
    return ("phase" if went_on else "deadman"), sound


@pytest.fixture
def bare(host: Host, monkeypatch: pytest.MonkeyPatch) -> ReleaseConfig:
    """A host whose slots need not run."""
    monkeypatch.setattr(switch, "require_ready", lambda config, slot: None)
    monkeypatch.setattr(switch, "only_the_new_one_lives", lambda config, pending: False)
    monkeypatch.setattr(switch, "arm", lambda *arguments, **options: None)
    return host.config


CONTENDERS = [(switch.confirm, True), (switch.renew_deadline, False)]


@pytest.mark.parametrize(("contender", "keeps"), CONTENDERS)
def test_either_the_deadman_or_the_phase_wins_and_never_both(bare: ReleaseConfig, contender: Any, keeps: bool) -> None:
    winners = set()
    for _ in range(ROUNDS):
        winner, sound = play(bare, contender, keeps=keeps)
        assert sound, (winner, load_state(bare), live_slot(bare))
        winners.add(winner)
    assert winners == {"phase", "deadman"}, "both orders were reached"


@pytest.mark.parametrize(("contender", "keeps"), CONTENDERS)
def test_with_the_lock_of_the_state_off_the_race_is_seen(
    bare: ReleaseConfig, monkeypatch: pytest.MonkeyPatch, contender: Any, keeps: bool
) -> None:
    monkeypatch.setattr(state, "held", lambda *arguments, **options: contextlib.nullcontext())
    assert not all(play(bare, contender, keeps=keeps)[1] for _ in range(MOST_ROUNDS_TO_SEE_IT))


@pytest.fixture
def two_hosts(new_host: Callable[[str], Host]) -> list[Host]:
    return [new_host("h1"), new_host("h2")]


def migrate_at_once(hosts: list[Host], artefact: Artefact) -> list[str]:
    """Let both hosts of a fleet bring an empty database forward at once; return the migrations as they were applied."""
    for name in ("", ".runs"):
        hosts[0].database.with_name(hosts[0].database.name + name).unlink(missing_ok=True)
    ids = []
    for host in hosts:
        ids.append(new_deploy_id())
        host.send(artefact)
        for phase in ("begin", "stage"):
            host.phase(phase, artefact, ids[-1], living=())

    def expand(number: int) -> bool:
        return hosts[number].phase("expand", artefact, ids[number]).changed

    assert any(at_once(lambda: expand(0), lambda: expand(1)))
    assert json.loads(hosts[0].database.read_text()) == artefact_migrations(artefact)
    return hosts[0].database.with_name(hosts[0].database.name + ".runs").read_text().split()


def artefact_migrations(artefact: Artefact) -> list[str]:
    return [f"{each['app']}.{each['name']}" for each in artefact.manifest["migrations"]]


@pytest.fixture(scope="module")
def slow(release: Callable[..., Artefact]) -> Artefact:
    """A release whose migration takes long enough to be met by another."""
    return release("slow", migrations=["shop.0001_initial", "shop.0002_more"], migrate_seconds=0.4)


def test_two_hosts_that_migrate_at_once_apply_each_migration_once(two_hosts: list[Host], slow: Artefact) -> None:
    for _ in range(4):
        assert migrate_at_once(two_hosts, slow) == artefact_migrations(slow)


def test_with_the_lock_of_the_database_off_migrations_run_twice(
    two_hosts: list[Host], slow: Artefact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINY_LOCK_OFF", "1")
    assert any(len(migrate_at_once(two_hosts, slow)) > 2 for _ in range(6))
