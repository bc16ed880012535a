"""Collects the results of tasks into the steps that an operator thinks in: a phase of a release, or a role."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from .layout import count, detail_line, phase_line


@dataclass
class Phase:
    """One task that reports itself as a phase; hosts that say the same share a line."""

    name: str
    started: float
    ended: float = 0.0
    hosts_by_text: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, host: str, text: str, now: float) -> None:
        """Add what one host said."""
        self.hosts_by_text[text].append(host)
        self.ended = now

    def lines(self) -> Iterator[str]:
        """Yield the printed lines: one a different text, the time on each."""
        for text, hosts in self.hosts_by_text.items():
            yield phase_line(self.name, hosts, text, self.ended - self.started)


@dataclass
class Step:
    """The tasks of one role, or of one play outside roles, with what they changed."""

    name: str
    started: float
    checking: bool = False
    ended: float = 0.0
    ok: int = 0
    skipped: int = 0
    reported: bool = False
    hosts: list[str] = field(default_factory=list)
    changed: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    shown: set[str] = field(default_factory=set)

    def add(self, host: str, task: str, *, changed: bool, now: float) -> None:
        """Count one host's result of one task."""
        if host not in self.hosts:
            self.hosts.append(host)
        if changed:
            self.changed[task].append(host)
        else:
            self.ok += 1
        self.ended = now

    def lines(self) -> Iterator[str]:
        """Yield the printed lines: counts and time, then each task that changed something."""
        changes = sum(len(hosts) for hosts in self.changed.values())
        if not self.hosts or (self.reported and not changes):
            return
        verb = "would change" if self.checking else "changed"
        text = f"{self.ok} ok, {changes} {verb}" if changes else f"{count(self.ok, 'task')} ok"
        yield phase_line(self.name, self.hosts, text, self.ended - self.started)
        for task, hosts in self.changed.items():
            if task not in self.shown:
                where = "" if len(hosts) == len(self.hosts) else f"  ({' '.join(hosts)})"
                yield detail_line(f"{task}{where}")
