"""Point live.sock at a slot by one rename(2), and put it back when nobody confirms.

The order makes a crash at any instant safe: pending is durable before the timer is armed, the timer is armed before
the link moves, and the state says `active` only after it has moved. `reconcile` brings link and state together after
a crash.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time

from . import units
from .config import CONFIG_FILE, ReleaseConfig
from .files import point_link
from .journal import Journal, record_terminal
from .outcome import OperationError, Refused
from .readiness import look
from .state import Pending, State, load_state, save_state

DEADMAN = "pasargad-deadman"


def live_slot(config: ReleaseConfig) -> str | None:
    """Return the slot that live.sock names now."""
    try:
        return os.readlink(config.live_socket).split("/")[-2]
    except (FileNotFoundError, IndexError):
        return None


def point_live(config: ReleaseConfig, slot: str) -> float:
    """Move live.sock to a slot; return the milliseconds of the rename itself."""
    started = time.perf_counter()
    point_link(config.live_socket, f"{slot}/web.sock")
    return (time.perf_counter() - started) * 1000


def own_command(config: ReleaseConfig, *arguments: str) -> list[str]:
    return ["/usr/bin/python3", "-m", "pasargad_ops", *arguments]


def arm(config: ReleaseConfig, deploy_id: str) -> None:
    """Let the host itself put traffic back unless it is told in time that all is well."""
    command = own_command(config, "revert", "--deploy", deploy_id, "--config", str(CONFIG_FILE))
    units.schedule(DEADMAN, config.deadman_seconds, command, environment={"PYTHONPATH": str(config.lib_dir)})


def postpone(config: ReleaseConfig, state: State) -> State:
    """Give an unconfirmed switch its whole time again."""
    if state.pending is None:
        return state
    pending = dataclasses.replace(state.pending, deadline=time.time() + config.deadman_seconds)
    state = state.having(pending=pending)
    save_state(config, state)
    arm(config, pending.deploy_id)
    return state


def switch_to(config: ReleaseConfig, state: State, slot: str, journal: Journal, *, confirm: bool = False) -> State:
    """Give traffic to `slot`; unless `confirm`, it goes back by itself after `deadman_seconds`. The caller holds the
    host lock."""
    if state.content(slot) is None:
        raise Refused(f"{slot} holds no release", hint="run deploy.yml")
    readiness = look(config, slot)
    if not readiness.ready:
        raise Refused(f"{slot} is not ready: {readiness.detail}", hint="run deploy.yml again")
    began = time.perf_counter()
    if not confirm:
        pending = Pending(journal.deploy_id, state.active, slot, time.time() + config.deadman_seconds)
        state = state.having(pending=pending)
        save_state(config, state)
        journal.write("switch", "pending")
        arm(config, journal.deploy_id)
    journal.write("switch", "armed")
    rename_ms = point_live(config, slot)
    journal.write("switch", "renamed", to=slot, rename_ms=round(rename_ms, 3))
    # What a shopper could notice is the rename; the rest is bookkeeping around it and is told apart in the result.
    state = state.having(active=slot, last_switch_ms=round(rename_ms, 3))
    save_state(config, state)
    journal.write("switch", "recorded", whole_ms=round((time.perf_counter() - began) * 1000, 1))
    return state


def confirm(config: ReleaseConfig, state: State, deploy_id: str) -> State:
    """Make the switch final; raises when it has been reverted meanwhile."""
    if state.pending is None or state.pending.deploy_id != deploy_id:
        raise OperationError(
            "the switch was not confirmed in time and this host has put traffic back",
            hint="pasargad-ops status; then run deploy.yml again",
        )
    state = state.having(pending=None)
    save_state(config, state)
    units.cancel(DEADMAN)
    return state


def revert(config: ReleaseConfig, state: State, reason: str, *, misbehaved: bool = False) -> State:
    """Put traffic back to where it came from; the old slot is still hot, so this takes milliseconds.

    A release that `misbehaved` is marked bad and is not deployed again; one whose deploy merely died may be.
    """
    pending = state.pending
    if pending is None:
        return state
    journal = Journal(config, pending.deploy_id)
    # A full disk must not keep shoppers on a release that is to go: the link lies in memory.
    with contextlib.suppress(OSError):
        journal.write("revert", "begin", reason=reason)
    bad = state.content(pending.to_slot)
    if pending.from_slot is not None:
        point_live(config, pending.from_slot)
        state = state.having(active=pending.from_slot)
    marked = tuple(dict.fromkeys([*state.bad, bad.release])) if bad and misbehaved else state.bad
    state = state.having(pending=None, bad=marked[-20:])
    save_state(config, state)
    units.cancel(DEADMAN)
    record_terminal(config, pending.deploy_id, "reverted", reason=reason, release=bad.release if bad else "")
    journal.write("revert", "done", to=pending.from_slot)
    return state


def reconcile(config: ReleaseConfig, *, booting: bool = False) -> State:
    """Bring link and state together after a crash; returns the state that holds. The caller holds the host lock.

    An unconfirmed switch is put back when its deadline has passed or the machine has booted since. Otherwise the
    state's `active` wins, because it is written after the rename.
    """
    state = load_state(config)
    if state.pending and (booting or time.time() > state.pending.deadline + 1):
        return revert(config, state, "the machine booted" if booting else "nobody confirmed the switch in time")
    live = live_slot(config)
    if state.pending and live == state.pending.to_slot and state.active != live:
        # Killed between the rename and its record.
        state = state.having(active=live)
        save_state(config, state)
    elif state.active and live != state.active and config.run_dir.exists():
        point_live(config, state.active)
    return state
