"""Who acts: kept for the time of a staff request, so that whatever is written meanwhile knows its author."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Actor:
    """Somebody and where from; `id` is None for a command or a stranger."""

    id: int | None
    name: str
    address: str = ""


COMMAND = Actor(None, "command")
_acting: ContextVar[Actor | None] = ContextVar("pasargad_acting", default=None)


def acting_now() -> Actor | None:
    """Return whose act is going on; None for shoppers and workers, whose writes are no staff acts."""
    return _acting.get()


@contextmanager
def acting(actor: Actor) -> Iterator[None]:
    """Let everything inside be the act of somebody."""
    token = _acting.set(actor)
    try:
        yield
    finally:
        _acting.reset(token)


def actor_of(user: Any, address: str = "") -> Actor:
    return Actor(user.pk, str(user)[:254], address[:45])
