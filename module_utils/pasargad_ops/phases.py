"""The phases of a deploy on one host, in the order of the protocol; each can be repeated and leaves traffic safe when
it dies.

They run under the host lock with the lease renewed (release.run_phase). What a phase needs from another it reads from
the host's own files, never from the controller's memory.
"""

from __future__ import annotations

import dataclasses
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from . import audit, edge_log, metrics, units
from .artefact import read_release
from .config import ReleaseConfig
from .files import point_link
from .journal import Journal, open_intents
from .lease import Owner, acquire, read_lease, release_lease
from .lock import held
from .manage import manage
from .migrate import expand
from .outcome import OperationError, Outcome, Refused
from .prune import prune
from .readiness import look, start_until_ready, warm
from .stage import missing_parts, remove_leftovers, require_space, stage_release
from .state import Content, State, change_state, load_state, transaction
from .switch import confirm, own_command, reconcile, revert, settle, switch_to
from .together import take_back
from .verify import Watch, verify_in_public
from .work import Work, begin_notes, read_notes, write_notes

RETIRE = "pasargad-retire"


def begin(work: Work) -> Outcome:
    """Take the lease, clear what a crash left, and refuse what cannot succeed."""
    config, request, deploy_id = work.config, work.request, work.journal.deploy_id
    state = load_state(config)
    if work.release.release in state.bad and not request.force:
        raise Refused(
            f"release {work.release.release} was put back because it misbehaved",
            hint="deploy a mended release; or insist: deploy.yml -e app_release_force=true",
        )
    owner = Owner(**request.owner)
    lease, dead = acquire(
        config, deploy_id, owner, living=request.living, fencing=request.fencing, last_fencing=state.fencing
    )
    with work.journal.phase("begin"):
        reconcile(config, claimant=deploy_id)
        abandoned = clear_abandoned(config, deploy_id, dead.deploy_id if dead else "")
        remove_leftovers(config)
        require_space(config, missing_parts(config, work.release))
        work.journal.shorten()
        change_state(config, fencing=lease.fencing)
        begin_notes(config, deploy_id)
    words = f"{owner.name} on {owner.controller}, fencing {lease.fencing}"
    if abandoned:
        words += f"; cleared what {', '.join(abandoned)} left"
    return Outcome(False, words, {"deploy_id": deploy_id, "fencing": lease.fencing, "abandoned": abandoned})


def clear_abandoned(config: ReleaseConfig, deploy_id: str, dead: str) -> list[str]:
    """Write down the end of deploys that died here; return their ids."""
    lines = [line for line in open_intents(config) if line["deploy"] != deploy_id]
    for line in lines:
        Journal(config, line["deploy"]).write(line["phase"], "abandoned")
    phases = {line["deploy"]: line["phase"] for line in lines}
    if dead:
        phases.setdefault(dead, "between phases")
    for other, phase in phases.items():
        audit.record_end(config, other, "abandoned", phase=phase)
    return list(phases)


def stage(work: Work) -> Outcome:
    """Verify the parts and unpack the release."""
    done = stage_release(work.config, work.release)
    words = f"{done['new_static']} static files new" + (", new dependencies" if done["new_deps"] else "")
    return Outcome(bool(done["changed"]), words if done["changed"] else "already here", done)


def schema_is_current(config: ReleaseConfig, work: Work, state: State) -> bool:
    """Tell without asking the database whether it has all migrations of the release.

    The release that serves has the same migrations, and answers ready at this moment, which includes that they are
    applied.
    """
    serving = state.serving
    present = read_release(config.releases / serving.release) if serving else None
    same = present is not None and present.raw["schema_fingerprint"] == work.release.raw["schema_fingerprint"]
    return same and look(config, state.active or "").ready


def expand_schema(work: Work) -> Outcome:
    """Apply pending migrations, once for the fleet: the play calls this on one host only."""
    config = work.config
    if schema_is_current(config, work, load_state(config)) and not units.running("pasargad-migrate-*.service"):
        return Outcome(False, "no migrations pending")
    with held(config.run_dir / "quiesce", wait_seconds=config.migrate_timeout_seconds, doing="a migration"):
        done = expand(config, work.release, work.target.env, work.journal, allow_contract=work.request.allow_contract)
    if not done.applied:
        return Outcome(False, "no migrations pending")
    count = f"{len(done.applied)} migration{'s' * (len(done.applied) > 1)}"
    point = f"restore point {done.restore_point}" if done.restore_point else "into an empty database"
    return Outcome(True, f"{count}, {point}", dataclasses.asdict(done))


