"""The phases of a deploy on one host, in the order of the protocol; each can be repeated and each leaves traffic safe
when it dies.

A phase holds the host lock while it works, renews the lease, brings state and link together, and journals intent and
end. What a phase needs from another it reads from the host's own files, never from the controller's memory.
"""

from __future__ import annotations

import dataclasses
import errno
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from . import edge_log, shell, units
from .artefact import Release, parse_release
from .config import ReleaseConfig
from .files import point_link, read_json, write_json
from .journal import Journal, open_intents, record_terminal
from .lease import Owner, acquire, read_lease, refuse_while_held, release_lease, renew
from .lock import held
from .manage import manage
from .metrics import write_metrics
from .migrate import expand
from .outcome import OperationError, Outcome, Refused
from .readiness import crash, look, wait_until_ready, warm
from .stage import missing_parts, prune, remove_leftovers, require_space, stage_release
from .state import Content, State, load_state, save_state
from .switch import confirm, own_command, postpone, reconcile, revert, switch_to
from .verify import verify_in_public

RETIRE = "pasargad-retire"


@dataclasses.dataclass(frozen=True)
class ReleaseRequest:
    """What one phase is asked to do.

    `release` is the content of RELEASE.json; `env` the digest of the environment (empty: the newest on the host);
    `owner` who deploys; `living_pids` the playbooks that run on the controller now; `fencing` the first host's number
    for the others.
    """

    phase: str
    release: dict[str, Any]
    deploy_id: str = ""
    env: str = ""
    owner: dict[str, Any] = dataclasses.field(default_factory=dict)
    living_pids: tuple[int, ...] = ()
    fencing: int | None = None
    allow_contract: bool = False
    force: bool = False


@dataclasses.dataclass(frozen=True)
class Work:
    """What every phase needs: the host's config, the deploy, its target and its journal."""

    config: ReleaseConfig
    request: ReleaseRequest
    release: Release
    target: Content
    journal: Journal


def newest_env(config: ReleaseConfig) -> str:
    """Return the digest of the newest environment on this host."""
    try:
        return (config.env_dir / "current").readlink().name.removesuffix(".env")
    except FileNotFoundError as error:
        raise Refused("this host has no environment", hint="run deploy.yml -e pasargad_converge=full") from error


def run_phase(config: ReleaseConfig, request: ReleaseRequest, *, dry_run: bool = False) -> Outcome:
    """Run one phase; on failure the host cleans up after itself before the error is raised."""
    phases: dict[str, Callable[[Work], Outcome]] = {
        "begin": begin,
        "stage": stage,
        "expand": expand_schema,
        "start": start,
        "switch": switch,
        "verify": verify,
        "finish": finish,
        "abort": abort,
    }
    if request.phase not in phases:
        raise Refused(f"there is no phase {request.phase!r}", hint=f"one of: {', '.join(phases)}")
    release = parse_release(request.release)
    target = Content(release.release, request.env or newest_env(config))
    if dry_run:
        return predict(config, request, target)
    deploy_id = request.deploy_id or new_deploy_id()
    work = Work(config, request, release, target, Journal(config, deploy_id))
    patience = 10.0
    if request.phase == "begin":
        # The last phase of a deploy whose playbook died goes on to its end on the host; it is worth waiting for.
        held_by = refuse_while_held(config, deploy_id, Owner(**request.owner), request.living_pids)
        patience = config.ready_timeout_seconds + 60 if held_by else patience
    with held(config.lock_file, wait_seconds=patience):
        if request.phase not in ("begin", "abort"):
            renew(config, deploy_id, request.phase)
        reconcile(config)
        try:
            with work.journal.phase(request.phase), _heartbeat(config, deploy_id, request.phase):
                return phases[request.phase](work)
        except OperationError as error:
            raise fail(work, error) from error
        except OSError as error:
            raise fail(work, unwritable(error)) from error


