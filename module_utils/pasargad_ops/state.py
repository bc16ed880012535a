"""Remember which slot serves, what each slot holds and what is not yet confirmed.

The state file is the host's word on the release; live.sock must agree with it. `pending` is written before a switch
and removed by its confirmation: whatever finds it after a crash, a reboot or the deadline puts traffic back to
`from_slot`. `confirmed` stands from the confirmation on this host until `finish`, which in a fleet waits for every
other host's. The dead-man timer and a running phase may both want to change the state, so every change reads it again
under a lock that is held for milliseconds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from .config import SLOTS, ReleaseConfig
from .files import read_json, write_json
from .lock import held
from .outcome import OperationError

SCHEMA = 1
BAD_KEPT = 20


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
class GoneBack:
    """That what serves was reached by a rollback: what it `left`, when, and whether all that belongs to it was done."""

    left: Content
    at: float
    ended: bool = False


@dataclass(frozen=True)
class Confirmed:
    """A switch that a deploy has confirmed here and not yet everywhere; `previous` and `gone_back` are what the state
    said before it.
    """

    deploy_id: str
    from_slot: str | None
    to_slot: str
    previous: Content | None
    gone_back: GoneBack | None = None


@dataclass(frozen=True)
class State:
    """The whole state of releases on one host.

    `previous` is what served before the present content: what a rollback goes to, whether or not a slot still holds
    it. `gone_back` lasts from a rollback to the next deploy: until then another rollback has nothing to do, for what it
    would go to is what people wanted to leave. `retiring` names the deploy whose end of the rollback window may stop
    the idle slot; a newer deploy takes that right away.
    """

    active: str | None = None
    slots: dict[str, Content] = field(default_factory=dict)
    pending: Pending | None = None
    confirmed: Confirmed | None = None
    previous: Content | None = None
    gone_back: GoneBack | None = None
    bad: tuple[str, ...] = ()
    fencing: int = 0
    last_switch_ms: float = 0.0
    deployed: dict[str, Any] = field(default_factory=dict)
    retiring: str = ""

    @property
    def idle(self) -> str:
        """The slot that a new release would use."""
        return SLOTS[1] if self.active == SLOTS[0] else SLOTS[0]

    @property
    def serving(self) -> Content | None:
        """What shoppers get."""
        return self.content(self.active)

    def content(self, slot: str | None) -> Content | None:
        return self.slots.get(slot) if slot else None

    def holding(self, slot: str, content: Content) -> State:
        return self.having(slots={**self.slots, slot: content})

    def having(self, **changes: Any) -> State:
        return dataclasses.replace(self, **changes)

    def ending_rollback(self) -> State:
        return self.having(gone_back=dataclasses.replace(self.gone_back, ended=True)) if self.gone_back else self

    def marking_bad(self, release: str) -> State:
        return self.having(bad=tuple(dict.fromkeys([*self.bad, release]))[-BAD_KEPT:])


class Transaction:
    """The state while its lock is held; `save` makes a change durable at once."""

    def __init__(self, config: ReleaseConfig) -> None:
        self._config = config
        self.state = load_state(config)

    def save(self, state: State) -> State:
        save_state(self._config, state)
        self.state = state
        return state


@contextmanager
def transaction(config: ReleaseConfig) -> Iterator[Transaction]:
    """Give the newest state and the sole right to change it; not to be nested."""
    with held(config.state_dir / "state.lock", wait_seconds=15):
        yield Transaction(config)


def change_state(config: ReleaseConfig, **changes: Any) -> State:
    """Change single fields of the newest state."""
    with transaction(config) as change:
        return change.save(change.state.having(**changes))


def load_state(config: ReleaseConfig) -> State:
    """Read the state; a host that never had a release has an empty one."""
    try:
        values = read_json(config.state_file)
    except ValueError as error:
        raise OperationError(
            f"{config.state_file} cannot be read: {error}",
            hint=f"see which slot `readlink {config.live_socket}` names, write it there as "
            '{"schema": 1, "active": "SLOT"}, then run deploy.yml',
        ) from error
    if values is None:
        return State()
    if values.pop("schema", None) != SCHEMA:
        raise OperationError(
            f"{config.state_file} was written by another version", hint="deploy with that version once more"
        )
    known = {each.name for each in dataclasses.fields(State)}
    values = {name: value for name, value in values.items() if name in known}
    pending, previous = values.pop("pending", None), values.pop("previous", None)
    confirmed, gone_back = values.pop("confirmed", None), values.pop("gone_back", None)
    slots = {slot: Content(**content) for slot, content in values.pop("slots", {}).items()}
    return State(
        slots=slots,
        pending=Pending(**pending) if pending else None,
        confirmed=_confirmed(confirmed) if confirmed else None,
        previous=Content(**previous) if previous else None,
        gone_back=_gone_back(gone_back),
        bad=tuple(values.pop("bad", ())),
        **values,
    )


def _confirmed(values: dict[str, Any]) -> Confirmed:
    previous, gone_back = values.pop("previous", None), _gone_back(values.pop("gone_back", None))
    return Confirmed(**values, previous=Content(**previous) if previous else None, gone_back=gone_back)


def _gone_back(values: dict[str, Any] | None) -> GoneBack | None:
    return GoneBack(**{**values, "left": Content(**values["left"])}) if values else None


def save_state(config: ReleaseConfig, state: State) -> None:
    """Write the state durably; the caller holds the transaction."""
    write_json(config.state_file, {"schema": SCHEMA, **dataclasses.asdict(state), "bad": list(state.bad)})