def start(work: Work) -> Outcome:
    """Start the idle slot with the new release and make it ready and warm; the slot that serves is not touched."""
    config, state, secrets = work.config, load_state(work.config), work.secrets
    if serves(config, state, work.target) and not work.request.force:
        return Outcome(False, f"{state.active} serves it already", {"slot": state.active})
    if state.pending:
        raise Refused("a switch is not confirmed yet", hint="pasargad-ops status; run deploy.yml again")
    slot = state.idle
    notes = read_notes(config, work.journal.deploy_id)
    seconds, changed = 0.0, False
    # Both start the shop's code, and neither needs the other.
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(lambda: notes.paths or warm_paths(work))
        if state.content(slot) != work.target or work.request.force or not look(config, slot).ready:
            hold_release(config, slot, work.target, work.journal)
            seconds, changed = start_until_ready(config, slot, work.release.release, secrets), True
        paths = asked.result()
    write_notes(config, dataclasses.replace(notes, paths=paths))
    warmth = warm(config, slot, list(paths), secrets)
    words = f"{slot} ready in {seconds:.1f} s, p95 {warmth['p95_ms']} ms over {warmth['requests']} pages"
    return Outcome(changed, words, {"slot": slot, "seconds": round(seconds, 2), **warmth})


def hold_release(config: ReleaseConfig, slot: str, content: Content, journal: Journal) -> None:
    """Stop a slot that does not serve and link it to a release and an environment."""
    with transaction(config) as change:
        change.save(change.state.having(retiring=""))
    units.cancel(RETIRE)
    units.stop(units.web(slot), units.worker(slot))
    journal.write("start", "stopped", slot=slot)
    config.slot_link(slot).parent.mkdir(parents=True, exist_ok=True)
    point_link(config.slot_link(slot), f"../releases/{content.release}")
    point_link(config.slot_env(slot), f"{content.env}.env")
    with transaction(config) as change:
        change.save(change.state.holding(slot, content))
    journal.write("start", "linked", slot=slot)


def warm_paths(work: Work) -> tuple[str, ...]:
    """Ask the release itself which pages are worth warming."""
    output = manage(work.config, work.release.release, work.target.env, ["warm_urls"]).stdout
    try:
        return tuple(str(path) for path in json.loads(output.strip().splitlines()[-1]))
    except (ValueError, IndexError) as error:
        raise OperationError(
            "manage.py warm_urls printed no JSON list of paths", hint="mend that command of the release"
        ) from error


def serves(config: ReleaseConfig, state: State, target: Content) -> bool:
    """Tell whether shoppers get exactly this release and environment now, confirmed and ready."""
    return state.pending is None and state.serving == target and look(config, state.active or "").ready


def switch(work: Work) -> Outcome:
    """Give traffic to the prepared slot; it goes back by itself unless somebody confirms in time."""
    config, state = work.config, load_state(work.config)
    mine = state.pending is not None and state.pending.deploy_id == work.journal.deploy_id
    if mine or (serves(config, state, work.target) and not work.request.force):
        return Outcome(False, f"{state.active} serves it already", {"switch_ms": 0.0, "slot": state.active})
    slot = state.idle
    if state.content(slot) != work.target:
        raise Refused(f"{slot} does not hold release {work.release.release}", hint="run deploy.yml again")
    before = state.active
    notes = read_notes(config, work.journal.deploy_id)
    write_notes(config, dataclasses.replace(notes, switched=edge_log.end_of(config.access_log)))
    state = switch_to(config, slot, work.journal)
    words = f"{before or 'nothing'} -> {slot} in {state.last_switch_ms:.2f} ms"
    return Outcome(True, words, {"switch_ms": state.last_switch_ms, "slot": slot, "from": before})


def verify(work: Work) -> Outcome:
    """Watch the new release in public; a bad one is put back at once."""
    config, state = work.config, load_state(work.config)
    if state.serving != work.target:
        raise OperationError("the switch was put back before it could be verified", hint="run deploy.yml again")
    if state.pending is None:
        return Outcome(False, f"{state.active} was verified before", {})
    notes = read_notes(config, work.journal.deploy_id)
    watch = Watch(
        slot=state.active or "",
        other_slot=state.idle,
        release=work.release.release,
        paths=notes.paths,
        normal=notes.normal,
        since=notes.switched,
        secrets=work.secrets,
    )
    probes, seen = verify_in_public(config, watch)
    bad = seen.errors + seen.lost
    words = f"{probes} probes good; edge: {seen.requests} requests, {bad} of them 5xx, p95 {seen.p95_ms:.0f} ms"
    return Outcome(False, words, {"probes": probes, **dataclasses.asdict(seen)})


