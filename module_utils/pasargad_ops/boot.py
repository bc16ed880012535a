"""Bring the shop back after a boot, run a slot, and retire one: what units call, not people."""

from __future__ import annotations

import contextlib
import os
import sys
import time

from . import units
from .artefact import read_release
from .config import ReleaseConfig
from .lease import read_lease
from .lock import held
from .outcome import Locked, Outcome, Refused
from .state import load_state
from .switch import reconcile, revert

LOCK_PATIENCE_SECONDS = 5.0


def bring_back(config: ReleaseConfig) -> Outcome:
    """Recreate live.sock from the state, putting an unconfirmed switch back, and start the slot that serves; does not
    wait for it."""
    with held(config.lock_file):
        state = reconcile(config, booting=True)
    if state.active is None:
        return Outcome(False, "no release yet")
    for unit in (units.web(state.active), units.worker(state.active)):
        units.start_later(unit)
    return Outcome(True, f"{state.active} starts")


def revert_unconfirmed(config: ReleaseConfig, deploy_id: str) -> Outcome:
    """Put traffic back because nobody confirmed the switch in time; called by the dead-man timer."""
    while True:
        with contextlib.ExitStack() as stack:
            # A confirmation under way is waited for; a process that hangs with the lock in its hand is not.
            with contextlib.suppress(Locked):
                stack.enter_context(held(config.lock_file, wait_seconds=LOCK_PATIENCE_SECONDS))
            state = load_state(config)
            if state.pending is None or state.pending.deploy_id != deploy_id:
                return Outcome(False, "the switch was confirmed")
            left = state.pending.deadline - time.time()
            if left <= 0:
                state = revert(config, state, "nobody confirmed the switch in time")
                return Outcome(True, f"traffic is back on {state.active}")
        # The deploy asked for more time, and may have died before it armed another timer.
        time.sleep(left)


def retire(config: ReleaseConfig, slot: str) -> Outcome:
    """Stop a slot whose rollback window is over; refuses the slot that serves."""
    with held(config.lock_file, wait_seconds=600):
        state = reconcile(config)
        if state.active == slot:
            return Outcome(False, f"{slot} serves")
        if read_lease(config):
            return Outcome(False, "a deploy is under way and decides itself")
        units.stop(units.worker(slot))
        units.stop(units.web(slot))
    return Outcome(True, f"{slot} stopped")


def execute(config: ReleaseConfig, role: str, slot: str) -> None:
    """Become the web server or the worker of a slot; the links are resolved here, once, and never again while it
    runs."""
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
    python = "/usr/bin/python3"
    commands = {
        "web": [
            python,
            "-m",
            "gunicorn",
            "--config",
            "config/gunicorn.py",
            "--bind",
            f"unix:{config.slot_socket(slot)}",
        ],
        "worker": [python, "manage.py", "db_worker"],
    }
    if role not in commands:
        raise Refused(f"a slot has no {role!r}", hint="one of: web, worker")
    sys.stdout.flush()
    os.execv(python, commands[role])
