"""What a process keeps in its own memory, so that it need not ask or reckon again."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Generic, TypeVar

from django.core.signals import setting_changed

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
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


def worked_out(maxsize: int) -> Callable[[F], F]:
    """Keep what a function returns for its arguments, where it follows from them and from settings alone.

    On a server settings stay as they are while a process lives; tests change them, and then nothing is kept.
    """

    def keep(function: F) -> F:
        kept = lru_cache(maxsize=maxsize)(function)
        setting_changed.connect(lambda **_: kept.cache_clear(), weak=False)
        return kept  # type: ignore[return-value]

    return keep
