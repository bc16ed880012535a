"""What a rule says for somebody at a moment: pure functions."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Rule:
    is_on: bool
    percentage: int = 100
    for_staff: bool = False
    starts_at: datetime | None = None
    ends_at: datetime | None = None

    @property
    def is_personal(self) -> bool:
        return self.percentage != 100 or self.for_staff

    def as_json(self) -> dict[str, Any]:
        found = asdict(self)
        for name in ("starts_at", "ends_at"):
            found[name] = found[name].isoformat() if found[name] else None
        return found

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Rule:
        dates = {
            name: datetime.fromisoformat(found[name]) if found[name] else None for name in ("starts_at", "ends_at")
        }
        return cls(found["is_on"], found["percentage"], found["for_staff"], **dates)


def holds(rule: Rule, now: datetime) -> bool:
    """Whether the rule is on at all at a moment, whoever asks."""
    begun = rule.starts_at is None or rule.starts_at <= now
    return rule.is_on and begun and (rule.ends_at is None or now < rule.ends_at)


def holds_for(rule: Rule, name: str, subject: str, *, staff: bool, now: datetime) -> bool:
    """Whether the rule is on for somebody. Nobody in particular (`subject` is "") is in no part of the whole."""
    if not holds(rule, now):
        return False
    if rule.percentage == 100 or (rule.for_staff and staff):
        return True
    return bool(subject) and bucket(name, subject) < rule.percentage


def bucket(name: str, subject: str) -> int:
    """Return a number from 0 to 99 that stays the same for a flag and a subject, on every machine and release.

    It is below a percentage that grows as soon as it was below a smaller one: nobody loses what they had.
    """
    digest = hashlib.sha256(f"{name}:{subject}".encode()).digest()
    return int.from_bytes(digest[:8]) * 100 >> 64
