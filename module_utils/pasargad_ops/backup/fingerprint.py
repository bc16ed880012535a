"""Say what a database holds in a few numbers, so that a restored one can be compared with the snapshot it came from."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection

from ..masking import mask
from .errors import BackupError, Code
from .manifest import Fingerprint

__all__ = ["Fingerprint", "differences", "fingerprints", "name_of", "sequence_values"]

# One core of a small server takes about 30 s for a gigabyte exactly, 12 s for a tenth of its rows.
EXACT_BYTES = 256 << 20
SEQUENCE_BATCH = 200
OBJECTS = "large objects"

# Whatever turns a value into text is fixed, so that a role's or a server's own settings change no fingerprint.
SETTINGS = {
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "iso_8601",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "xmlbinary": "base64",
    "search_path": "",
    "quote_all_identifiers": "off",
    # A policy that would hide rows raises an error instead.
    "row_security": "off",
    "statement_timeout": "0",
    "lock_timeout": "60s",
    "idle_in_transaction_session_timeout": "0",
    # A shop is served meanwhile: one core, and no compiler for thousands of small queries.
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
}

# Partitions hold the rows of a partitioned table; foreign tables hold none; materialized views are computed anew.
COLUMNS = """
    SELECT n.nspname, c.relname, pg_catalog.pg_table_size(c.oid),
           coalesce(array_agg(a.attname::text ORDER BY a.attname COLLATE "C")
                    FILTER (WHERE a.attname IS NOT NULL), '{{}}'),
           coalesce(array_agg(pg_catalog.format_type(a.atttypid, a.atttypmod) ORDER BY a.attname COLLATE "C")
                    FILTER (WHERE a.attname IS NOT NULL), '{{}}'),
           coalesce(array_agg(a.attname::text ORDER BY a.attname COLLATE "C")
                    FILTER (WHERE a.attnum = ANY (k.indkey::int2[])), '{{}}')
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_catalog.pg_index k ON k.indrelid = c.oid AND k.indisprimary
    WHERE c.relkind = 'r' AND {own}
    GROUP BY c.oid, n.nspname, c.relname ORDER BY c.oid
"""
SEQUENCES = """
    SELECT n.nspname, c.relname, s.seqincrement, s.seqcycle
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_sequence s ON s.seqrelid = c.oid
    WHERE {own} ORDER BY c.oid
"""
OWN = """c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass
                      AND d.objid = c.oid AND d.deptype = 'e')"""
# Read as a client reads them: pages may have holes, which a restored object has filled. 262144 is INV_READ.
LARGE_OBJECTS = """
    SELECT count(DISTINCT o.oid), coalesce(sum({hash}), 0)
    FROM (SELECT m.oid, pg_catalog.lo_lseek64(f.fd, 0, 2) AS size, pg_catalog.lo_close(f.fd)
          FROM pg_catalog.pg_largeobject_metadata m
          CROSS JOIN LATERAL (SELECT pg_catalog.lo_open(m.oid, 262144) AS fd OFFSET 0) f OFFSET 0) o
    CROSS JOIN LATERAL pg_catalog.generate_series(0, o.size / 1048576) AS piece(number)
