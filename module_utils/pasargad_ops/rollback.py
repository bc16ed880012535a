"""Go back to the release before: by a rename while its slot is hot, else by starting it again; never onto a schema it
cannot serve.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass

from . import audit, metrics
from .artefact import Release, read_release
from .config import ReleaseConfig
from .edge_log import Count
from .journal import Journal
from .lease import Owner, acquire, heartbeat, read_lease, release_lease
from .lock import held
from .masking import mask, secret_values
from .migrate import contracting
from .outcome import OperationError, Outcome, Refused
from .phases import clear_abandoned
from .readiness import look, start_until_ready
from .restore_point import command
from .slots import hand_over_work, hold_release, keep_hot
from .state import Content, State, change_state, load_state, transaction
from .switch import reconcile, switch_for_good
from .work import new_deploy_id


@dataclass(frozen=True)
class RollbackRequest:
    """Who goes back, and for the other hosts of a fleet the first one's deploy id, fencing number and release to
    leave.
    """

    owner: Owner
    living: tuple[str, ...] = ()
    deploy_id: str = ""
    fencing: int | None = None
    leave: str = ""


@dataclass(frozen=True)
class Cost:
    """What a rollback would take: whether it is possible, whether it is one rename, and the words for people.

    `leaves` is the release that it would leave, or has left when one went back `already`.
    """

    possible: bool
    instant: bool
    release: str
    words: str
    way_back: str = ""
    leaves: str = ""
    already: bool = False


def breaking_migrations(older: Release, newer: Release) -> list[str]:
    """Return the newer release's destructive migrations that the older one does not know, so cannot serve."""
    known = {f"{app}.{name}" for app, name, _ in older.migrations}
    names = [f"{app}.{name}" for app, name, _ in newer.migrations]
    return [name for name in contracting(newer, names) if name not in known]


def cost(config: ReleaseConfig, state: State) -> Cost:
    """Work out what a rollback would cost now; read-only and quick."""
    leaves = state.gone_back.left.release if state.gone_back else state.serving.release if state.serving else ""
    return dataclasses.replace(_cost(config, state), leaves=leaves)


def _cost(config: ReleaseConfig, state: State) -> Cost:
    previous, current = state.previous, state.serving
    before = state.content(state.pending.from_slot) if state.pending else None
    if before:
        return Cost(True, True, before.release, f"to {before.release}: the switch is not confirmed yet")
    if state.gone_back and current:
        moment = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(state.gone_back.at))
        words = f"already rolled back to {current.release} (left {state.gone_back.left.release} at {moment})"
        return Cost(False, False, current.release, words, "forward again with deploy.yml", already=True)
    if previous is None or current is None:
        return Cost(False, False, "", "there is no earlier release", "deploy the wanted version with deploy.yml")
    older, newer = read_release(config.releases / previous.release), read_release(config.releases / current.release)
    if older is None or newer is None:
        gone = f"release {previous.release if older is None else current.release} is no longer on this host"
        return Cost(False, False, previous.release, gone, "check out its version and run deploy.yml")
    breaking = breaking_migrations(older, newer)
    if breaking:
        words = f"release {older.release} cannot serve the schema since {', '.join(breaking)}"
        return Cost(False, False, older.release, words, way_back(config, newer))
    hot = state.content(state.idle) == previous and look(config, state.idle, timeout=2).ready
    words = "one rename" if hot else "about ten seconds, for its slot has to be started"
    return Cost(True, hot, older.release, f"to {older.release} ({older.version}): {words}")


def way_back(config: ReleaseConfig, newer: Release) -> str:
    """Say how to leave a release whose schema change cannot be undone by a rename."""
    dumps = sorted(config.backup_dir.glob(f"before-{newer.release}-*.dump"), key=lambda path: path.stat().st_mtime)
    if not dumps:
        return (
            f"mend forward: correct the code and run deploy.yml (no restore point from before {newer.release} is here)"
        )
    minutes = (time.time() - dumps[-1].stat().st_mtime) / 60
    return (
        f"mend forward with deploy.yml; or lose the last {minutes:.0f} minutes of orders: "
        f"on this host {command(dumps[-1])} (shows the plan), then deploy the older version"
    )


