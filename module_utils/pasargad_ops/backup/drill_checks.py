"""Look into a restored cluster: does it hold together, and does it end where it should."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from .context import Context
from .facts import last_heartbeat
from .fingerprint import name_of
from .scratch import Scratch, ScratchPlace, as_user

LONGEST_SECONDS = 6 * 3600.0
# A smaller table may be empty for a while, such as a queue.
FILLED_ROWS = 100
# Sequences that a column of numbers owns, by its default or as its identity.
OWNED = """
    SELECT format('%I.%I', sn.nspname, s.relname), format('%I.%I', tn.nspname, t.relname), quote_ident(a.attname),
           q.seqincrement
    FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
    JOIN pg_namespace sn ON sn.oid = s.relnamespace
    JOIN pg_class t ON t.oid = d.refobjid JOIN pg_namespace tn ON tn.oid = t.relnamespace
    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid JOIN pg_sequence q ON q.seqrelid = s.oid
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
      AND NOT q.seqcycle AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
    ORDER BY 1
"""
# Each key with how its rows are found: by the very operators that enforce it, and in the very tables, without heirs.
FOREIGN = """
    SELECT c.conname, c.conrelid::regclass::text, c.confrelid::regclass::text,
           CASE child.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END || c.conrelid::regclass,
           CASE parent.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END || c.confrelid::regclass,
           (SELECT string_agg(format('c.%I IS NOT NULL', a.attname), ' AND ' ORDER BY k.n)
            FROM unnest(c.conkey) WITH ORDINALITY k(num, n)
            JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.num),
           (SELECT string_agg(format('p.%I OPERATOR(%I.%s) c.%I', theirs.attname, n.nspname, o.oprname, ours.attname),
                              ' AND ')
            FROM unnest(c.conkey, c.confkey, c.conpfeqop) k(ours, theirs, op)
            JOIN pg_attribute ours ON ours.attrelid = c.conrelid AND ours.attnum = k.ours
            JOIN pg_attribute theirs ON theirs.attrelid = c.confrelid AND theirs.attnum = k.theirs
            JOIN pg_operator o ON o.oid = k.op JOIN pg_namespace n ON n.oid = o.oprnamespace)
    FROM pg_constraint c JOIN pg_class child ON child.oid = c.conrelid JOIN pg_class parent ON parent.oid = c.confrelid
    WHERE c.contype = 'f' AND c.convalidated AND c.conparentid = 0 ORDER BY 1, 2
"""
TABLES = """
    SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND c.relpersistence = 'p'
      AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
    ORDER BY 1, 2