def finish(work: Work) -> Outcome:
    """Hand over the background work, keep the old slot hot for a while, write it down, give the lease back.

    Confirms the switch first unless that has been done, as in a fleet, where it is final on every host by now.
    """
    config, deploy_id = work.config, work.journal.deploy_id
    state = load_state(config)
    switched = state.pending is not None or state.confirmed is not None
    if state.pending:
        confirm(config, deploy_id)
        work.journal.write("finish", "confirmed")
    elif state.serving != work.target:
        raise OperationError("this host has put traffic back meanwhile", hint="run deploy.yml again")
    state = settle(config) if switched else state
    worker = hand_over_work(config, state)
    work.journal.write("finish", "workers")
    hot = keep_hot(config, deploy_id, state)
    lease = read_lease(config)
    by = f"{lease.owner.name}@{lease.owner.controller}" if lease else ""
    deployed = {"deploy": deploy_id, "at": time.time(), "by": by, "release": work.target.release}
    with transaction(config) as change:
        state = change.state.ending_rollback()
        state = change.save(state.having(deployed={**deployed, "version": work.release.version}))
    removed = prune(config, state)
    numbers = write_down(work, state, by=by, pruned=removed)
    work.journal.write("finish", "recorded")
    release_lease(config, deploy_id)
    minutes = f"{config.rollback_window_seconds / 60:.0f} min"
    words = f"{worker}; {state.idle} stays hot for {minutes}" if hot else worker
    return Outcome(switched, words, {**numbers, "rollback": way_back_words(state, hot_for=minutes if hot else "")})


def way_back_words(state: State, *, hot_for: str) -> str:
    """Say how to go back from what has just been finished, with the command where there is one."""
    if state.previous is None:
        return "nothing earlier to go back to"
    price = f"instant for {hot_for}" if hot_for else "starts the old slot"
    return f"{price}: ansible-playbook playbooks/rollback.yml"


def hand_over_work(config: ReleaseConfig, state: State) -> str:
    """Start the new worker, then ask the old one to finish what it holds; return the words."""
    units.start(units.worker(state.active or ""))
    if units.stop_patiently(units.worker(state.idle), wait_seconds=config.worker_wait_seconds):
        return f"background work on {state.active}"
    return f"background work on {state.active}, {state.idle} finishes the task it holds"


def keep_hot(config: ReleaseConfig, deploy_id: str, state: State) -> bool:
    """Let the old slot, if it runs, stop at the end of the rollback window."""
    if not units.is_active(units.web(state.idle)):
        return False
    change_state(config, retiring=deploy_id)
    command = own_command(config, "retire", "--slot", state.idle, "--deploy", deploy_id)
    units.schedule(RETIRE, config.rollback_window_seconds, command, environment={"PYTHONPATH": str(config.lib_dir)})
    return True


def write_down(work: Work, state: State, *, by: str, pruned: list[str]) -> dict[str, float | int]:
    """Record the end of a good deploy; return its numbers."""
    config, notes = work.config, read_notes(work.config, work.journal.deploy_id)
    counted = notes.served(config)
    seconds = round(time.time() - notes.began, 1) if notes.began else 0.0
    numbers = {"seconds": seconds, "switch_ms": state.last_switch_ms}
    audit.record_end(
        config,
        work.journal.deploy_id,
        "success",
        release=work.release.release,
        version=work.release.version,
        by=by,
        requests=counted.requests,
        lost=counted.lost,
        pruned=len(pruned),
        **numbers,
    )
    metrics.write(config, state, result="success", seconds=seconds, counted=counted)
    return {
        "requests_served": counted.requests - counted.lost,
        "requests_lost": counted.lost,
        "errors": counted.errors,
        **numbers,
    }


def abort(work: Work) -> Outcome:
    """End a deploy that failed on another host: put traffic back, stop the idle slot, give the lease back."""
    lease = read_lease(work.config)
    if lease is None or lease.deploy_id != work.journal.deploy_id:
        return Outcome(False, "nothing to end")
    for line in open_intents(work.config):
        if line["deploy"] == work.journal.deploy_id:
            work.journal.write(line["phase"], "abandoned")
    give_up(work, lease.phase, OperationError("the deploy failed on another host"))
    return Outcome(True, f"ended; {serving_words(work.config)}")


def give_up(work: Work, phase: str, error: OperationError, *, unhealthy: bool = False) -> None:
    """Leave the host as safe as before the deploy; called while the host lock is held."""
    config, deploy_id = work.config, work.journal.deploy_id
    counted = read_notes(config, deploy_id).served(config)
    about: dict[str, Any] = {
        "phase": phase,
        "release": work.release.release,
        "version": work.release.version,
        "requests": counted.requests,
        "lost": counted.lost,
    }
    # What finish has begun is confirmed on every host of the fleet.
    pending = (load_state(config) if phase == "finish" else take_back(config, deploy_id)).pending
    state = revert(config, deploy_id, error.message, unhealthy=unhealthy, **about)
    if phase == "stage":
        remove_leftovers(config)
    if phase in ("start", "switch", "verify", "agree", "confirm") and state.content(state.idle) == work.target:
        units.stop(units.web(state.idle), units.worker(state.idle))
    audit.record_end(config, deploy_id, "failed", error=error.message[:500], **about)
    result = "failed"
    if pending is not None and pending.deploy_id == deploy_id:
        result = "kept" if state.active == pending.to_slot else "reverted"
    metrics.write(config, state, result=result, seconds=0.0, counted=counted)
    release_lease(config, deploy_id)


def serving_words(config: ReleaseConfig) -> str:
    """Say what shoppers get now."""
    state = load_state(config)
    return f"shoppers are on {state.serving.release} ({state.active})" if state.serving else "no release serves yet"
