"""What happens to slots besides the switch: what they hold, which does the background work, when one is stopped."""

from __future__ import annotations

import time
from pathlib import Path

from . import units
from .config import ReleaseConfig
from .files import point_link
from .journal import Journal
from .manage import PYTHON
from .state import Content, State, change_state, transaction

RETIRE = "pasargad-retire"
# How long a slot that shoppers have just left may take to answer what it has; its server alone does that for requests
# that it has begun, but not for those that still wait in the queue of its socket.
DRAIN_SECONDS = 10.0
QUIET_SECONDS = 0.2
RETIRE_SOON_SECONDS = 15
LISTENS = 0x10000
UNIX_SOCKETS = Path("/proc/net/unix")


def own_command(config: ReleaseConfig, *arguments: str) -> list[str]:
    """Return the command line by which a timer calls an operation."""
    return [PYTHON, "-m", "pasargad_ops", "--config", str(config.file), *arguments]


def connections(socket: Path) -> int:
    """Count the connections of a listening unix socket, those in its queue too."""
    found = 0
    for line in UNIX_SOCKETS.read_text().splitlines()[1:]:
        fields = line.split(maxsplit=7)
        found += fields[7:] == [str(socket)] and not int(fields[3], 16) & LISTENS
    return found


def stop_drained(config: ReleaseConfig, slot: str) -> None:
    """Stop a slot that shoppers have left, as soon as it has answered all who came before."""
    deadline = time.monotonic() + DRAIN_SECONDS
    quiet_since = time.monotonic()
    while units.is_active(units.web(slot)) and time.monotonic() < deadline:
        if connections(config.slot_socket(slot)):
            quiet_since = time.monotonic()
        elif time.monotonic() - quiet_since >= QUIET_SECONDS:
            break
        time.sleep(0.05)
    units.stop(units.web(slot), units.worker(slot), timeout=config.stop_seconds)


def claim_idle(config: ReleaseConfig) -> None:
    """Take from whoever left the idle slot the right to stop it."""
    change_state(config, retiring="")
    units.cancel(RETIRE)


def hold_release(config: ReleaseConfig, slot: str, content: Content, journal: Journal) -> None:
    """Stop a slot that does not serve and link it to a release and an environment."""
    claim_idle(config)
    stop_drained(config, slot)
    journal.write("start", "stopped", slot=slot)
    config.slot_link(slot).parent.mkdir(parents=True, exist_ok=True)
    point_link(config.slot_link(slot), f"../releases/{content.release}")
    point_link(config.slot_env(slot), f"{content.env}.env")
    with transaction(config) as change:
        change.save(change.state.holding(slot, content))
    journal.write("start", "linked", slot=slot)


def hand_over_work(config: ReleaseConfig, state: State) -> str:
    """Start the new worker, then ask the old one to finish what it holds; return the words."""
    units.start(units.worker(state.active or ""))
    if units.stop_patiently(units.worker(state.idle), wait_seconds=config.worker_wait_seconds):
        return f"background work on {state.active}"
    return f"background work on {state.active}, {state.idle} finishes the task it holds"


def keep_hot(config: ReleaseConfig, deploy_id: str, state: State) -> bool:
    """Let the old slot, if it runs, stop at the end of the rollback window."""
    return retire_in(config, deploy_id, state.idle, config.rollback_window_seconds)


def retire_in(config: ReleaseConfig, deploy_id: str, slot: str, seconds: float) -> bool:
    """Let a slot without shoppers stop after a while, unless it is used again; tell whether it runs at all."""
    if not units.is_active(units.web(slot)):
        return False
    change_state(config, retiring=deploy_id)
    command = own_command(config, "retire", "--slot", slot, "--deploy", deploy_id)
    units.schedule(RETIRE, seconds, command, environment={"PYTHONPATH": str(config.lib_dir)})
    return True