def unwritable(error: OSError) -> OperationError:
    """Turn what the operating system refused into words and the way to mend it."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    hint = shell.NO_SPACE if full else "mend that on the host, then run deploy.yml again"
    return OperationError(f"{error.strerror}: {error.filename or 'while writing'}", hint=hint)


def fail(work: Work, error: OperationError) -> OperationError:
    """Let the host clean up after a failed phase, even on a full disk; return the error, which says what serves."""
    try:
        if work.request.phase != "begin":
            give_up(work, work.request.phase, error)
    except OSError as second:
        error.message += f" (nor could it be written down: {second.strerror})"
    finally:
        release_lease(work.config, work.journal.deploy_id)
    error.details.setdefault("traffic", serving_words(work.config))
    return error


def predict(config: ReleaseConfig, request: ReleaseRequest, target: Content) -> Outcome:
    """Say what the phase would do; changes nothing."""
    state = load_state(config)
    changed = request.phase in ("stage", "start", "switch", "finish") and not is_serving(config, state, target)
    return Outcome(
        changed,
        f"would {request.phase} {target.release}" if changed else "nothing to do",
        {"deploy_id": request.deploy_id},
    )


def new_deploy_id() -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()) + "-" + secrets.token_hex(2)


def is_serving(config: ReleaseConfig, state: State, target: Content) -> bool:
    """Tell whether shoppers get exactly this release and environment now, confirmed and ready."""
    if state.pending or state.content(state.active) != target:
        return False
    return look(config, state.active or "").ready and units.is_active(units.worker(state.active or ""))


def serving_words(config: ReleaseConfig) -> str:
    """Say what shoppers get now."""
    state = load_state(config)
    content = state.content(state.active)
    return f"shoppers are on {content.release} ({state.active})" if content else "no release serves yet"


def inspect(config: ReleaseConfig, request: ReleaseRequest) -> Outcome:
    """Tell what a deploy of this release would find: nothing to do, or the parts that have to be sent. Read-only."""
    release = parse_release(request.release)
    target = Content(release.release, request.env or newest_env(config))
    state = load_state(config)
    serving = is_serving(config, state, target)
    parts = [] if serving else missing_parts(config, release)
    return Outcome(
        False,
        f"{release.release} serves already" if serving else f"{len(parts)} parts to send",
        {
            "serving": serving,
            "missing": [part.name for part in parts],
            "files": {part.name: {"file": part.file, "incoming": f"{part.sha256[:16]}-{part.file}"} for part in parts},
            "bad": release.release in state.bad,
        },
    )


def begin(work: Work) -> Outcome:
    """Take the lease, clear what a crash left, and refuse what cannot succeed."""
    config, request, state = work.config, work.request, load_state(work.config)
    if work.release.release in state.bad and not request.force:
        raise Refused(
            f"release {work.release.release} was put back because it misbehaved",
            hint="deploy a mended release, or insist: -e app_release_force=true",
        )
    owner = Owner(**request.owner)
    before = read_lease(config)
    lease = acquire(
        config,
        work.journal.deploy_id,
        owner,
        living_pids=request.living_pids,
        fencing=request.fencing,
        last_fencing=state.fencing,
    )
    if before and before.deploy_id != lease.deploy_id:
        record_terminal(config, before.deploy_id, "abandoned", phase=before.phase)
    for line in open_intents(config):
        if line["deploy"] != work.journal.deploy_id:
            Journal(config, line["deploy"]).write(line["phase"], "abandoned")
            record_terminal(config, line["deploy"], "abandoned", phase=line["phase"])
    removed = remove_leftovers(config)
    require_space(config, missing_parts(config, work.release))
    if state.pending and state.pending.deploy_id != work.journal.deploy_id:
        state = revert(config, state, "its deploy died before it confirmed the switch")
    save_state(config, state.having(fencing=lease.fencing))
    position = edge_log.end_of(config.access_log)
    write_json(
        config.state_dir / "deploy.json",
        {
            "deploy": work.journal.deploy_id,
            "began": time.time(),
            "position": dataclasses.asdict(position),
            "baseline": dataclasses.asdict(_baseline(config)),
        },
    )
    return Outcome(
        False,
        f"{owner.name}@{owner.controller}, fencing {lease.fencing}"
        + (f", removed {', '.join(removed)}" if removed else ""),
        {"deploy_id": work.journal.deploy_id, "fencing": lease.fencing},
    )


def _baseline(config: ReleaseConfig) -> edge_log.Count:
    """Count the last megabyte of the access log, as what is normal."""
    end = edge_log.end_of(config.access_log)
    start = edge_log.Position(end.inode, max(0, end.offset - 2**20))
    return edge_log.count(edge_log.lines_since(config.access_log, start))


def stage(work: Work) -> Outcome:
    done = stage_release(work.config, work.release)
    words = f"{done['new_static']} static files new" + (", new dependencies" if done["new_deps"] else "")
    return Outcome(bool(done["changed"]), words if done["changed"] else "already here", done)


def expand_schema(work: Work) -> Outcome:
    """Apply pending migrations, once for the fleet: the play calls this on one host only."""
    with held(work.config.run_dir / "quiesce", wait_seconds=600):
        done = expand(
            work.config,
            work.release,
            work.target.env,
            work.journal.deploy_id,
            allow_contract=work.request.allow_contract,
        )
    if not done.applied:
        return Outcome(False, "no migrations pending")
    point = f", restore point {done.restore_point}" if done.restore_point else ", first migration of an empty database"
    return Outcome(True, f"{len(done.applied)} migrations{point}", dataclasses.asdict(done))


def start(work: Work) -> Outcome:
    """Start the idle slot with the new release and make it ready and warm; the slot that serves is not touched."""
    config, state = work.config, load_state(work.config)
    if is_serving(config, state, work.target) and not work.request.force:
        return Outcome(False, f"{state.active} serves it already", {"slot": state.active})
    slot = state.idle
    if state.content(slot) == work.target and look(config, slot).ready and not work.request.force:
        seconds, changed = 0.0, False
    else:
        units.cancel(RETIRE)
        units.stop(units.web(slot))
        units.stop(units.worker(slot))
        hold_release(config, slot, work.target)
        save_state(config, state.with_slot(slot, work.target))
        work.journal.write("start", "linked", slot=slot)
        asked = time.time()
        try:
            units.start(units.web(slot), timeout=config.ready_timeout_seconds + 30)
        except shell.CommandFailed as error:
            raise crash(slot, work.release.release, since=asked) from error
        seconds, changed = wait_until_ready(config, slot, work.release.release), True
    paths = warm_paths(work)
    warmth = warm(config, slot, paths)
    words = f"{slot} ready in {seconds:.1f} s, p95 {warmth['p95_ms']} ms over {warmth['requests']} pages"
    return Outcome(changed, words, {"slot": slot, "seconds": round(seconds, 2), **warmth})


def hold_release(config: ReleaseConfig, slot: str, content: Content) -> None:
    """Link a stopped slot to its release and its environment."""
    config.slot_link(slot).parent.mkdir(parents=True, exist_ok=True)
    point_link(config.slot_link(slot), f"../releases/{content.release}")
    point_link(config.slot_env(slot), f"{content.env}.env")


def warm_paths(work: Work) -> list[str]:
    """Ask the release itself which pages are worth warming."""
    import json

    output = manage(work.config, work.release.release, work.target.env, ["warm_urls"]).stdout
    return [str(path) for path in json.loads(output.strip().splitlines()[-1])]


def switch(work: Work) -> Outcome:
    """Give traffic to the prepared slot; it goes back by itself unless `finish` confirms in time."""
    config, state = work.config, load_state(work.config)
    if state.content(state.active) == work.target and look(config, state.active or "").ready:
        return Outcome(False, f"{state.active} serves already", {"switch_ms": 0.0, "slot": state.active})
    slot = state.idle
    if state.content(slot) != work.target:
        raise Refused(f"{slot} does not hold release {work.release.release}", hint="run deploy.yml again")
    before = state.active
    state = switch_to(config, state, slot, work.journal)
    return Outcome(
        True,
        f"{before or 'nothing'} -> {slot} {state.last_switch_ms:.2f} ms, "
        f"reverts in {config.deadman_seconds} s unless confirmed",
        {"switch_ms": state.last_switch_ms, "slot": slot},
    )


def verify(work: Work) -> Outcome:
    """Watch the new release in public; a bad one is put back at once."""
    config, state = work.config, load_state(work.config)
    if state.pending is None and state.content(state.active) != work.target:
        raise OperationError(
            "the switch was put back before it could be verified", hint="pasargad-ops status; run deploy.yml again"
        )
    if state.pending:
        # The time that other hosts took to switch must not count against this one.
        state = postpone(config, state)
    deploy = read_json(config.state_dir / "deploy.json") or {}
    seen = verify_in_public(
        config, state.active or "", work.release.release, warm_paths(work), deploy.get("baseline", {})
    )
    return Outcome(False, f"{seen['probes']} probes good, edge 5xx {seen['errors']}, p95 {seen['p95_ms']} ms", seen)


def finish(work: Work) -> Outcome:
    """Confirm the switch, hand over the background work, keep the old slot hot for a while, write it down, give the
    lease back."""
    config, state = work.config, load_state(work.config)
    deploy_id = work.journal.deploy_id
    if state.pending:
        state = confirm(config, state, deploy_id)
        work.journal.write("finish", "confirmed")
    old = "green" if state.active == "blue" else "blue"
    units.start(units.worker(state.active or ""))
    if units.is_active(units.worker(old)):
        units.stop(units.worker(old), timeout=600)
    if units.is_active(units.web(old)):
        command = own_command(config, "retire", "--slot", old)
        units.schedule(RETIRE, config.rollback_window_seconds, command, environment={"PYTHONPATH": str(config.lib_dir)})
    lease = read_lease(config)
    deployed = {
        "deploy": deploy_id,
        "at": time.time(),
        "by": f"{lease.owner.name}@{lease.owner.controller}" if lease else "",
        "release": work.release.release,
        "version": work.release.version,
    }
    state = state.having(deployed=deployed, retire_at=time.time() + config.rollback_window_seconds)
    save_state(config, state)
    removed = prune(config, state)
    deploy = read_json(config.state_dir / "deploy.json") or {}
    counted = count_deploy(config, deploy)
    seconds = time.time() - deploy.get("began", time.time())
    record_terminal(
        config,
        deploy_id,
        "success",
        release=work.release.release,
        version=work.release.version,
        by=deployed["by"],
        seconds=round(seconds, 1),
        switch_ms=state.last_switch_ms,
        requests=counted.requests,
        lost=counted.lost,
        pruned=removed,
    )
    write_metrics(config, state, deploy_seconds=seconds, counted=counted)
    release_lease(config, deploy_id)
    minutes = config.rollback_window_seconds / 60
    return Outcome(
        True,
        f"worker on {state.active}, {old} stays hot for {minutes:.0f} min",
        {
            "requests_served": counted.requests - counted.lost,
            "requests_lost": counted.lost,
            "errors": counted.errors,
            "switch_ms": state.last_switch_ms,
            "seconds": round(seconds, 1),
            "rollback": f"instant for {minutes:.0f} min: ansible-playbook playbooks/rollback.yml"
            if units.is_active(units.web(old))
            else "no earlier release",
        },
    )


def count_deploy(config: ReleaseConfig, deploy: dict[str, Any]) -> edge_log.Count:
    """Count the requests that the edge saw since the deploy began."""
    if "position" not in deploy:
        return edge_log.Count(0, 0, 0, 0.0)
    return edge_log.count(edge_log.lines_since(config.access_log, edge_log.Position(**deploy["position"])))


def abort(work: Work) -> Outcome:
    """End a deploy that failed on another host: put traffic back, stop the idle slot, give the lease back."""
    lease = read_lease(work.config)
    if lease is None or lease.deploy_id != work.journal.deploy_id:
        return Outcome(False, "nothing to abort")
    give_up(work, "abort", OperationError("the deploy failed on another host"))
    return Outcome(True, serving_words(work.config))


def give_up(work: Work, phase: str, error: OperationError) -> None:
    """Leave the host as safe as before the deploy; called while the host lock is held."""
    config, state = work.config, load_state(work.config)
    if state.pending and state.pending.deploy_id == work.journal.deploy_id:
        state = revert(config, state, error.message, misbehaved=phase == "verify")
    if phase == "stage":
        remove_leftovers(config)
    idle = state.idle
    serves = state.content(state.active)
    if phase in ("start", "switch", "abort", "verify") and serves is not None and state.content(idle) == work.target:
        units.stop(units.web(idle))
        units.stop(units.worker(idle))
    counted = count_deploy(config, read_json(config.state_dir / "deploy.json") or {})
    record_terminal(
        config,
        work.journal.deploy_id,
        "failed",
        phase=phase,
        error=units.mask(error.message)[:500],
        release=work.release.release,
        requests=counted.requests,
        lost=counted.lost,
    )
    release_lease(config, work.journal.deploy_id)


@contextmanager
def _heartbeat(config: ReleaseConfig, deploy_id: str, phase: str) -> Iterator[None]:
    """Renew the lease every few seconds while a long phase works."""
    import threading

    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(max(1.0, config.lease_ttl_seconds / 4)):
            try:
                renew(config, deploy_id, phase)
            except (OperationError, OSError):
                return

    if phase in ("begin", "abort"):
        yield
        return
    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=5)
