"""Remember which slot serves, what each slot holds and what is not yet confirmed.

The state file is the host's word on the release; live.sock must agree with it. `pending` is written before a switch
and removed by its confirmation: whatever finds it after a crash, a reboot or the deadline puts traffic back to
`from_slot`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from .config import SLOTS, ReleaseConfig
from .files import read_json, write_json
from .outcome import OperationError

SCHEMA = 1


@dataclass(frozen=True)
class Content:
    """What a slot holds: a release and the digest of the environment it runs with."""

    release: str
    env: str


@dataclass(frozen=True)
class Pending:
    """A switch that nobody has confirmed; `deadline` is seconds since the epoch."""

    deploy_id: str
    from_slot: str | None
    to_slot: str
    deadline: float


@dataclass(frozen=True)
class State:
    """The whole state of releases on one host."""

    active: str | None = None
    slots: dict[str, Content] = field(default_factory=dict)
    pending: Pending | None = None
    bad: tuple[str, ...] = ()
    fencing: int = 0
    last_switch_ms: float = 0.0
    deployed: dict[str, Any] = field(default_factory=dict)
    retire_at: float = 0.0

    @property
    def idle(self) -> str:
        """The slot that a new release would use."""
        return SLOTS[1] if self.active == SLOTS[0] else SLOTS[0]

    def content(self, slot: str | None) -> Content | None:
        return self.slots.get(slot) if slot else None

    def with_slot(self, slot: str, content: Content) -> State:
        return dataclasses.replace(self, slots={**self.slots, slot: content})

    def having(self, **changes: Any) -> State:
        return dataclasses.replace(self, **changes)


def load_state(config: ReleaseConfig) -> State:
    """Read the state; a host that never had a release has an empty one."""
    try:
        values = read_json(config.state_file)
    except ValueError as error:
        raise OperationError(
            f"{config.state_file} cannot be read: {error}",
            hint="compare with `ls -l /srv/pasargad/slots`, then `pasargad-ops repair`",
        ) from error
    if values is None:
        return State()
    if values.pop("schema", None) != SCHEMA:
        raise OperationError(
            f"{config.state_file} was written by another version", hint="deploy with that version once more"
        )
    pending = values.pop("pending", None)
    slots = {slot: Content(**content) for slot, content in values.pop("slots", {}).items()}
    bad = tuple(values.pop("bad", ()))
    return State(slots=slots, pending=Pending(**pending) if pending else None, bad=bad, **values)


def save_state(config: ReleaseConfig, state: State) -> None:
    """Write the state durably."""
    write_json(config.state_file, {"schema": SCHEMA, **dataclasses.asdict(state), "bad": list(state.bad)})
