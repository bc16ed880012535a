"""Point live.sock at a slot by one rename(2), and put it back when nobody confirms.

The order makes a crash at any instant safe: pending is durable before the timer is armed, the timer is armed before
the link moves, and the state says `active` only after it has moved. `reconcile` brings link and state together after a
crash: while a switch is pending the link says what holds, else the state. A rollback waits for nobody: it decides in
the state first, and a timer ends it when it dies before the link has moved.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from typing import Any

from . import audit, metrics, units
from .config import SLOTS, ReleaseConfig
from .files import point_link
from .journal import Journal
from .outcome import OperationError, Refused
from .readiness import look
from .slots import RETIRE_SOON_SECONDS, own_command, retire_in
from .state import Confirmed, GoneBack, Pending, State, Transaction, load_state, transaction
from .work import read_notes

DEADMAN = "pasargad-deadman"
RENEWED = "pasargad-deadman-renewed"
REPAIR = "pasargad-repair"
REPAIR_SECONDS = 5.0
# One bad answer of a slot that serves well must not decide where the shoppers go.
LOOKS = 3


def live_slot(config: ReleaseConfig) -> str | None:
    """Return the slot that live.sock names now."""
    try:
        slot = str(config.live_socket.readlink()).split("/")[-2]
    except (OSError, IndexError):
        return None
    return slot if slot in SLOTS else None


def point_live(config: ReleaseConfig, slot: str) -> float:
    """Move live.sock to a slot; return the milliseconds it took."""
    started = time.perf_counter()
    point_link(config.live_socket, f"{slot}/web.sock")
    return (time.perf_counter() - started) * 1000


def arm(config: ReleaseConfig, deploy_id: str, deadline: float, *, unit: str = DEADMAN) -> None:
    """Let the host itself put traffic back unless it is told in time that all is well."""
    command = own_command(config, "revert", "--deploy", deploy_id, "--deadline", repr(deadline))
    units.schedule(unit, config.deadman_seconds, command, environment={"PYTHONPATH": str(config.lib_dir)})


def switch_to(config: ReleaseConfig, slot: str, journal: Journal) -> State:
    """Give traffic to `slot`; it goes back by itself after `deadman_seconds`. The caller holds the host lock."""
    require_ready(config, slot)
    with transaction(config) as change:
        state = change.state
        if state.pending:
            raise Refused("another switch is not confirmed yet", hint="pasargad-ops status; run deploy.yml again")
        deadline = time.time() + config.deadman_seconds
        pending = Pending(journal.deploy_id, state.active, slot, deadline)
        state = change.save(state.having(pending=pending))
        journal.write("switch", "pending", to=slot)
        arm(config, journal.deploy_id, deadline)
        journal.write("switch", "armed")
        return _move(config, change, slot, journal)


def switch_for_good(config: ReleaseConfig, slot: str, journal: Journal) -> State:
    """Give traffic to a slot that has served before: a rollback waits for nobody's confirmation."""
    require_ready(config, slot)
    # Who dies between the decision and the rename must not leave the shoppers where they were until somebody comes by.
    with contextlib.suppress(OperationError):
        command = own_command(config, "repair")
        units.schedule(REPAIR, REPAIR_SECONDS, command, environment={"PYTHONPATH": str(config.lib_dir)})
    with transaction(config) as change:
        # Written first: a crash between the two leaves the state as the word that holds, and reconcile moves the link.
        leaving = change.state.serving
        gone_back = GoneBack(leaving, time.time()) if leaving else None
        changes = {"previous": None, "gone_back": gone_back, "pending": None, "confirmed": None, "retiring": ""}
        change.save(change.state.having(active=slot, **changes))
        journal.write("switch", "decided", to=slot)
        state = _move(config, change, slot, journal)
    units.cancel(REPAIR)
    return state


def _move(config: ReleaseConfig, change: Transaction, slot: str, journal: Journal) -> State:
    rename_ms = round(point_live(config, slot), 3)
    journal.write("switch", "renamed", to=slot, rename_ms=rename_ms)
    state = change.save(change.state.having(active=slot, last_switch_ms=rename_ms))
    journal.write("switch", "recorded")
    return state


