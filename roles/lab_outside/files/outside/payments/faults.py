"""Planned misbehaviour: what the network and the provider do wrong, a counted number of times.

A fault of target `api` meets requests whose "METHOD /path" fits `match`, one of target `webhook` events whose type
does.
"""

from __future__ import annotations

import fnmatch
import sqlite3
from dataclasses import asdict, dataclass
from typing import Any

EFFECTS = {
    # before: nothing was executed; after: it was, and only the answer suffers.
    "api": ("error", "rate_limit", "hang_up", "sleep"),
    "webhook": ("drop", "duplicate", "delay", "reorder"),
}


class FaultError(ValueError):
    """A plan that cannot be carried out; the text says which member is wrong."""


@dataclass
class Fault:
    """One plan; `remaining` None means until removed."""

    target: str
    effect: str
    match: str = "*"
    phase: str = "before"
    remaining: int | None = 1
    seconds: float = 0.0
    copies: int = 1
    status: int = 500
    id: int = 0


def plan(connection: sqlite3.Connection, wish: dict[str, Any]) -> Fault:
    """Keep a plan described by JSON; `times` is its count, null for every time."""
    wish = dict(wish)
    wish["remaining"] = wish.pop("times", 1)
    try:
        fault = Fault(**wish)
    except TypeError as error:
        raise FaultError(f"{error}; known members: target effect match phase times seconds copies status") from None
    if fault.effect not in EFFECTS.get(fault.target, ()):
        raise FaultError(f"effects by target: {EFFECTS}; got {fault.target}/{fault.effect}")
    if fault.phase not in ("before", "after"):
        raise FaultError(f"phase is before or after; got {fault.phase}")
    if fault.remaining is not None and (not isinstance(fault.remaining, int) or fault.remaining < 1):
        raise FaultError(f"times is a positive number, or null for every time; got {fault.remaining}")
    values = {name: value for name, value in asdict(fault).items() if name != "id"}
    fault.id = (
        connection.execute(
            "INSERT INTO faults (target, effect, match, phase, remaining, seconds, copies, status) VALUES "
            "(:target, :effect, :match, :phase, :remaining, :seconds, :copies, :status)",
            values,
        ).lastrowid
        or 0
    )
    return fault


def every(connection: sqlite3.Connection) -> list[Fault]:
    """Return the plans still open, oldest first."""
    return [Fault(**dict(row)) for row in connection.execute("SELECT * FROM faults ORDER BY id")]


def take(connection: sqlite3.Connection, target: str, what: str, phase: str = "before") -> Fault | None:
    """Return the oldest plan that meets `what` and use it up by one; call inside a transaction."""
    for fault in every(connection):
        if (fault.target, fault.phase) == (target, phase) and fnmatch.fnmatchcase(what, fault.match):
            if fault.remaining == 1:
                connection.execute("DELETE FROM faults WHERE id = ?", (fault.id,))
            elif fault.remaining is not None:
                connection.execute("UPDATE faults SET remaining = remaining - 1 WHERE id = ?", (fault.id,))
            return fault
    return None


def webhook_schedule(connection: sqlite3.Connection, event_type: str) -> list[tuple[float, str]]:
    """Return (delay in seconds, state) of each delivery that one event is to get."""
    fault = take(connection, "webhook", event_type)
    if fault is None:
        return [(0.0, "pending")]
    if fault.effect == "drop":
        return [(0.0, "dropped")]
    if fault.effect == "duplicate":
        return [(fault.seconds * copy, "pending") for copy in range(fault.copies + 1)]
    if fault.effect == "delay":
        return [(fault.seconds, "pending")]
    # Reorder: each event of the batch waits one step less than the one before it, so the last comes first.
    return [((fault.seconds or 0.5) * (fault.remaining or 1), "pending")]
