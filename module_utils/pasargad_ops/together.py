"""Make a switch final on all hosts of a fleet or on none.

Three rounds of the play, each on every host before the next: `agree` finds the switch still pending and gives it time,
`confirm` ends the host's right to put it back by itself, `finish` begins what cannot be undone. A host that fails in
the first two makes the play call `abort` on all of them. A fleet of one skips both: there `finish` confirms.
"""

from __future__ import annotations

from . import units
from .config import ReleaseConfig
from .masking import secret_values
from .outcome import OperationError, Outcome
from .readiness import look, start_until_ready
from .state import State, load_state
from .switch import confirm, renew_deadline, reopen
from .work import Work


def agree(work: Work) -> Outcome:
    """Find the switch still pending and serving here, and give it time for the confirmation on every host."""
    config, deploy_id = work.config, work.journal.deploy_id
    if final_before(work):
        return Outcome(False, "nothing to confirm")
    state = renew_deadline(config, deploy_id)
    work.journal.write("agree", "renewed")
    return Outcome(False, f"{state.active} serves, {config.deadman_seconds} s to confirm it", {"slot": state.active})


def confirm_with_others(work: Work) -> Outcome:
    """Confirm the switch, which only an abort of this very deploy can take back now."""
    if final_before(work):
        return Outcome(False, "nothing to confirm")
    state = confirm(work.config, work.journal.deploy_id)
    work.journal.write("confirm", "confirmed")
    return Outcome(True, f"{state.active} stays", {"slot": state.active})


def final_before(work: Work) -> bool:
    """Tell whether the target serves here without a switch that waits for anybody; raises when it was put back."""
    state = load_state(work.config)
    if state.pending is None and state.serving != work.target:
        raise OperationError("this host has put traffic back meanwhile", hint="run deploy.yml again")
    return state.pending is None


def take_back(config: ReleaseConfig, deploy_id: str) -> State:
    """Make a switch that this deploy has confirmed one to put back; returns the state with it, or as it stays."""
    state = load_state(config)
    if state.confirmed is None or state.confirmed.deploy_id != deploy_id:
        return state
    slot = state.confirmed.from_slot
    old = state.content(slot)
    # The old slot is hot unless the machine has booted meanwhile. One that does not start cannot have shoppers back.
    if slot and old and not look(config, slot).ready:
        try:
            start_until_ready(config, slot, old.release, secret_values(config, old.env))
            units.start(units.worker(slot))
        except OperationError:
            return state
    return reopen(config, deploy_id)