def roll_back(config: ReleaseConfig, request: RollbackRequest, *, dry_run: bool = False) -> Outcome:
    """Give traffic back to the release before; raises Refused with the exact way back when that would break the
    shop.
    """
    state = load_state(config)
    if dry_run:
        price = cost(config, state) if state.gone_back else require_possible(config, state)
        details = {"release": price.release, "left": price.leaves, "fencing": state.fencing + 1}
        return Outcome(not price.already, price.words if price.already else f"would go {price.words}", details)
    deploy_id = request.deploy_id or new_deploy_id()
    journal = Journal(config, deploy_id)
    with held(config.lock_file, doing=f"rollback {deploy_id}"):
        state = load_state(config)
        lease, dead = acquire(
            config,
            deploy_id,
            request.owner,
            living=request.living,
            fencing=request.fencing,
            last_fencing=state.fencing,
        )
        try:
            unconfirmed = state.pending
            state = reconcile(config, claimant=deploy_id, by_rollback=True)
            clear_abandoned(config, deploy_id, dead.deploy_id if dead else "")
            change_state(config, fencing=lease.fencing)
            put_back = unconfirmed is not None and state.active == unconfirmed.from_slot
            if not put_back and (nothing := _nothing_to_do(config, state, request, deploy_id, lease.fencing)):
                return nothing
            with heartbeat(config, deploy_id, "rollback"), journal.phase("rollback"):
                if put_back:
                    return _put_back_already(config, state, journal, lease.fencing)
                if state.gone_back:
                    return _end_what_died(config, state, request.owner, journal, lease.fencing)
                return _go_back(config, require_possible(config, state), request.owner, journal, lease.fencing)
        except OperationError as error:
            error.message = mask(error.message, secret_values(config, state.previous.env if state.previous else ""))
            audit.record_end(config, deploy_id, "failed", phase="rollback", error=error.message[:500])
            raise
        finally:
            release_lease(config, deploy_id)


def require_possible(config: ReleaseConfig, state: State) -> Cost:
    price = cost(config, state)
    if not price.possible:
        raise Refused(f"no rollback: {price.words}", hint=price.way_back)
    return price


def _nothing_to_do(
    config: ReleaseConfig, state: State, request: RollbackRequest, deploy_id: str, fencing: int
) -> Outcome | None:
    """Say what makes a rollback needless, if anything does: one that has come to its end, or another release than the
    first host of the fleet has left.
    """
    serving = state.serving
    if state.gone_back and state.gone_back.ended:
        price = cost(config, state)
        details = {"deploy_id": deploy_id, "fencing": fencing, "release": price.release, "left": price.leaves}
        return Outcome(False, f"{price.words}; {price.way_back}", details)
    if request.leave and serving and request.leave not in (serving.release, _left(state)):
        return Outcome(False, f"{serving.release} serves here, not {request.leave}", {})
    return None


def _left(state: State) -> str:
    return state.gone_back.left.release if state.gone_back else ""


def _put_back_already(config: ReleaseConfig, state: State, journal: Journal, fencing: int) -> Outcome:
    """An unconfirmed switch of a dead deploy has been put back: that is what was asked for."""
    release = state.serving.release if state.serving else ""
    audit.record_end(config, journal.deploy_id, "rolled back", release=release)
    details = {"release": release, "deploy_id": journal.deploy_id, "fencing": fencing, "left": _left(state)}
    return Outcome(True, f"the unconfirmed switch was put back; {release} serves on {state.active}", details)


