"""Bring the shop back after a boot, run a slot, and retire one: what units call, not people."""

from __future__ import annotations

import os
import sys

from . import units
from .artefact import read_release
from .config import ReleaseConfig
from .lock import held
from .manage import PYTHON
from .outcome import Outcome, Refused
from .slots import stop_drained
from .state import change_state, load_state
from .switch import live_slot, reconcile, revert


def bring_back(config: ReleaseConfig) -> Outcome:
    """Recreate live.sock from the state, putting an unconfirmed switch back, and start the slot that serves; does not
    wait for it.
    """
    with held(config.lock_file, doing="bring the shop back after a boot"):
        state = reconcile(config, booting=live_slot(config) is None)
    if state.active is None:
        return Outcome(False, "no release yet")
    for unit in (units.web(state.active), units.worker(state.active)):
        units.start_later(unit)
    return Outcome(True, f"{state.active} starts")


def revert_unconfirmed(config: ReleaseConfig, deploy_id: str, armed_for: float) -> Outcome:
    """Put traffic back because nobody confirmed the switch in time; called by the dead-man timer with its deadline.

    Not under the host lock: its holder may be the very process that hangs. The state's own lock makes this and a late
    confirmation exclude each other.
    """
    pending = load_state(config).pending
    if pending is None or pending.deploy_id != deploy_id:
        return Outcome(False, "the switch is settled")
    state = revert(config, deploy_id, "nobody confirmed the switch in time", armed_for=armed_for)
    if state.pending:
        return Outcome(False, "the deadline was renewed")
    return Outcome(state.active == pending.from_slot, f"traffic is on {state.active}")


def retire(config: ReleaseConfig, slot: str, deploy_id: str) -> Outcome:
    """Stop a slot whose rollback window is over, unless it serves or a newer deploy has claimed it."""
    # No deploy begins under this lock. The state is not held while the slot stops, which may take minutes.
    with held(config.lock_file, wait_seconds=600, doing=f"retire {slot}"):
        state = load_state(config)
        if slot in (state.active, live_slot(config)) or state.retiring != deploy_id:
            return Outcome(False, f"{slot} is in use again")
        stop_drained(config, slot)
        change_state(config, retiring="")
    return Outcome(True, f"{slot} stopped")


def execute(config: ReleaseConfig, role: str, slot: str) -> None:
    """Become the web server or the worker of a slot; the links are resolved here, once, and never again while it
    runs.
    """
    directory = config.slot_link(slot).resolve()
    release = read_release(directory)
    if release is None:
        raise Refused(f"{slot} holds no release", hint="run deploy.yml")
    app = directory / "app"
    os.chdir(app)
    os.environ.update(
        PYTHONPATH=str(config.deps / release.deps_name(config.python_tag)),
        PYTHONDONTWRITEBYTECODE="1",
        PYTHONUNBUFFERED="1",
        PASARGAD_SLOT=slot,
        PASARGAD_RELEASE=release.release,
    )
    gunicorn = [
        PYTHON,
        "-m",
        "gunicorn",
        "--config",
        "config/gunicorn.py",
        "--bind",
        f"unix:{config.slot_socket(slot)}",
    ]
    commands = {"web": gunicorn, "worker": [PYTHON, "manage.py", "db_worker"]}
    if role not in commands:
        raise Refused(f"a slot has no {role!r}", hint="one of: web, worker")
    sys.stdout.flush()
    os.execv(PYTHON, commands[role])
