"""What happens to slots besides the switch: what they hold, which does the background work, when one is stopped."""

from __future__ import annotations

from . import units
from .config import ReleaseConfig
from .files import point_link
from .journal import Journal
from .manage import PYTHON
from .state import Content, State, change_state, transaction

RETIRE = "pasargad-retire"


def own_command(config: ReleaseConfig, *arguments: str) -> list[str]:
    """Return the command line by which a timer calls an operation."""
    return [PYTHON, "-m", "pasargad_ops", "--config", str(config.file), *arguments]


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
