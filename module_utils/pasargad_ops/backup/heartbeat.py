"""Write the row of this minute, and tell Prometheus how far WAL is behind: what runs all day between the jobs."""

from __future__ import annotations

import time

from ..files import write_atomically
from ..metrics import render
from ..outcome import Outcome
from .archiver import read_archiver, trouble
from .context import Context
from .errors import Code
from .facts import beat
from .job import as_failure

FILE = "backup_heartbeat.prom"


def beat_once(context: Context) -> Outcome:
    """Beat, and write the metrics; a failure is told by its code alone, for it comes again in a minute.

    Raises DATABASE_UNREACHABLE and CONFIG (another cluster); the metrics then keep their old times, which alerts see.
    """
    begun = time.monotonic()
    try:
        with context.database() as connection:
            row = beat(connection)
            archiver = read_archiver(connection)
    except Exception as error:
        raise as_failure(error) from error
    failing = trouble(archiver)
    text = "".join(
        render(name, words, [({"job": "heartbeat"}, value)])
        for name, words, value in (
            ("pasargad_backup_heartbeat_timestamp_seconds", "When the last row was written.", row.at_ms / 1000),
            (
                "pasargad_backup_wal_last_archived_timestamp_seconds",
                "When the last WAL segment arrived.",
                archiver.last_archived_at,
            ),
            ("pasargad_backup_wal_ready_segments", "WAL segments that wait to be archived.", archiver.ready),
            ("pasargad_backup_wal_failing", "Whether archiving fails now.", float(bool(failing))),
        )
    )
    write_atomically(context.config.metrics_dir / FILE, text.encode(), mode=0o644)
    words = f"row {row.seq} after {time.monotonic() - begun:.2f} s; {failing or f'{archiver.ready} segments wait'}"
    return Outcome(True, words, {"code": int(Code.ARCHIVER if failing else Code.DONE), "seq": row.seq})
