"""Hold one snapshot of the database for all the programs of a backup, and its tables as they are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection

from ..masking import mask
from .errors import BackupError, Code
from .shards import LOCK_WAIT_MILLISECONDS, Table

SNAPSHOT_ROUNDS = 5
LOCK_BATCH = 500

# Tables of extensions are made by the extension; temporary ones belong to their session.
TABLES = """
    SELECT c.oid, n.nspname, c.relname, c.relkind = 'p', CASE c.relkind WHEN 'r' THEN pg_table_size(c.oid) ELSE 0 END
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
      AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                      AND d.deptype = 'e')
    ORDER BY c.oid
"""
POSITION = """
    SELECT pg_export_snapshot(), current_setting('server_version_num')::int,
           CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END::text
"""


@dataclass(frozen=True)
class Snapshot:
    """An exported snapshot: valid, and its tables locked against rewriting, while its session lives."""

    id: str
    tables: tuple[Table, ...]
    server_version: int
    wal_position: str


@contextlib.contextmanager
def snapshot(connection: Connection) -> Iterator[Snapshot]:
    """Export a snapshot for the length of the body, from a session that is idle and stays ours.

    Every table is locked against ACCESS EXCLUSIVE before the snapshot is taken: TRUNCATE and rewriting ALTER TABLE
    are not seen through older snapshots, a dump would find the table empty without an error. Raises
    DATABASE_UNREACHABLE when the session is lost (also at the end of the body), DUMP_FAILED when a lock is not free.
    """
    try:
        found = _lock_and_export(connection)
        yield found
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        raise BackupError(
            Code.DATABASE_UNREACHABLE,
            f"the session that holds the snapshot was lost: {_one_line(error)}",
            hint="see the server's log for a restart or pg_terminate_backend; the next run starts anew",
        ) from error
    finally:
        with contextlib.suppress(psycopg2.Error):
            connection.rollback()


def _lock_and_export(connection: Connection) -> Snapshot:
    connection.set_session(isolation_level="REPEATABLE READ", readonly=True, autocommit=False)
    try:
        for _ in range(SNAPSHOT_ROUNDS):
            if found := _attempt(connection):
                return found
            connection.rollback()
    except psycopg2.Error as error:
        if connection.closed:
            raise
        raise BackupError(
            Code.DUMP_FAILED,
            f"the tables cannot be locked for reading: {_one_line(error)}",
            hint="see who holds the lock: SELECT * FROM pg_stat_activity WHERE wait_event_type = 'Lock'; "
            "the role needs SELECT on every table (GRANT pg_read_all_data)",
        ) from error
    raise BackupError(
        Code.DUMP_FAILED,
        f"tables came or went {SNAPSHOT_ROUNDS} times while a snapshot was taken",
        hint="wait for the migration to end, then run the backup again",
    )


def _attempt(connection: Connection) -> Snapshot | None:
    """Return None when tables came or went between the list and the snapshot."""
    with connection.cursor() as cursor:
        listed = _list(cursor)
        connection.rollback()
        try:
            _lock(cursor, [(schema, name) for _, schema, name, _, _ in listed])
        except (psycopg2.errors.UndefinedTable, psycopg2.errors.InvalidSchemaName):
            return None
        # The first statement that needs a snapshot takes it, so it is younger than every lock.
        cursor.execute(POSITION)
        name, version, position = cursor.fetchone() or ("", 0, "")
        seen = _list(cursor)
    if {row[:3] for row in seen} != {row[:3] for row in listed}:
        return None
    tables = tuple(Table(oid, schema, table, size) for oid, schema, table, parted, size in seen if not parted)
    return Snapshot(name, tables, version, position)


def _list(cursor: Any) -> list[tuple[Any, ...]]:
    _be_patient(cursor)
    cursor.execute(TABLES)
    return list(cursor.fetchall())


def _be_patient(cursor: Any) -> None:
    # A role's own limits must not end a session that waits for a long dump; even a table's size waits for its lock.
    cursor.execute(f"SET LOCAL lock_timeout = {LOCK_WAIT_MILLISECONDS}")
    cursor.execute("SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0")
    if cursor.connection.server_version >= 170000:
        cursor.execute("SET LOCAL transaction_timeout = 0")


def _lock(cursor: Any, names: Sequence[tuple[str, str]]) -> None:
    # SET and LOCK take no snapshot.
    _be_patient(cursor)
    for start in range(0, len(names), LOCK_BATCH):
        batch = ["ONLY " + ".".join(_quoted(part) for part in name) for name in names[start : start + LOCK_BATCH]]
        cursor.execute(f"LOCK TABLE {', '.join(batch)} IN ACCESS SHARE MODE")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _one_line(error: BaseException) -> str:
    return mask(" ".join(str(error).split()))