def _go_back(config: ReleaseConfig, price: Cost, owner: Owner, journal: Journal, fencing: int) -> Outcome:
    state, began = load_state(config), time.perf_counter()
    content, leaving, slot = state.previous, state.serving, state.idle
    if content is None or leaving is None:
        raise Refused("there is no earlier release", hint="run deploy.yml")
    if not price.instant:
        hold_release(config, slot, content, journal)
        start_until_ready(config, slot, content.release, secret_values(config, content.env))
    state = switch_for_good(config, slot, journal)
    at_rename = time.perf_counter() - began
    worker = hand_over_work(config, state)
    keep_hot(config, journal.deploy_id, state)
    _write_down(config, content, leaving, owner, journal, seconds=time.perf_counter() - began)
    return Outcome(
        True,
        f"{leaving.release} -> {content.release} on {slot}, {state.last_switch_ms:.2f} ms, {at_rename:.1f} s after "
        f"the call; {worker}",
        {
            "deploy_id": journal.deploy_id,
            "fencing": fencing,
            "release": content.release,
            "left": leaving.release,
            "slot": slot,
            "switch_ms": state.last_switch_ms,
            "seconds": round(at_rename, 3),
        },
    )


def _end_what_died(config: ReleaseConfig, state: State, owner: Owner, journal: Journal, fencing: int) -> Outcome:
    """Do what a rollback that was killed after its decision has left: the background work, the old slot, the record."""
    content, gone_back, began = state.serving, state.gone_back, time.perf_counter()
    if content is None or gone_back is None:
        raise Refused("no rollback is open here", hint="pasargad-ops status")
    worker = hand_over_work(config, state)
    keep_hot(config, journal.deploy_id, state)
    _write_down(config, content, gone_back.left, owner, journal, seconds=time.perf_counter() - began)
    details = {"deploy_id": journal.deploy_id, "fencing": fencing, "release": content.release, "left": _left(state)}
    return Outcome(True, f"ended the rollback to {content.release} that had died; {worker}", details)


def _write_down(
    config: ReleaseConfig, content: Content, leaving: Content, owner: Owner, journal: Journal, *, seconds: float
) -> None:
    release = read_release(config.releases / content.release)
    by = f"{owner.name}@{owner.controller}"
    deployed = {"deploy": journal.deploy_id, "at": time.time(), "by": by, "release": content.release}
    with transaction(config) as change:
        state = change.state.ending_rollback()
        state = change.save(state.having(deployed={**deployed, "version": release.version if release else ""}))
    details = {"release": content.release, "left": leaving.release, "seconds": round(seconds, 2), "by": by}
    audit.record_end(config, journal.deploy_id, "rolled back", **details)
    metrics.write(config, state, result="rolled back", seconds=seconds, counted=Count())


def break_lock(config: ReleaseConfig, deploy_id: str) -> Outcome:
    """Take the lease from a deploy that shows no sign of life; refuses while an operation of it works here."""
    lease = read_lease(config)
    if lease is None:
        return Outcome(False, "nobody holds this host")
    if lease.deploy_id != deploy_id:
        raise Refused(
            f"the host is held by {lease.deploy_id}, not {deploy_id}", hint=f"pasargad-ops break-lock {lease.deploy_id}"
        )
    patience = min(30.0, config.lease_ttl_seconds)
    # An operation at work holds the host lock: not getting it proves that the deploy lives.
    with held(config.lock_file, wait_seconds=0.0, doing=f"break-lock {deploy_id}"):
        silent = time.time() - lease.renewed
        if silent < patience:
            raise Refused(
                f"{lease.owner.name} on {lease.owner.controller} was active {silent:.0f} s ago",
                hint=f"end that ansible-playbook (process {lease.owner.pid} there), or wait {patience - silent:.0f} s",
            )
        reconcile(config, claimant="break-lock")
        clear_abandoned(config, "", deploy_id)
        release_lease(config, deploy_id)
    return Outcome(
        True, f"taken from {lease.owner.name} on {lease.owner.controller}, silent for {silent:.0f} s; run deploy.yml"
    )