"""


@dataclass(frozen=True)
class Living:
    """What the living database tells beforehand.

    `beaten` is its newest heartbeat up to a moment (Unix seconds, 0 for none), `behind` the sequences that are behind
    there, too: an application that numbers its rows itself is no fault of a restore. `filled` are the tables that held
    many rows in the newest logical set before that moment, and are not empty now.
    """

    beaten: float
    behind: Mapping[str, str]
    filled: tuple[str, ...]


def read_living(context: Context, aim: float) -> Living:
    """Ask the living database what a restore to `aim` is to be compared with."""
    before = filled_before(context, aim)
    with context.database() as connection:
        row = last_heartbeat(connection, until=aim)
        with connection.cursor() as cursor:
            cursor.execute("SET search_path = ''")
            filled = tuple(name for name in before if _has_rows(cursor, name))
        behind = sequences_behind(connection)
        connection.rollback()
    return Living(row.at_ms / 1000 if row else 0.0, behind, filled)


def filled_before(context: Context, aim: float) -> list[str]:
    """Return the tables that held many rows in the newest logical set before `aim`."""
    for entry in reversed(context.chain().offered):
        if entry.manifest.kind == "logical" and entry.manifest.times.snapshot_ms / 1000 <= aim:
            tables = [table for table in entry.manifest.tables if table.fingerprint.columns]
            return [table.name for table in tables if table.fingerprint.count >= FILLED_ROWS]
    return []


def _has_rows(cursor: Cursor, name: str) -> bool:
    cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (name,))
    if not (cursor.fetchone() or (False,))[0]:
        return False
    cursor.execute(f"SELECT EXISTS (SELECT FROM ONLY {name})")  # noqa: S608 - quoted when its set was made
    return bool((cursor.fetchone() or (False,))[0])


def emptied(counts: Mapping[str, int], filled: Iterable[str]) -> list[str]:
    """Return the tables that were lost with all their rows: no index and no checksum tells of a file that is empty."""
    return [f"{name} is empty, and was filled before and after" for name in filled if not counts.get(name)]


@dataclass(frozen=True)
class Looked:
    """What a look found: `problems` in words, empty when all is well; `counts` are the rows of every table."""

    problems: tuple[str, ...]
    counts: Mapping[str, int]

    @property
    def rows(self) -> int:
        return sum(self.counts.values())


def look_into(connection: Connection, *, behind: Mapping[str, str] | None = None) -> Looked:
    """Count all rows, follow every foreign key, and compare each sequence with the column that it feeds.

    `behind` are the sequences that may be behind; without it they are not looked at.
    """
    connection.set_session(readonly=True, autocommit=True)
    with connection.cursor() as cursor:
        cursor.execute("SET search_path = ''; SET jit = off")
    counts = count_rows(connection)
    problems = orphans(connection)
    if behind is not None:
        problems += [words for name, words in sequences_behind(connection).items() if name not in behind]
    if not any(counts.values()):
        problems.append("not one row was restored")
    return Looked(tuple(problems), counts)


def count_rows(connection: Connection) -> dict[str, int]:
    """Return how many rows each table holds, by its quoted name."""
    counts = {}
    with connection.cursor() as cursor:
        cursor.execute(TABLES)
        for schema, table in cursor.fetchall():
            name = name_of(schema, table)
            cursor.execute(f"SELECT count(*) FROM ONLY {name}")  # noqa: S608 - quoted
            (counts[name],) = cursor.fetchone() or (0,)
    return counts


def orphans(connection: Connection) -> list[str]:
    """Return the foreign keys that point to rows which are not there."""
    found = []
    with connection.cursor() as cursor:
        cursor.execute(FOREIGN)
        for name, child, _, rows, others, given, joined in cursor.fetchall():
            cursor.execute(
                f"SELECT count(*) FROM {rows} c WHERE {given} AND NOT EXISTS (SELECT FROM {others} p WHERE {joined})"  # noqa: S608
            )
            (count,) = cursor.fetchone() or (0,)
            if count:
                found.append(f"{count} rows of {child} point nowhere ({name})")
    return found


def sequences_behind(connection: Connection) -> dict[str, str]:
    """Return the sequences that would give out a number which is taken, with what is wrong in words."""
    found = {}
    with connection.cursor() as cursor:
        cursor.execute(OWNED)
        for sequence, table, column, step in cursor.fetchall():
            extreme = "max" if step > 0 else "min"
            cursor.execute(f"SELECT last_value, is_called, (SELECT {extreme}({column}) FROM {table}) FROM {sequence}")  # noqa: S608
            last, called, used = cursor.fetchone() or (0, False, None)
            upcoming = last + step if called else last
            if used is not None and (upcoming <= used if step > 0 else upcoming >= used):
                found[sequence] = f"{sequence} would give out {upcoming}, and {table} has {used}"
    return found


def amcheck(place: ScratchPlace, running: Scratch, database: str, *, jobs: int = 2) -> list[str]:
    """Let pg_amcheck read every table and index of a database; return what it says when it finds damage."""
    where = [f"{name}={value}" for name, value in running.libpq.items()]
    options = ["--install-missing", "--heapallindexed", f"--jobs={jobs}", f"--database={database}"]
    command = [*where, str(place.bin_dir / "pg_amcheck"), *options]
    done = as_user(place, command, seconds=LONGEST_SECONDS)
    if done.code == 0:
        return []
    return [f"pg_amcheck: {line}" for line in (done.stdout or done.stderr).splitlines()[:6]] or ["pg_amcheck failed"]


def checksums(place: ScratchPlace) -> list[str]:
    """Read every page of the stopped cluster; return what pg_checksums says when one is wrong."""
    command = [str(place.bin_dir / "pg_checksums"), "--check", f"--pgdata={place.data_dir}"]
    done = as_user(place, command, seconds=LONGEST_SECONDS)
    if done.code == 0:
        return []
    words = [line for line in (done.stderr + done.stdout).splitlines() if "failed" in line or "error" in line]
    return [f"pg_checksums: {line}" for line in words[:6]] or ["pg_checksums found wrong pages"]
