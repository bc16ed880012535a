"""The phases of a deploy on one host up to its end, in the order of the protocol; each can be repeated and leaves
traffic safe when it dies.

They run under the host lock with the lease renewed (release.run_phase). What a phase needs from another it reads from
the host's own files, never from the controller's memory.
"""

from __future__ import annotations

import dataclasses

from . import audit, edge_log, units
from .artefact import read_release
from .config import ReleaseConfig
from .journal import Journal, open_intents
from .lease import Owner, acquire
from .lock import held
from .migrate import expand
from .outcome import OperationError, Outcome, Refused
from .readiness import look, paths_to_warm, start_until_ready, warm
from .slots import claim_idle, hold_release
from .stage import missing_parts, remove_leftovers, require_space, stage_release
from .state import Content, State, change_state, load_state
from .switch import reconcile, switch_to
from .verify import Watch, verify_in_public
from .work import Work, begin_notes, closes_the_shop, read_notes, write_notes


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
    # A job that reads the whole database, such as a backup, takes this lock shared: it never sees half a migration.
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
    if state.content(slot) != work.target or work.request.force or not look(config, slot).ready:
        hold_release(config, slot, work.target, work.journal)
        seconds, changed = start_until_ready(config, slot, work.release.release, secrets), True
    else:
        claim_idle(config)
    paths = notes.paths or paths_to_warm(config, slot)
    write_notes(config, dataclasses.replace(notes, paths=paths))
    warmth = warm(config, slot, list(paths), secrets, closed=closes_the_shop(config, work.target.env))
    words = f"{slot} ready in {seconds:.1f} s, p95 {warmth['p95_ms']} ms over {warmth['requests']} pages"
    return Outcome(changed, words, {"slot": slot, "seconds": round(seconds, 2), **warmth})


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
        closed=closes_the_shop(config, work.target.env),
    )
    probes, seen = verify_in_public(config, watch)
    bad = seen.errors + seen.lost
    words = f"{probes} probes good; edge: {seen.requests} requests, {bad} of them 5xx, p95 {seen.p95_ms:.0f} ms"
    return Outcome(False, words, {"probes": probes, **dataclasses.asdict(seen)})
