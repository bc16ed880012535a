"""Choose the second to which a physical drill restores: what can be restored is drilled, not what is handy."""

from __future__ import annotations

import random
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from . import archiver
from .context import Context
from .errors import BackupError, Code
from .facts import beat
from .windows import Backup, Windows, told

# One drill in four restores everything there is.
LATEST_SHARE = 0.25
# Before a gap nobody knows how much earlier than its arrival the last segment was written: twice archive_timeout.
BEFORE_A_GAP = 120.0
MAKE = "make a physical set, wait a minute for its WAL: pasargad-ops backup physical"


@dataclass(frozen=True)
class Target:
    """To where a drill restores; `at` None means everything that the archive holds."""

    at: datetime | None
    backup: Backup
    seed: int

    @property
    def words(self) -> str:
        return told(self.at.timestamp()) if self.at else "the newest point"


def choose_target(context: Context, at: datetime | None, seed: int | None) -> Target:
    """Choose the second: a given one, or one of all that can be restored; raises TARGET_TIME when there is none.

    A restore stops at the first commit after its target, so there has to be one: a heartbeat is written for it. Raises
    WAL_GAP where everything would end at a gap: PostgreSQL takes that for the end of all WAL, and opens.
    """
    seed = secrets.randbits(32) if seed is None else seed
    dice = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    if at is None and dice.random() < LATEST_SHARE:
        refuse_gap(context.repository.windows())
        return Target(None, newest_backup(context), seed)
    mark = leave_mark(context)
    if at is None:
        at = datetime.fromtimestamp(random_second(context.repository.windows(), dice, mark - 1), UTC)
    return Target(at, context.repository.set_for(at), seed)


def refuse_gap(known: Windows) -> None:
    """Raise WAL_GAP where no backup was made since WAL got lost."""
    for broken in known.breaks:
        if broken.until is None:
            raise BackupError(
                Code.WAL_GAP, broken.why, hint="pasargad-ops backup physical --kind full --slot after-the-gap"
            )


def leave_mark(context: Context) -> float:
    """Write a heartbeat, see its WAL arrive, and return when it was written; raises ARCHIVER when it does not."""
    with context.database() as connection:
        mark = beat(connection)
        if not archiver.wal_arrives(connection, seconds=archiver.SWITCH_SECONDS):
            raise BackupError(
                Code.ARCHIVER, "WAL that was just written does not arrive in the repository", hint=archiver.LOOK
            )
    return mark.at_ms / 1000


def random_second(known: Windows, dice: random.Random, until: float) -> float:
    """Return a moment, all that can be restored up to `until` being equally likely; raises TARGET_TIME."""
    spans = [(window.since, min(window.until - BEFORE_A_GAP, until)) for window in known.windows[:-1]]
    spans += [(window.since, min(window.until, until)) for window in known.windows[-1:]]
    spans = [(since, end) for since, end in spans if end > since]
    if not spans:
        raise BackupError(Code.TARGET_TIME, "no point in time can be restored yet", hint=MAKE)
    rest = dice.random() * sum(end - since for since, end in spans)
    for since, end in spans:
        if rest <= end - since:
            return round(since + rest, 3)
        rest -= end - since
    return spans[-1][1]


def newest_backup(context: Context) -> Backup:
    """Return the newest backup of the present cluster; raises TARGET_TIME."""
    for backup in reversed(context.repository.info().current):
        if backup.stop_wal and not backup.error:
            return backup
    raise BackupError(Code.TARGET_TIME, "there is no physical set yet", hint=MAKE)
