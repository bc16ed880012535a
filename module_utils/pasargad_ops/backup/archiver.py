"""Ask PostgreSQL how its archiving fares: what arrived last, what fails, and what waits."""

from __future__ import annotations

import time
from dataclasses import dataclass

from psycopg2.extensions import connection as Connection

from .errors import BackupError, Code
from .pgbackrest_read import Finding

# PostgreSQL itself tries three times, a second apart: what is mended by then was no failure.
PATIENCE_SECONDS = 5.0
# Waking the archiver and pushing one segment takes a second; an S3 that is slow takes longer.
SWITCH_SECONDS = 60.0
POLL_SECONDS = 0.25
LOOK = "psql -c 'SELECT * FROM pg_stat_archiver'; journalctl -u 'postgresql*' -e | grep archive"
READ = """
    SELECT current_setting('archive_mode'), coalesce(last_archived_wal, ''),
           coalesce(extract(epoch FROM last_archived_time), 0)::float8, coalesce(last_failed_wal, ''),
           coalesce(extract(epoch FROM last_failed_time), 0)::float8,
           (SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'),
           extract(epoch FROM clock_timestamp())::float8, failed_count,
           (SELECT coalesce(extract(epoch FROM min(modification)), 0)::float8
            FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready')
    FROM pg_stat_archiver
"""


@dataclass(frozen=True)
class Archiver:
    """The archiver at `now`; all times are Unix seconds of the database's clock, 0 for never, and names empty then.

    `ready` counts the files that wait for it, `waiting_since` is since when the oldest does, `failed` counts failures.
    """

    mode: str
    last_archived: str
    last_archived_at: float
    last_failed: str
    last_failed_at: float
    ready: int
    now: float
    failed: int = 0
    waiting_since: float = 0.0

    @property
    def is_failing(self) -> bool:
        """Whether its last try failed, and is still to be done again."""
        return self.ready > 0 and self.last_failed_at > self.last_archived_at

    @property
    def silent_seconds(self) -> float:
        """How long ago the last segment arrived."""
        return self.now - self.last_archived_at


def read_archiver(connection: Connection) -> Archiver:
    """Return how the archiver fares now; the session is left idle."""
    with connection.cursor() as cursor:
        cursor.execute(READ)
        found = Archiver(*(cursor.fetchone() or ()))
    # Statistics stay as they were first seen until the transaction ends.
    connection.rollback()
    return found


def settled_archiver(connection: Connection, *, seconds: float = PATIENCE_SECONDS) -> Archiver:
    """Return how the archiver fares, having given a failure the time to mend by itself."""
    deadline = time.monotonic() + seconds
    while (found := read_archiver(connection)).is_failing and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return found


def wal_arrives(connection: Connection, *, seconds: float) -> bool:
    """Begin a new segment, and tell whether the old one arrives within `seconds`."""
    with connection.cursor() as cursor:
        # Without a record since the last switch there would be nothing to archive.
        cursor.execute("SELECT pg_walfile_name(pg_create_restore_point('pasargad-backup'))")
        (name,) = cursor.fetchone() or ("",)
        cursor.execute("SELECT pg_switch_wal()")
    connection.rollback()
    deadline = time.monotonic() + seconds
    while read_archiver(connection).last_archived[:24] < name:
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def trouble(found: Archiver) -> str:
    """Say why WAL does not arrive, or an empty text where nothing says so."""
    if found.mode == "off":
        return "archive_mode is off: no WAL leaves the host"
    if found.is_failing:
        return f"archiving fails: {found.last_failed} at the last try, {found.ready} wait"
    return ""


def judge_archiver(found: Archiver, connection: Connection, *, silence: float, acts: bool) -> list[Finding]:
    """Return what is wrong with the archiving.

    An idle shop writes no WAL, so a silence longer than `silence` seconds is put to the test by a segment of our own
    where the run `acts`; one in which segments wait needs no test.
    """
    words = trouble(found)
    if not words and found.silent_seconds > silence:
        quiet = f"no WAL has arrived for {found.silent_seconds:.0f} s" if found.last_archived_at else "no WAL arrived"
        if found.ready:
            words = f"{quiet}, and {found.ready} files wait"
        elif acts and not wal_arrives(connection, seconds=SWITCH_SECONDS):
            words = f"{quiet}, nor does a segment that was begun for it"
    return [Finding(Code.ARCHIVER, words, LOOK)] if words else []


def require_archiver(connection: Connection) -> None:
    """Raise ARCHIVER where WAL does not arrive: a backup could not be restored without it."""
    if words := trouble(settled_archiver(connection)):
        raise BackupError(Code.ARCHIVER, words, hint=LOOK)
