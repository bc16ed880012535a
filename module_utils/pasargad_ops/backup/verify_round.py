"""Hold one round of verification: what it looks at, and what it has found so far."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

import psycopg2

from .chain import Entry
from .context import Context
from .errors import BackupError, Code
from .job import as_failure
from .objects import Stored
from .pgbackrest_read import Finding
from .verify_findings import Flaw

T = TypeVar("T")


@dataclass
class Round:
    """`level` and `share` as asked; a round that does not act only reads, and measures nothing.

    `reached` tells per set (run id) how far it was looked at, `heads` what the storage said of single objects, and
    `now` is the storage's time.
    """

    context: Context
    level: int
    share: tuple[int, int] | None
    say: Callable[[str], None]
    measure: Callable[..., None]
    acts: bool
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    flaws: list[Flaw] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    reached: dict[str, int] = field(default_factory=dict)
    heads: dict[str, Stored | None] = field(default_factory=dict)
    changed: bool = False

    def find(self, level: int, finding: Finding, sets: Iterable[str] = ()) -> None:
        """Take down what a part has found."""
        self.flaws.append(Flaw(level, finding.code, finding.what, finding.hint, tuple(sets)))

    def head(self, key: str) -> Stored | None:
        """Ask the storage once in a round for an object."""
        if key not in self.heads:
            self.heads[key] = self.context.objects.head(key)
        return self.heads[key]

    def reach(self, entries: Iterable[Entry], level: int) -> None:
        """Note that sets were looked at up to a level."""
        for entry in entries:
            run_id = entry.manifest.run_id
            self.reached[run_id] = max(level, self.reached.get(run_id, 0))

    def attempt(self, level: int, check: Callable[[], T]) -> T | None:
        """Return what a check returns; what it raises is a flaw, and costs no other check. A signal ends the round."""
        try:
            return check()
        except (BackupError, psycopg2.Error) as error:
            told = as_failure(error)
            if told.code == Code.INTERRUPTED:
                raise
            self.flaws.append(Flaw(level, told.code, told.message, told.hint))
            return None
