"""How a deploy ends on a host: finished and written down, or given up with traffic as safe as before it.

Under the host lock, as the other phases are.
"""

from __future__ import annotations

import time
from typing import Any

from . import audit, metrics
from .config import ReleaseConfig
from .journal import open_intents
from .lease import read_lease, release_lease
from .outcome import OperationError, Outcome
from .prune import prune
from .slots import claim_idle, hand_over_work, keep_hot, stop_drained
from .stage import remove_leftovers
from .state import State, load_state, transaction
from .switch import confirm, revert, settle
from .together import take_back
from .work import Work, read_notes


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
    audit.record_end(config, deploy_id, "failed", error=error.message[:500], **about)
    if pending is None or pending.deploy_id != deploy_id:
        metrics.write(config, state, result="failed", seconds=0.0, counted=counted)
    if phase in ("start", "switch", "verify", "agree", "confirm") and state.content(state.idle) == work.target:
        claim_idle(config)
        stop_drained(config, state.idle)
    release_lease(config, deploy_id)


def serving_words(config: ReleaseConfig) -> str:
    """Say what shoppers get now."""
    state = load_state(config)
    return f"shoppers are on {state.serving.release} ({state.active})" if state.serving else "no release serves yet"
