"""Dump a database from one snapshot into the objects of a set, and say what that snapshot held."""

from __future__ import annotations

import contextlib
import ctypes
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from psycopg2.extensions import connection as Connection

from .context import Context
from .dump import Pipeline, snapshot
from .facts import Facts, read_facts
from .fingerprint import Fingerprint, fingerprints, name_of
from .manifest import Table
from .set_writer import SetWriter
from .shards import Shard, commands, plan, shard_count
from .side_by_side import side_by_side
from .snapshots import Snapshot
from .stopwatch import Stopwatch

# A fourth stream into S3 would need more than 128 MiB, and a shop is served meanwhile.
MOST_AT_ONCE = 3
# Of malloc.h; what is larger than this is mapped by itself.
M_MMAP_THRESHOLD, LARGE_BYTES = -3, 256 << 10
LARGE_OBJECTS = "SELECT pg_table_size('pg_catalog.pg_largeobject')"


@dataclass(frozen=True)
class Dumped:
    """What the snapshot of a set held; `snapshot_ms` is when it was taken, by the host's clock."""

    facts: Facts
    tables: tuple[Table, ...]
    snapshot_ms: int


def give_freed_blocks_back() -> None:
    """Let blocks that are freed go back to the system at once, where the C library can be told to (glibc).

    Left to itself it keeps more and more of them for each thread: 20 MiB with four shards.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)


def dump_database(context: Context, writer: SetWriter, watch: Stopwatch) -> Dumped:
    """Write every object of the database; raises DATABASE_UNREACHABLE, DUMP_FAILED, CONFIG for another cluster."""
    give_freed_blocks_back()
    with context.database() as holder, contextlib.ExitStack() as stack:
        with watch.phase("snapshot"):
            held = stack.enter_context(snapshot(holder))
        moment = round(time.time() * 1000)
        with context.database() as reader:
            facts, large = _facts(reader, held), _size_of_large_objects(reader)
            with watch.phase("fingerprints"):
                prints = fingerprints(reader, held.id)
        total = sum(table.bytes for table in held.tables) + large
        shards = plan(held.tables, shard_count(min(os.cpu_count() or 1, MOST_AT_ONCE), total))
        _write(context, writer, watch, held, shards, large)
    return Dumped(facts, tables_of(prints, shards), moment)


def _write(
    context: Context, writer: SetWriter, watch: Stopwatch, held: Snapshot, shards: tuple[Shard, ...], large: int
) -> None:
    cluster = context.config.cluster
    made = commands(shards, snapshot=held.id, database=cluster.database, programs=cluster.bin_dir)
    recipients, environment = context.config.recipients_file, context.libpq()
    # Shard 0 has what nobody listed, and with it the large objects.
    sizes = {shard.object: sum(table.bytes for table in shard.tables) for shard in shards}
    sizes[shards[0].object] += large

    def write(role: str, beside: int = 1) -> None:
        writer.write(role, Pipeline(made[role], recipients, environment), sizes.get(role, 0), beside)

    with watch.phase("data"):
        side_by_side([partial(write, role, len(sizes)) for role in sizes], len(sizes), writer.end)
    with watch.phase("schema"):
        for role in made:
            if role not in sizes:
                write(role)


def tables_of(prints: Mapping[str, Fingerprint], shards: tuple[Shard, ...]) -> tuple[Table, ...]:
    """Return what a manifest says of each fingerprint: which object restores it, and its size where it has one."""
    where = {
        name_of(table.schema, table.name): (shard.object, table.bytes) for shard in shards for table in shard.tables
    }
    rest = (shards[0].object, 0)
    return tuple(Table(name, *where.get(name, rest), found) for name, found in sorted(prints.items()))


def _facts(reader: Connection, held: Snapshot) -> Facts:
    """Return the facts as the snapshot sees them, with its own place in the WAL."""
    facts = read_facts(reader, held.id)
    wal_file = facts.server.wal_file
    if wal_file:
        with reader.cursor() as cursor:
            cursor.execute("SELECT pg_walfile_name(%s)", (held.wal_position,))
            (wal_file,) = cursor.fetchone() or ("",)
        reader.rollback()
    return replace(facts, server=replace(facts.server, lsn=held.wal_position, wal_file=wal_file))


def _size_of_large_objects(reader: Connection) -> int:
    with reader.cursor() as cursor:
        cursor.execute(LARGE_OBJECTS)
        (size,) = cursor.fetchone() or (0,)
    reader.rollback()
    return int(size)
