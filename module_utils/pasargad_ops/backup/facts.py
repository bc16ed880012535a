"""Read what a manifest says of the cluster and its database, and keep the heartbeat by which loss is measured."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from psycopg2.extensions import connection as Connection

from .manifest import Database, Heartbeat, Server

# The row of each minute tells, in whatever was restored, up to which moment it holds everything.
HEARTBEAT = "pasargad_ops.heartbeat"
KEEP_HEARTBEATS = "45 days"

SERVER = """
    SELECT (SELECT system_identifier::text FROM pg_control_system()), current_setting('server_version_num')::int,
           (SELECT timeline_id FROM pg_control_checkpoint()),
           CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END::text
"""
# The locale of ICU has another name in each version: it is found by any of them.
DATABASE = """
    SELECT datname, pg_encoding_to_char(encoding), datcollate,
           coalesce(pg_database_collation_actual_version(oid), ''), pg_database_size(oid), datctype,
           datlocprovider::text, coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale', ''),
           pg_get_userbyid(datdba)
    FROM pg_database d WHERE datname = current_database()
"""
LAST_HEARTBEAT = f"""
    SELECT seq, (extract(epoch FROM at) * 1000)::bigint FROM {HEARTBEAT}
    WHERE at <= to_timestamp(%s) ORDER BY seq DESC LIMIT 1
"""  # noqa: S608


@dataclass(frozen=True)
class Facts:
    """What a database says of itself and of its cluster."""

    server: Server
    database: Database
    extensions: dict[str, str]
    django: dict[str, str]
    heartbeat: Heartbeat | None


def read_facts(connection: Connection, snapshot_id: str = "") -> Facts:
    """Return the facts as one transaction sees them, or as an exported snapshot does; the session is left idle."""
    with connection.cursor() as cursor:
        if snapshot_id:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            cursor.execute("SET TRANSACTION SNAPSHOT %s", (snapshot_id,))
        cursor.execute(SERVER)
        identifier, version, timeline, lsn = _row(cursor)
        cursor.execute("SELECT pg_is_in_recovery()")
        wal_file = ""
        if not _row(cursor)[0]:
            cursor.execute("SELECT pg_walfile_name(%s)", (lsn,))
            wal_file = _row(cursor)[0]
        cursor.execute(DATABASE)
        database = Database(*_row(cursor))
        cursor.execute("SELECT extname, extversion FROM pg_extension ORDER BY extname")
        extensions = dict(cursor.fetchall())
        django = {}
        if _exists(cursor, "public.django_migrations"):
            cursor.execute("SELECT app, max(name) FROM public.django_migrations GROUP BY app ORDER BY app")
            django = dict(cursor.fetchall())
        heartbeat = last_heartbeat(connection)
    connection.rollback()
    return Facts(Server(identifier, version, timeline, lsn, wal_file), database, extensions, django, heartbeat)


def last_heartbeat(connection: Connection, *, until: float = math.inf) -> Heartbeat | None:
    """Return the newest row of the heartbeat up to `until` (Unix seconds), None where there is no such table or row."""
    with connection.cursor() as cursor:
        if not _exists(cursor, HEARTBEAT):
            return None
        cursor.execute(LAST_HEARTBEAT, (until,))
        row = cursor.fetchone()
    return Heartbeat(*row) if row else None


def beat(connection: Connection) -> Heartbeat:
    """Write the row of this minute, and drop those that no restore asks for any more."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {HEARTBEAT} DEFAULT VALUES RETURNING seq, (extract(epoch FROM at) * 1000)::bigint"  # noqa: S608
        )
        found = Heartbeat(*_row(cursor))
        cursor.execute(f"DELETE FROM {HEARTBEAT} WHERE at < now() - %s::interval", (KEEP_HEARTBEATS,))  # noqa: S608
    connection.commit()
    return found


def _exists(cursor: Any, name: str) -> bool:
    cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (name,))
    return bool(_row(cursor)[0])


def _row(cursor: Any) -> tuple[Any, ...]:
    return tuple(cursor.fetchone() or ())
