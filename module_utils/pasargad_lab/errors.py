"""The one exception family of the lab."""

from __future__ import annotations


class LabError(Exception):
    """A lab operation that cannot go on; `hint` names the command or setting that mends it."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()
