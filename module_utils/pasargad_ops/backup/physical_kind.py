"""Decide which kind of physical backup is due: pure, from what there is."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from .pgbackrest import Kind
from .windows import Backup, Windows

SUNDAY = 6
WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Choice:
    """A kind of backup and why it is due."""

    kind: Kind
    why: str


def choose_kind(
    backups: Sequence[Backup],
    known: Windows | None,
    timeline: int,
    now: datetime,
    *,
    flawed: Collection[str] = (),
) -> Choice:
    """Return "full" where one is due, else "diff".

    `backups` are the present cluster's, `known` what they open (None where the archive cannot be read), `timeline` the
    one on which the cluster is, and `flawed` the labels that a check found damaged; `now` is UTC.
    """
    fulls = [each for each in backups if each.kind == "full" and not each.error and each.label not in flawed]
    if not fulls:
        return Choice("full", "there is no good full backup")
    newest = max(fulls, key=lambda each: each.stopped)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if now.weekday() == SUNDAY and newest.started < midnight.timestamp():
        return Choice("full", "it is Sunday")
    age = now.timestamp() - newest.stopped
    if age > WEEK.total_seconds():
        return Choice("full", f"{newest.label} is {age / 86400:.1f} days old")
    if why := unbridged(newest, known, timeline):
        return Choice("full", why)
    return Choice("diff", f"{newest.label} is good and {age / 86400:.1f} days old")


def unbridged(full: Backup, known: Windows | None, timeline: int) -> str:
    """Say why no unbroken WAL leads from a full backup to the present, or an empty text."""
    if known is None:
        return "the archive's timelines cannot be read"
    if full.timeline != timeline:
        return f"{full.label} is of timeline {full.timeline}, the cluster is on {timeline}"
    if lost := [each for each in known.breaks if each.until is None]:
        return f"no backup was made since {lost[0].why}"
    if not known.windows or full.label not in {each.label for each in known.windows[-1].backups}:
        return f"the WAL since {full.label} has a gap"
    return ""
