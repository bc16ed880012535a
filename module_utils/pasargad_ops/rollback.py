"""Go back to the release before: by a rename when its slot is still hot, else by starting it again; never onto a
schema it cannot serve."""

from __future__ import annotations

import time
from dataclasses import dataclass

from . import units
from .artefact import read_release
from .config import ReleaseConfig
from .journal import Journal, record_terminal
from .lease import Owner, acquire, read_lease, release_lease
from .lock import held
from .migrate import contracting
from .outcome import OperationError, Outcome, Refused
from .readiness import look, wait_until_ready
from .release import RETIRE, hold_release, new_deploy_id
from .state import State, load_state, save_state
from .switch import own_command, reconcile, revert, switch_to


@dataclass(frozen=True)
class Cost:
    """What a rollback would take: whether it is possible, how, and the words for people."""

    possible: bool
    instant: bool
    release: str
    words: str
    way_back: str = ""


def cost(config: ReleaseConfig, state: State) -> Cost:
    """Work out what a rollback would cost now; read-only and quick."""
    previous, current = state.content(state.idle), state.content(state.active)
    if previous is None or current is None:
        return Cost(False, False, "", "there is no earlier release", "deploy the wanted version with deploy.yml")
    older, newer = read_release(config.releases / previous.release), read_release(config.releases / current.release)
    if older is None or newer is None:
        return Cost(
            False,
            False,
            previous.release,
            f"release {previous.release} is no longer on this host",
            "deploy it with deploy.yml",
        )
    known = {f"{app}.{name}" for app, name, _ in older.migrations}
    breaking = [
        name for name in contracting(newer, [f"{app}.{name}" for app, name, _ in newer.migrations]) if name not in known
    ]
    if breaking:
        dumps = sorted(config.backup_dir.glob(f"before-{newer.release}-*.dump"))
        where = str(dumps[-1]) if dumps else f"the newest backup before release {newer.release}"
        return Cost(
            False,
            False,
            older.release,
            f"release {older.release} cannot serve the schema since {', '.join(breaking)}",
            f"mend forward with deploy.yml, or restore {where} (everything written since is lost)",
        )
    hot = units.is_active(units.web(state.idle)) and look(config, state.idle).ready
    words = "instant: one rename" if hot else "about 10 s: the slot has to be started"
    return Cost(True, hot, older.release, f"{words}, to {older.release} ({older.version})")


def roll_back(
    config: ReleaseConfig, owner: Owner, *, living_pids: tuple[int, ...] = (), dry_run: bool = False
) -> Outcome:
    """Give traffic back to the other slot's release; raises Refused with the exact way back when that would break the
    shop."""
    state = load_state(config)
    price = cost(config, state)
    if not price.possible:
        raise Refused(f"no rollback: {price.words}", hint=price.way_back)
    if dry_run:
        return Outcome(True, f"would go back to {price.release}: {price.words}", {"release": price.release})
    with held(config.lock_file):
        state = reconcile(config)
        deploy_id = new_deploy_id()
        journal = Journal(config, deploy_id)
        before = read_lease(config)
        acquire(config, deploy_id, owner, living_pids=living_pids, last_fencing=state.fencing)
        if before:
            record_terminal(config, before.deploy_id, "abandoned", phase=before.phase)
        if state.pending:
            # The deploy died between the switch and its confirmation: going back is all that is asked for.
            release_lease(config, deploy_id)
            return _undo(config, state, journal)
        try:
            with journal.phase("rollback"):
                return _go_back(config, state, journal, owner)
        except OperationError as error:
            record_terminal(config, deploy_id, "failed", phase="rollback", error=units.mask(error.message)[:500])
            raise
        finally:
            release_lease(config, deploy_id)


def _undo(config: ReleaseConfig, state: State, journal: Journal) -> Outcome:
    """Put an unconfirmed switch back."""
    with journal.phase("rollback"):
        state = revert(config, state, "rolled back before it was confirmed")
    content = state.content(state.active)
    release = content.release if content else ""
    record_terminal(config, journal.deploy_id, "rolled back", release=release)
    return Outcome(True, f"{release} on {state.active}; the switch was not confirmed yet", {"slot": state.active})


def _go_back(config: ReleaseConfig, state: State, journal: Journal, owner: Owner) -> Outcome:
    slot, began = state.idle, time.perf_counter()
    content, leaving = state.content(slot), state.content(state.active)
    if content is None or leaving is None:
        raise Refused("there is no earlier release", hint="run deploy.yml")
    units.cancel(RETIRE)
    if not look(config, slot).ready:
        units.stop(units.web(slot))
        hold_release(config, slot, content)
        units.start(units.web(slot), timeout=config.ready_timeout_seconds + 30)
        wait_until_ready(config, slot, content.release)
    state = switch_to(config, state, slot, journal, confirm=True)
    release = read_release(config.releases / content.release)
    deployed = {
        "deploy": journal.deploy_id,
        "at": time.time(),
        "by": f"{owner.name}@{owner.controller}",
        "release": content.release,
        "version": release.version if release else "",
    }
    save_state(config, state.having(deployed=deployed, retire_at=time.time() + config.rollback_window_seconds))
    units.start(units.worker(slot))
    units.stop(units.worker(state.idle), timeout=600)
    command = own_command(config, "retire", "--slot", state.idle)
    units.schedule(RETIRE, config.rollback_window_seconds, command, environment={"PYTHONPATH": str(config.lib_dir)})
    seconds = time.perf_counter() - began
    record_terminal(
        config,
        journal.deploy_id,
        "rolled back",
        release=content.release,
        left=leaving.release,
        seconds=round(seconds, 2),
        by=deployed["by"],
    )
    return Outcome(
        True,
        f"{leaving.release} -> {content.release} on {slot}, switch {state.last_switch_ms:.2f} ms",
        {"release": content.release, "slot": slot, "switch_ms": state.last_switch_ms, "seconds": round(seconds, 3)},
    )


def break_lock(config: ReleaseConfig, deploy_id: str) -> Outcome:
    """Take the lease from a deploy that shows no sign of life; refuses while an operation of it works."""
    lease = read_lease(config)
    if lease is None:
        return Outcome(False, "nobody holds this host")
    if lease.deploy_id != deploy_id:
        raise Refused(
            f"the host is held by {lease.deploy_id}, not {deploy_id}", hint=f"pasargad-ops break-lock {lease.deploy_id}"
        )
    with held(config.lock_file, wait_seconds=0.0):
        silent = time.time() - lease.renewed
        if silent < min(30.0, config.lease_ttl_seconds):
            raise Refused(
                f"{lease.owner.name} was active {silent:.0f} s ago", hint="wait until it has been silent for 30 s"
            )
        reconcile(config)
        record_terminal(config, deploy_id, "abandoned", phase=lease.phase)
        release_lease(config, deploy_id)
    return Outcome(True, f"taken from {lease.owner.name}@{lease.owner.controller}, silent for {silent:.0f} s")
