"""Say what an operation did, and how it fails."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """The result of one operation: whether it changed the host, one line for people, details for programs."""

    changed: bool
    summary: str
    details: dict[str, Any] = field(default_factory=dict)


class OperationError(Exception):
    """An operation refused or failed; `hint` is the one next command, `details` what a program may want."""

    def __init__(self, message: str, *, hint: str = "", details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = details or {}


class Refused(OperationError):
    """The operation was not begun; nothing has changed."""


class Locked(Refused):
    """Somebody else holds the deploy lease."""


class Damaged(Refused):
    """An artefact is not what its digest says."""


class NotReady(OperationError):
    """A slot did not become ready; traffic was not touched."""


class Unhealthy(OperationError):
    """The new release misbehaved in public; traffic has been put back."""
