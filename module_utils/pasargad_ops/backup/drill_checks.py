"""Look into a restored cluster: does it hold together, and does it end where it should."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from psycopg2.extensions import connection as Connection

from .scratch import Scratch, ScratchPlace, as_user

LONGEST_SECONDS = 6 * 3600.0
# Sequences that a column owns, by its default or as its identity.
OWNED = """
    SELECT format('%I.%I', sn.nspname, s.relname), format('%I.%I', tn.nspname, t.relname), quote_ident(a.attname),
           q.seqincrement
    FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
    JOIN pg_namespace sn ON sn.oid = s.relnamespace
    JOIN pg_class t ON t.oid = d.refobjid JOIN pg_namespace tn ON tn.oid = t.relnamespace
    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid JOIN pg_sequence q ON q.seqrelid = s.oid
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
      AND NOT q.seqcycle
    ORDER BY 1
"""
FOREIGN = """
    SELECT c.conname, c.conrelid::regclass::text, c.confrelid::regclass::text,
           (SELECT array_agg(quote_ident(a.attname) ORDER BY k.n) FROM unnest(c.conkey) WITH ORDINALITY k(num, n)
            JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.num),
           (SELECT array_agg(quote_ident(a.attname) ORDER BY k.n) FROM unnest(c.confkey) WITH ORDINALITY k(num, n)
            JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.num)
    FROM pg_constraint c WHERE c.contype = 'f' AND c.convalidated AND c.conparentid = 0 ORDER BY 1
"""
TABLES = """
    SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND c.relpersistence = 'p'
      AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
    ORDER BY 1
"""


@dataclass(frozen=True)
class Looked:
    """What a look found: `problems` in words, empty when all is well; `rows` counts every table's rows."""

    problems: tuple[str, ...]
    rows: int
    tables: int


def look_into(connection: Connection, *, living: Mapping[str, str] | None = None) -> Looked:
    """Count all rows, follow every foreign key, and compare each sequence with the column that it feeds.

    `living` are the sequences that are behind in the living database, too: an application that numbers its rows itself
    is no fault of the restore.
    """
    connection.set_session(readonly=True, autocommit=True)
    with connection.cursor() as cursor:
        cursor.execute("SET search_path = ''; SET jit = off")
        cursor.execute(TABLES)
        names = [name for (name,) in cursor.fetchall()]
        rows = 0
        for name in names:
            cursor.execute(f"SELECT count(*) FROM ONLY {name}")  # noqa: S608 - quoted by the server itself
            rows += (cursor.fetchone() or (0,))[0]
    behind = sequences_behind(connection)
    problems = [*orphans(connection), *(words for name, words in behind.items() if name not in (living or {}))]
    if not rows:
        problems.append("not one row was restored")
    return Looked(tuple(problems), rows, len(names))


def orphans(connection: Connection) -> list[str]:
    """Return the foreign keys that point to rows which are not there."""
    found = []
    with connection.cursor() as cursor:
        cursor.execute(FOREIGN)
        for name, child, parent, own, other in cursor.fetchall():
            joined = " AND ".join(f"p.{theirs} = c.{ours}" for ours, theirs in zip(own, other, strict=True))
            set_ = " AND ".join(f"c.{ours} IS NOT NULL" for ours in own)
            cursor.execute(
                f"SELECT count(*) FROM {child} c WHERE {set_} AND NOT EXISTS (SELECT FROM {parent} p WHERE {joined})"  # noqa: S608
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
    options = ["--install-missing", "--heapallindexed", f"--jobs={jobs}", f"--username={place.user}"]
    where = [f"--host={running.libpq['PGHOST']}", f"--port={running.libpq['PGPORT']}"]
    command = [str(place.bin_dir / "pg_amcheck"), *options, *where, f"--database={database}"]
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
