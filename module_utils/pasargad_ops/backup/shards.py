"""Divide a database into shards that are dumped side by side, and name the command that makes each object of a set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MOST_SHARDS = 4
# Below this, starting a second pg_dump costs more than it saves.
SMALL_BYTES = 64 << 20
# Each named table is a query of pg_dump's over the whole catalogue; after the largest few, balance gains nothing.
MOST_NAMED = 64
LOCK_WAIT_MILLISECONDS = 60_000


@dataclass(frozen=True)
class Table:
    """A table that holds rows of its own: an ordinary one or a partition; `bytes` without its indexes."""

    oid: int
    schema: str
    name: str
    bytes: int


@dataclass(frozen=True)
class Shard:
    """What one pg_dump gives: exactly `tables`, or, as `others` says, everything but those that others give."""

    number: int
    tables: tuple[Table, ...]
    others: tuple[Table, ...] = ()

    @property
    def object(self) -> str:
        """The name of its object in a set."""
        return f"data-{self.number:03d}"


def shard_count(cores: int, total_bytes: int) -> int:
    """Return how many shards pay: one for a small database, else one for each core up to four."""
    return 1 if total_bytes < SMALL_BYTES else max(1, min(cores, MOST_SHARDS))


def plan(tables: Sequence[Table], shards: int) -> tuple[Shard, ...]:
    """Give each of the largest tables to the shard with the least so far, and all that is left to shard 0.

    Shard 0 is told what to leave out instead of what to take, so a table that nobody listed is still dumped. Fewer
    shards come back when there are fewer tables than shards.
    """
    ordered = sorted(tables, key=lambda table: (-table.bytes, table.oid))
    loads = [0] * max(1, shards)
    loads[0] = sum(table.bytes for table in ordered[MOST_NAMED:])
    given: list[list[Table]] = [[] for _ in loads]
    given[0] += ordered[MOST_NAMED:]
    for table in ordered[:MOST_NAMED]:
        # Of equal loads the last wins: what is left over, and what nobody listed, falls to shard 0 anyway.
        least = min(range(len(loads)), key=lambda number: (loads[number], -number))
        loads[least] += table.bytes
        given[least].append(table)
    named = [tuple(group) for group in given[1:] if group]
    others = tuple(table for group in named for table in group)
    rest = Shard(0, tuple(given[0]), others)
    return (rest, *(Shard(number, group) for number, group in enumerate(named, 1)))


def pattern(table: Table) -> str:
    """Return the pattern of pg_dump's that matches this table only.

    Between double quotes everything stands for itself, and a double quote is doubled: src/fe_utils/string_utils.c,
    patternToSQLRegex.
    """
    return ".".join('"' + part.replace('"', '""') + '"' for part in (table.schema, table.name))


def commands(
    shards: Sequence[Shard], *, snapshot: str, database: str, programs: Path | None = None
) -> dict[str, tuple[str, ...]]:
    """Return the command of each object of a set in the order of restoring: globals, pre, data-000 and on, post.

    Where the server is and who asks stands in the environment (PGHOST, PGUSER, PGDATABASE, PGPASSFILE), not here.
    `programs` is the directory of the server's own version, because Debian's /usr/bin/pg_dump picks one by itself.
    """
    everything = _pg_dump(programs, snapshot)
    found = {
        "globals": _pg_dumpall(programs, database),
        "pre": (*everything, "--section=pre-data"),
    }
    for shard in shards:
        # A name that does not match any more ends the dump, instead of making it smaller.
        chosen = [f"--exclude-table={pattern(table)}" for table in shard.others]
        if shard.number:
            chosen = ["--strict-names", *(f"--table={pattern(table)}" for table in shard.tables)]
        found[shard.object] = (*everything, "--section=data", *chosen)
    found["post"] = (*everything, "--section=post-data")
    return found


def _pg_dump(programs: Path | None, snapshot: str) -> tuple[str, ...]:
    return (
        _program(programs, "pg_dump"),
        "--format=custom",
        "--compress=0",  # PostgreSQL 15 knows gzip only; zstd follows in the pipeline
        "--encoding=UTF8",  # also the encoding in which the server reads the patterns
        "--quote-all-identifiers",  # a later version may have reserved a word that this one has not
        "--no-password",
        f"--lock-wait-timeout={LOCK_WAIT_MILLISECONDS}",
        f"--snapshot={snapshot}",
    )


def _pg_dumpall(programs: Path | None, database: str) -> tuple[str, ...]:
    name = database.replace("\\", "\\\\").replace("'", "\\'")
    return (
        _program(programs, "pg_dumpall"),
        "--globals-only",
        "--no-role-passwords",
        "--quote-all-identifiers",
        "--no-password",
        f"--database=dbname='{name}'",
    )


def _program(programs: Path | None, name: str) -> str:
    return name if programs is None else str(programs / name)
