"""Run the phases of a deploy safely: one at a time on a host, only for the owner of the lease, cleaned up after a
failure.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from . import ending, phases, shell, together
from .artefact import Release, parse_release, read_release
from .config import ReleaseConfig
from .journal import Journal, open_intents
from .lease import Owner, heartbeat, read_lease, refuse_while_held, release_lease, renew
from .lock import held
from .masking import mask
from .outcome import OperationError, Outcome, Refused, Unhealthy
from .stage import incoming_path, missing_parts, require_space
from .state import Content, State, load_state
from .switch import reconcile
from .units import is_active, worker
from .work import ReleaseRequest, Work, new_deploy_id, newest_env

PHASES: dict[str, Callable[[Work], Outcome]] = {
    "begin": phases.begin,
    "stage": phases.stage,
    "expand": phases.expand_schema,
    "start": phases.start,
    "switch": phases.switch,
    "verify": phases.verify,
    "agree": together.agree,
    "confirm": together.confirm_with_others,
    "finish": ending.finish,
    "abort": ending.abort,
}


def run_phase(config: ReleaseConfig, request: ReleaseRequest, *, dry_run: bool = False) -> Outcome:
    """Run one phase; on failure the host cleans up after itself before the error is raised."""
    if request.phase not in PHASES:
        raise Refused(f"there is no phase {request.phase!r}", hint=f"one of: {', '.join(PHASES)}")
    release = parse_release(request.release)
    target = Content(release.release, request.env or newest_env(config))
    if dry_run:
        return predict(config, request, release, target)
    deploy_id = request.deploy_id or new_deploy_id()
    work = Work(config, request, release, target, Journal(config, deploy_id))
    patience = 10.0
    if request.phase == "begin":
        # The last phase of a deploy whose playbook died goes on to its end on the host; it is worth waiting for.
        dead = refuse_while_held(config, deploy_id, Owner(**request.owner), request.living)
        patience = config.ready_timeout_seconds + 60 if dead else patience
    doing = f"phase {request.phase} of deploy {deploy_id}"
    with held(config.lock_file, wait_seconds=patience, doing=doing):
        try:
            return work_on(work)
        except OperationError as error:
            raise fail(work, error) from error
        except OSError as error:
            raise fail(work, refused_by_kernel(error)) from error


def work_on(work: Work) -> Outcome:
    """Do the phase for the owner of the lease, with a sign of life every few seconds."""
    config, phase, deploy_id = work.config, work.request.phase, work.journal.deploy_id
    if phase in ("begin", "abort"):
        return PHASES[phase](work)
    renew(config, deploy_id, phase)
    reconcile(config, claimant=deploy_id)
    with heartbeat(config, deploy_id, phase), work.journal.phase(phase):
        return PHASES[phase](work)


def refused_by_kernel(error: OSError) -> OperationError:
    """Turn what the operating system refused into words and the way to mend it."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    hint = shell.NO_SPACE if full else "mend that on the host, then run deploy.yml again"
    return OperationError(f"{error.strerror or error}: {error.filename or 'while writing'}", hint=hint)


def fail(work: Work, error: OperationError) -> OperationError:
    """Let the host clean up after a failed phase, also when its disk is full; return the error with what serves."""
    error.message = mask(error.message, work.secrets)
    # A lease that is another deploy's is none of our business, and neither is what that one does here.
    lease = read_lease(work.config)
    if lease and lease.deploy_id == work.journal.deploy_id:
        try:
            ending.give_up(work, work.request.phase, error, unhealthy=isinstance(error, Unhealthy))
        except OSError as second:
            error.message += f" (nor could it be written down: {second.strerror})"
        finally:
            release_lease(work.config, work.journal.deploy_id)
    error.details.setdefault("traffic", ending.serving_words(work.config))
    return error


def settled(config: ReleaseConfig, state: State, target: Content) -> bool:
    """Tell whether there is nothing to do: the target serves with its worker, and no deploy has been left half done."""
    if not phases.serves(config, state, target) or read_lease(config) or open_intents(config):
        return False
    return is_active(worker(state.active or ""))


def inspect(config: ReleaseConfig, request: ReleaseRequest) -> Outcome:
    """Tell what a deploy of this release would find: nothing to do, or the parts that have to be sent. Read-only."""
    release = parse_release(request.release)
    target = Content(release.release, request.env or newest_env(config))
    state = load_state(config)
    done = settled(config, state, target)
    parts = [] if done else missing_parts(config, release)
    if parts:
        require_space(config, parts)
    megabytes = sum(part.size for part in parts) / 1e6
    words = f"{len(parts)} parts to send ({megabytes:.1f} MB)" if parts else "nothing to send"
    return Outcome(
        False,
        f"release {release.release} serves already" if done else words,
        {
            "serving": done,
            "missing": [part.name for part in parts],
            "files": {part.name: {"file": part.file, "incoming": incoming_path(config, part).name} for part in parts},
        },
    )


def predict(config: ReleaseConfig, request: ReleaseRequest, release: Release, target: Content) -> Outcome:
    """Say what the phase would do; changes nothing."""
    state = load_state(config)
    todo = {
        "stage": read_release(config.releases / release.release) is None,
        "expand": bool(new_migrations(config, state, release)),
        "start": not phases.serves(config, state, target),
        "switch": not phases.serves(config, state, target),
        "confirm": not phases.serves(config, state, target),
        "finish": not phases.serves(config, state, target),
    }
    changed = todo.get(request.phase, False)
    words = f"would {request.phase} {release.release}" if changed else "nothing to do"
    return Outcome(changed, words, {"deploy_id": request.deploy_id, "fencing": state.fencing + 1})


def new_migrations(config: ReleaseConfig, state: State, release: Release) -> list[str]:
    """Return the migrations that the release has and the one that serves has not, without asking the database."""
    present = read_release(config.releases / state.serving.release) if state.serving else None
    known = {(app, name) for app, name, _ in present.migrations} if present else set()
    return [f"{app}.{name}" for app, name, _ in release.migrations if (app, name) not in known]
