"""What a process keeps in its own memory, so that it need not ask or reckon again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
# Less than anybody notices of what may be seconds old anyway; a busy process asks once instead of for every page.
RECENT_SECONDS = 1.0


class Recent(Generic[T]):
    """A value that may be a little old: whoever asks gets what was read within the last second."""

    def __init__(self, read: Callable[[], T]) -> None:
        self._read = read
        self._seen: tuple[float, T] | None = None

    def __call__(self) -> T:
        # One assignment holds both, so that no thread sees a value with the time of another.
        seen, now = self._seen, time.monotonic()
        if seen is None or now - seen[0] >= RECENT_SECONDS:
            seen = self._seen = (now, self._read())
        return seen[1]
