"""Write the objects of one set, several at a time, and take them away again when no set comes of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from .dump import Made, Pipeline
from .errors import BackupError, Code
from .manifest import Part
from .objects import Objects
from .walk import inspect_parts


@dataclass
class SetWriter:
    """The objects of one set as far as they are; `prefix` is the set's alone. Several threads may write."""

    objects: Objects
    prefix: str
    tier: str
    retain_until: datetime | None = None
    made: dict[str, Made] = field(default_factory=dict)
    _parts: dict[str, Part] = field(default_factory=dict)
    _running: list[Pipeline] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)

    @property
    def parts(self) -> tuple[Part, ...]:
        """What is whole and in the storage, by role."""
        return tuple(self._parts[role] for role in sorted(self._parts))

    def write(self, role: str, pipeline: Pipeline, estimate: int = 0, beside: int = 1) -> Part:
        """Store what a pipeline makes; raises what either of them does.

        `estimate` is its size in bytes at most, `beside` how many are written at once.
        """
        key = f"{self.prefix}{role}.age"
        self._running.append(pipeline)
        try:
            with pipeline:
                stored = self.objects.write(
                    key,
                    self._blocks(pipeline),
                    estimate=estimate,
                    once=True,
                    retain_until=self.retain_until,
                    tier=self.tier,
                    beside=beside,
                )
        finally:
            self._running.remove(pipeline)
        made = pipeline.made
        if (stored.bytes, stored.sha256) != (made.bytes, made.sha256):
            raise BackupError(Code.INTEGRITY, f"{key} was stored as something else", hint="run the job again")
        part = Part(key, role, stored.bytes, stored.sha256, stored.version)
        self.made[role], self._parts[role] = made, part
        return part

    def _blocks(self, pipeline: Pipeline) -> Iterator[bytes]:
        for block in pipeline:
            if self._ended.is_set():
                break
            yield block
        # One that was closed under its reader looks like one that came to its end; the storage must not see an end.
        _ = pipeline.made

    def end(self) -> None:
        """End all programs, so that whatever is being written fails."""
        self._ended.set()
        for pipeline in list(self._running):
            pipeline.close()

    def check(self) -> None:
        """Raise INTEGRITY unless the storage has every object as it was written."""
        if found := inspect_parts(self.objects, self.parts):
            raise BackupError(
                Code.INTEGRITY, "; ".join(finding.text for finding in found), hint="look who else writes there"
            )

    def discard(self) -> None:
        """Take away what was written, as far as the storage lets us; what stays belongs to no set."""
        try:
            for stored in list(self.objects.list(self.prefix)):
                self.objects.hide(stored.key)
            for upload in list(self.objects.uploads(self.prefix)):
                self.objects.abort(upload)
        except BackupError:
            # Why the set failed matters more, and retention looks for what belongs to none.
            return
