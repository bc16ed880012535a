"""Choose from which backup, and to where, a restore goes; refuse what the archive cannot give: pure decisions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from .errors import BackupError, Code
from .windows import Backup, Windows, choose, refused, told

SETS = "pasargad-ops backup sets"


@dataclass(frozen=True)
class Choice:
    """What is fetched, and until when it goes: `until` is a Unix time, `last_wal` the last segment that is replayed."""

    fetch: Literal["time", "immediate", "default"]
    backup: Backup
    until: float
    last_wal: str
    at: datetime | None = None


def to_latest(known: Windows) -> Choice:
    """Go to the newest point that the archive has.

    Raises TARGET_TIME when there is no backup, and WAL_GAP when newer WAL lies behind a hole: to stop there without a
    word would pass for the newest point.
    """
    if not known.windows:
        why = "; ".join(f"{each.label}: {each.why}" for each in known.unusable) or "there is no backup"
        raise refused(known, f"nothing can be restored: {why}")
    window = known.windows[-1]
    for broken in known.breaks:
        if broken.until is None and broken.since >= window.since:
            raise BackupError(
                Code.WAL_GAP,
                f"{broken.why}, so what came after {told(window.until)} cannot be restored",
                hint=f"to go only as far: pasargad-ops backup restore time --at {_iso(window.until)}; "
                "the WAL may still lie in the old cluster's pg_wal",
            )
    whole = [backup for backup in window.backups if not backup.error] or list(window.backups)
    newest = max(whole, key=lambda backup: backup.stopped)
    return Choice("default", newest, float(window.until), window.last_wal)


def to_time(known: Windows, at: datetime, now: datetime) -> Choice:
    """Go to a moment; raises TARGET_TIME, naming the times that would do."""
    backup = choose(known, at, now=now)
    last = next(window.last_wal for window in known.windows if window.since <= at.timestamp() <= window.until)
    return Choice("time", backup, at.timestamp(), last, at)


def to_set(known: Windows, backup: Backup) -> Choice:
    """Go to the end of a backup; `known` are the windows of its own timeline, which later ones may have left behind.

    Raises WAL_GAP when the WAL that makes it consistent is not there, TARGET_REFUSED when it leans on one that is gone.
    """
    if any(backup.label == each.label for window in known.windows for each in window.backups):
        return Choice("immediate", backup, float(backup.stopped), backup.stop_wal)
    why = next((each.why for each in known.unusable if each.label == backup.label), "nothing leads to it")
    raise BackupError(
        Code.WAL_GAP if "WAL" in why else Code.TARGET_REFUSED,
        f"{backup.label} cannot be restored: {why}",
        hint=f"take another set: {SETS}",
    )


def _iso(second: float) -> str:
    return told(second).replace(" ", "T")