def require_ready(config: ReleaseConfig, slot: str) -> None:
    """Raise unless the slot answers ready at this moment."""
    readiness = look(config, slot)
    if not readiness.ready:
        raise OperationError(f"{slot} is not ready: {readiness.detail}", hint="run deploy.yml again")


def own_pending(state: State, deploy_id: str) -> Pending:
    """Return the deploy's pending switch; raises when it has been put back."""
    if state.pending is None or state.pending.deploy_id != deploy_id:
        raise OperationError(
            "the switch was not confirmed in time and this host has put traffic back",
            hint="run deploy.yml again; raise app_service_deadman_seconds if the hosts are slow",
        )
    return state.pending


def renew_deadline(config: ReleaseConfig, deploy_id: str) -> State:
    """Give the deploy's pending switch as much time again; raises when it has been put back or does not serve."""
    with transaction(config) as change:
        pending = own_pending(change.state, deploy_id)
        if live_slot(config) != pending.to_slot:
            raise OperationError(
                f"live.sock names {live_slot(config)}", hint="pasargad-ops status; run deploy.yml again"
            )
        require_ready(config, pending.to_slot)
        deadline = time.time() + config.deadman_seconds
        # A second timer, armed before its deadline holds: whenever this dies, one of the two puts traffic back.
        arm(config, deploy_id, deadline, unit=RENEWED)
        return change.save(change.state.having(pending=dataclasses.replace(pending, deadline=deadline)))


def confirm(config: ReleaseConfig, deploy_id: str) -> State:
    """End the host's right to put the switch back by itself; raises when it has done so. The deploy can still
    `reopen` it until `settle`.
    """
    with transaction(config) as change:
        state = change.state
        pending = own_pending(state, deploy_id)
        confirmed = Confirmed(deploy_id, pending.from_slot, pending.to_slot, state.previous, state.gone_back)
        return change.save(_after(state, pending).having(confirmed=confirmed))


def _after(state: State, pending: Pending) -> State:
    """Return the state once a switch is not pending any more and stays. The same content in another slot is not a
    deploy: what a rollback goes to, or has left, remains.
    """
    leaving = state.content(pending.from_slot)
    if leaving is None or leaving == state.serving:
        return state.having(pending=None)
    return state.having(pending=None, previous=leaving, gone_back=None)


def settle(config: ReleaseConfig) -> State:
    """Make a confirmed switch final."""
    with transaction(config) as change:
        state = change.save(change.state.having(confirmed=None)) if change.state.confirmed else change.state
    units.cancel(DEADMAN, RENEWED)
    return state


def reopen(config: ReleaseConfig, deploy_id: str) -> State:
    """Turn the deploy's confirmed switch into a pending one that is overdue, because another host could not confirm.

    Its timers are still armed until `settle`, so a crash before `revert` leaves it to them.
    """
    with transaction(config) as change:
        state, confirmed = change.state, change.state.confirmed
        if confirmed is None or confirmed.deploy_id != deploy_id or state.active != confirmed.to_slot:
            return state
        pending = Pending(deploy_id, confirmed.from_slot, confirmed.to_slot, 0.0)
        before = {"previous": confirmed.previous, "gone_back": confirmed.gone_back}
        return change.save(state.having(pending=pending, confirmed=None, **before))


