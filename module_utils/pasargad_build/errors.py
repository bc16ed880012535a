"""The one exception family of the build."""

from __future__ import annotations

from collections.abc import Sequence


class BuildError(Exception):
    """A release cannot be built; `hint` is the next command, `log` the last lines of the tool that failed."""

    def __init__(self, message: str, *, hint: str, log: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.log = list(log)