"""


@dataclass(frozen=True)
class _Table:
    schema: str
    name: str
    bytes: int
    columns: tuple[str, ...]
    types: tuple[str, ...]
    key: tuple[str, ...]


def fingerprints(
    connection: Connection,
    snapshot_id: str = "",
    *,
    like: Mapping[str, Fingerprint] | None = None,
    exact_bytes: int = EXACT_BYTES,
) -> dict[str, Fingerprint]:
    """Return the fingerprint of each table, each sequence, and of the large objects, as `snapshot_id` sees them.

    Tables above `exact_bytes` that have a primary key are sampled; the seed is the snapshot's, so that each night looks
    at other rows. `like` holds the fingerprints of before: its samples are taken again, whatever size a table has now.
    The connection must be idle and another one than the snapshot's. Sequences stand outside snapshots: they are read
    first, so ask before the dump begins, and a restored one is never behind. Raises DUMP_FAILED when something cannot
    be read, DATABASE_UNREACHABLE when the connection is lost.
    """
    seed = int.from_bytes(hashlib.sha256(snapshot_id.encode()).digest()[:4], "big")
    doing = "the list of tables"
    try:
        with _reading(connection, snapshot_id) as cursor:
            doing = "the sequences"
            found = sequence_values(cursor)
            for table in _tables(cursor):
                doing = name_of(table.schema, table.name)
                found[doing] = _fingerprint(cursor, table, _sample(table, seed, exact_bytes, (like or {}).get(doing)))
            doing = OBJECTS
            cursor.execute(LARGE_OBJECTS.format(hash=_hash("ROW(o.oid, piece.number, " + LO_PIECE + ")::text")))
            number, total = cursor.fetchone()
            found[OBJECTS] = Fingerprint(number, str(total))
    except psycopg2.Error as error:
        lost = bool(connection.closed) or isinstance(error, psycopg2.InterfaceError)
        raise BackupError(
            Code.DATABASE_UNREACHABLE if lost else Code.DUMP_FAILED,
            f"no fingerprint of {doing}: {mask(' '.join(str(error).split()))}",
            hint="the role needs to read all rows (GRANT pg_read_all_data, BYPASSRLS); damaged pages: pg_amcheck",
        ) from error
    return found


LO_PIECE = "pg_catalog.lo_get(o.oid, piece.number * 1048576, 1048576)"


def name_of(schema: str, table: str) -> str:
    """Return the key of a table: always quoted, because each version reserves other words."""
    return f"{_quoted(schema)}.{_quoted(table)}"


def sequence_values(cursor: Any) -> dict[str, Fingerprint]:
    """Return the next value of each sequence, as it is now and not as the snapshot sees it."""
    cursor.execute(SEQUENCES.format(own=OWN))
    listed = cursor.fetchall()
    found = {}
    for start in range(0, len(listed), SEQUENCE_BATCH):
        batch = listed[start : start + SEQUENCE_BATCH]
        cursor.execute(
            " UNION ALL ".join(
                f"SELECT {number} AS number, last_value, is_called FROM {name_of(schema, name)}"  # noqa: S608
                for number, (schema, name, _, _) in enumerate(batch)
            )
        )
        for number, last, called in cursor.fetchall():
            schema, name, step, cycles = batch[number]
            found[f"sequence {name_of(schema, name)}"] = Fingerprint(
                last + step if called else last, step=0 if cycles else step
            )
    return found


@contextlib.contextmanager
def _reading(connection: Connection, snapshot_id: str) -> Iterator[Any]:
    connection.set_session(isolation_level="REPEATABLE READ", readonly=True, autocommit=False)
    try:
        with connection.cursor() as cursor:
            if snapshot_id:
                cursor.execute("SET TRANSACTION SNAPSHOT %s", (snapshot_id,))
            for name, value in SETTINGS.items():
                cursor.execute(f"SET LOCAL {name} = %s", (value,))
            yield cursor
    finally:
        with contextlib.suppress(psycopg2.Error):
            connection.rollback()


def _tables(cursor: Any) -> list[_Table]:
    cursor.execute(COLUMNS.format(own=OWN))
    return [
        _Table(schema, name, size, tuple(columns), tuple(types), tuple(key))
        for schema, name, size, columns, types, key in cursor.fetchall()
    ]


def _sample(table: _Table, seed: int, exact_bytes: int, before: Fingerprint | None) -> tuple[int, int]:
    """Return how many rows one stands for, and the seed that picks it."""
    if before is not None:
        return before.one_in, before.seed
    one_in = -(-table.bytes // max(1, exact_bytes)) if table.key else 1
    return (one_in, seed) if one_in > 1 else (1, 0)


def _fingerprint(cursor: Any, table: _Table, sample: tuple[int, int]) -> Fingerprint:
    one_in, seed = sample
    digest = f"coalesce(sum({_hash(_row(table.columns))}), 0)"
    if one_in > 1 and table.key:
        key = _hash(_row(table.key), seed)
        # The whole row is fetched and turned into text only where its key was picked.
        picked = f"sum({_hash(_row(table.columns))}) FILTER (WHERE {key} % {one_in} = 0)"
        digest = f"coalesce(sum({key}), 0) || '/' || coalesce({picked}, 0)"
    # Nothing but quoted names and numbers is put together here.
    cursor.execute(f"SELECT count(*), {digest} FROM ONLY {name_of(table.schema, table.name)} AS x")  # noqa: S608
    count, total = cursor.fetchone()
    shape = "\n".join(f"{name} {type_}" for name, type_ in zip(table.columns, table.types, strict=True))
    return Fingerprint(count, str(total), hashlib.sha256(shape.encode()).hexdigest()[:16], one_in, seed)


def _row(columns: Sequence[str]) -> str:
    # Named one by one, in the order of their names: inheritance may restore columns in another order. Inside a row's
    # text NULL and the empty string differ, and no value can run into the next.
    return f"ROW({', '.join('x.' + _quoted(name) for name in columns)})::text"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _hash(text: str, seed: int = 0) -> str:
    # 64 bits, the same in every version and on every machine of one byte order: hash partitions rest on it. A sum, not
    # XOR: two equal rows must not cancel out. COLLATE "C": other collations may hash sort keys.
    return f'pg_catalog.hashtextextended({text} COLLATE "C", {seed})'


def differences(before: Mapping[str, Fingerprint], after: Mapping[str, Fingerprint]) -> list[str]:
    """Return what a restored database holds other than the snapshot did, one line each; empty when nothing."""
    found = [f"{name} is missing" for name in before if name not in after]
    found += [f"{name} was not there" for name in after if name not in before]
    for name, old in before.items():
        if name in after and (line := _difference(old, after[name])):
            found.append(f"{name}: {line}")
    return sorted(found)


def _difference(old: Fingerprint, new: Fingerprint) -> str:
    if old == new:
        return ""
    if old.step != new.step:
        return f"steps by {new.step}, not by {old.step}"
    if old.step:
        behind = (new.count - old.count) * old.step < 0
        return f"went back from {old.count} to {new.count}" if behind else ""
    if not old.digest:
        return ""  # a sequence that may begin again
    if old.columns != new.columns:
        return "other columns or types"
    if old.count != new.count:
        return f"{old.count} became {new.count}"
    if (old.one_in, old.seed) != (new.one_in, new.seed):
        return "other rows were sampled; give the fingerprints of before as `like`"
    return "other content"