def revert(
    config: ReleaseConfig,
    deploy_id: str,
    reason: str,
    *,
    unhealthy: bool = False,
    by_rollback: bool = False,
    armed_for: float = math.inf,
    **about: Any,
) -> State:
    """Put a deploy's pending switch back; the old slot is still hot, so this takes milliseconds.

    An old slot that has died while the new one lives cannot have the shoppers back, unless that one is `unhealthy`.

    A timer says which deadline it was `armed_for`: a renewed one is another timer's. Only a release that was seen to be
    `unhealthy` is marked bad: one whose controller died may be deployed again. The first release of a host has nothing
    behind it; it keeps the traffic unless it is unhealthy.
    """
    # Looked at before the state is taken, which nobody may hold while a slot thinks about its answer.
    kept = not unhealthy and only_the_new_one_lives(config, load_state(config).pending)
    with transaction(config) as change:
        state, pending = change.state, change.state.pending
        if pending is None or pending.deploy_id != deploy_id or armed_for < pending.deadline:
            return state
        # A full disk must not keep shoppers on a release that is to go: the link lies in memory.
        with contextlib.suppress(OSError):
            Journal(config, deploy_id).write("revert", "begin", reason=reason)
        if kept:
            reason = f"{reason}, but {pending.from_slot} does not serve"
            point_live(config, pending.to_slot)
            state = change.save(_after(state.having(active=pending.to_slot), pending))
        else:
            state = _put_back(config, change, unhealthy=unhealthy, by_rollback=by_rollback)
        audit.record_end(config, deploy_id, "kept" if kept else "reverted", reason=reason[:500], **about)
        Journal(config, deploy_id).write("revert", "done", to=state.active)
    units.cancel(DEADMAN, RENEWED)
    # Traffic is where it belongs; neither a full disk nor a busy systemd may make more of what is left.
    with contextlib.suppress(OSError, OperationError):
        if kept:
            units.start_later(units.worker(pending.to_slot))
            units.stop_later(units.worker(state.idle))
        elif state.active != pending.to_slot:
            retire_in(config, deploy_id, pending.to_slot, RETIRE_SOON_SECONDS)
        counted = read_notes(config, deploy_id).served(config)
        metrics.write(config, state, result="kept" if kept else "reverted", seconds=0.0, counted=counted)
    return state


def only_the_new_one_lives(config: ReleaseConfig, pending: Pending | None) -> bool:
    """Tell whether the slot that a switch would go back to is dead and the other is not. After a boot both are: then
    the rule is to go back.
    """
    if pending is None or pending.from_slot is None:
        return False
    for attempt in range(LOOKS):
        if look(config, pending.from_slot, timeout=2).ready:
            return False
        time.sleep(0.2 if attempt < LOOKS - 1 else 0)
    return look(config, pending.to_slot, timeout=2).ready


def _put_back(config: ReleaseConfig, change: Transaction, *, unhealthy: bool, by_rollback: bool) -> State:
    state = change.state
    pending = state.pending
    if pending is None:
        return state
    left = state.content(pending.to_slot)
    if pending.from_slot is not None:
        point_live(config, pending.from_slot)
        state = state.having(active=pending.from_slot)
        if unhealthy and left:
            state = state.marking_bad(left.release)
        if by_rollback and left:
            state = state.having(gone_back=GoneBack(left, time.time(), ended=True))
    elif unhealthy:
        config.live_socket.unlink(missing_ok=True)
        state = state.having(active=None)
    return change.save(state.having(pending=None))


def reconcile(config: ReleaseConfig, *, booting: bool = False, claimant: str = "", by_rollback: bool = False) -> State:
    """Bring link and state together after a crash; returns the state that holds. The caller holds the host lock.

    An unconfirmed switch is put back when its deadline has passed, the machine has booted since, or another deploy
    (`claimant`) holds the lease: nobody is left to confirm it. When that is a rollback, it has what it wants by this.
    """
    with transaction(config) as change:
        state, live = change.state, live_slot(config)
        pending = state.pending
        if pending:
            # While a switch is pending the link holds: it moves first on the way there and on the way back.
            if live and live != state.active:
                state = change.save(state.having(active=live))
            late = time.time() > pending.deadline + 1
            if not (booting or late or (claimant and claimant != pending.deploy_id)):
                return state
        else:
            if claimant and state.confirmed and state.confirmed.deploy_id != claimant:
                state = change.save(state.having(confirmed=None))
            if state.active and live != state.active:
                point_live(config, state.active)
            return state
    reason = (
        "the machine booted" if booting else "nobody confirmed the switch in time" if late else "its deploy has died"
    )
    state = revert(config, pending.deploy_id, reason, by_rollback=by_rollback)
    if booting and state.active:
        point_live(config, state.active)
    return state
