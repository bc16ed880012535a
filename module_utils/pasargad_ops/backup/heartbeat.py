"""Write the row of this minute, and tell Prometheus how far WAL is behind: what runs all day between the jobs."""

from __future__ import annotations

import time

import psycopg2.errors

from ..files import write_atomically
from ..metrics import render
from ..outcome import Outcome
from .archiver import LOOK, Archiver, read_archiver, trouble
from .config import CONVERGE
from .context import Context
from .errors import BackupError, Code
from .facts import HEARTBEAT as TABLE
from .facts import beat
from .job import as_failure
from .manifest import Heartbeat
from .measures import HEARTBEAT, WAL_FAILED, WAL_FAILING, WAL_LAST, WAL_READY, WAL_WAITING

FILE = "backup_heartbeat.prom"


def beat_once(context: Context) -> Outcome:
    """Beat, and write the metrics; a failure is told by its code alone, for it comes again in a minute.

    Raises BackupError: DATABASE_UNREACHABLE, CONFIG (another cluster, no table), NO_SPACE; the metrics then keep their
    old times, which alerts see.
    """
    begun = time.monotonic()
    try:
        with context.database() as connection:
            row = beat(connection)
            archiver = read_archiver(connection)
        write_atomically(context.config.metrics_dir / FILE, exposition(row, archiver).encode(), mode=0o644)
    except (psycopg2.errors.UndefinedTable, psycopg2.errors.InvalidSchemaName) as error:
        raise BackupError(Code.CONFIG, f"the database has no table {TABLE}", hint=CONVERGE) from error
    except Exception as error:
        raise as_failure(error) from error
    failing = trouble(archiver)
    words = f"row {row.seq} after {time.monotonic() - begun:.2f} s; {failing or f'{archiver.ready} segments wait'}"
    code = Code.ARCHIVER if failing else Code.DONE
    return Outcome(True, words, {"code": int(code), "seq": row.seq, "lines": [f"Next: {LOOK}"] if failing else []})


def exposition(row: Heartbeat, found: Archiver) -> str:
    """Return the minute's metrics; verify measures some of them too, so these carry the name of their job."""
    values = {
        HEARTBEAT: row.at_ms / 1000,
        WAL_LAST: found.last_archived_at,
        WAL_READY: found.ready,
        WAL_WAITING: max(0.0, found.now - found.waiting_since) if found.ready else 0.0,
        WAL_FAILED: found.failed,
        WAL_FAILING: float(bool(trouble(found))),
    }
    return "".join(render(*name, [({"job": "heartbeat"}, value)]) for name, value in values.items())
