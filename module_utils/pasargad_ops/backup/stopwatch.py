"""Measure the phases of a job, also those that fail."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Stopwatch:
    """How long each phase took, in seconds; `say` is told when one begins."""

    say: Callable[[str], None] = lambda _: None
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure the body; a phase that comes again is added up."""
        self.say(name)
        begun = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - begun

    @property
    def milliseconds(self) -> dict[str, int]:
        """The phases as manifests keep them."""
        return {name: round(seconds * 1000) for name, seconds in self.seconds.items()}
