"""Prove that a drill can fail: damage what it restored, in each way that its checks are for, and see that they tell.

Each check is asked before the damage as well: one that always shouts notices nothing either.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from . import archiver
from .chain import Entry
from .context import Context
from .drill import DrillRequest
from .drill_checks import FOREIGN, amcheck, checksums, count_rows, emptied, orphans, sequences_behind
from .drill_end import Seen, judge_end, look_at_heartbeats
from .drill_physical import demanded, entry_of, fetch, require_room, restore_command
from .drill_report import Drilled
from .drill_target import Target, newest_backup
from .errors import BackupError, Code
from .facts import HEARTBEAT, beat, read_facts
from .fingerprint import fingerprints, name_of
from .job import Work
from .logical_restore import compare_with
from .manifest import Manifest, Table
from .scratch import ScratchPlace, discard, running, scratch_root

# Within the page's items, behind its header and its own checksum.
WHERE = 4000
# pgbackrest tells the arrival of WAL in whole seconds.
A_SECOND = 1.1


@dataclass
class Trials:
    """What was damaged, and whether it was noticed."""

    noticed: dict[str, bool] = field(default_factory=dict)
    wolves: list[str] = field(default_factory=list)

    def add(self, damage: str, before: Sequence[str], after: Sequence[str], *, clean: bool = True) -> None:
        """Note what a check said before and after a damage; a `clean` one must have been silent before."""
        self.noticed[damage] = bool({*after} - {*before})
        if clean and before:
            self.wolves.append(f"before any damage ({damage}) a check said: {before[0]}")

    @property
    def problems(self) -> list[str]:
        blind = [f"the drill is blind to {damage}" for damage, told in self.noticed.items() if not told]
        return blind + self.wolves

    @property
    def lines(self) -> list[str]:
        return [f"{'noticed' if told else 'NOT NOTICED'}: {damage}" for damage, told in self.noticed.items()]


def foresee(context: Context, _: DrillRequest, place: ScratchPlace) -> str:
    """Say what would be damaged; raises what stands against it."""
    backup = newest_backup(context)
    require_room(place, backup.size_bytes, backup.label)
    return f"and damage {backup.label}"


def restore(work: Work, _: DrillRequest, place: ScratchPlace, drilled: Drilled) -> None:
    """Restore the newest physical set, break it, and name each damage that no check noticed."""
    context = work.context
    discard(place)
    backup = newest_backup(context)
    drilled.label = backup.label
    entry = entry_of(context, backup.label)
    if entry is None:
        raise BackupError(
            Code.INTEGRITY, f"no set stands for {backup.label}", hint="attest it: pasargad-ops backup physical"
        )
    require_room(place, backup.size_bytes, backup.label)
    trials = Trials()
    at, needed = last_of_its_segment(context)
    with scratch_root(place):
        fetch(context, place, Target(at, context.repository.set_for(at, backup.label), 0))
        settings = demanded(place)
        trials.add(f"missing WAL ({needed})", [], recovers_without(place, settings, needed))
        with running(place, settings) as cluster:
            connection = cluster.connect(context.config.cluster.database)
            try:
                the_end(trials, connection, at.timestamp())
                the_rows(trials, connection, entry)
                table, file = largest_table(connection)
                a_lost_table(trials, connection, table)
            finally:
                connection.close()
            intact = amcheck(place, cluster, context.config.cluster.database)
        whole = checksums(place)
        flip(place.data_dir / file)
        trials.add("a flipped byte, by pg_checksums", whole, checksums(place))
        with running(place, settings) as cluster:
            after = amcheck(place, cluster, context.config.cluster.database)
            trials.add("a flipped byte, by pg_amcheck", intact, after)
    words = "Whether a drill noticed every damage that was done to what it restored."
    work.measure("pasargad_restore_drill_canary_detected", words, float(all(trials.noticed.values())))
    drilled.problems += trials.problems
    drilled.lines += trials.lines


def last_of_its_segment(context: Context) -> tuple[datetime, str]:
    """Write two heartbeats, and return a moment between them with the segment without which it cannot be reached."""
    with context.database() as connection, connection.cursor() as cursor:
        beat(connection)
        time.sleep(A_SECOND)
        cursor.execute("SELECT pg_walfile_name(pg_current_wal_insert_lsn())")
        (segment,) = cursor.fetchone() or ("",)
        mark = beat(connection)
        if not archiver.wal_arrives(connection, seconds=archiver.SWITCH_SECONDS):
            raise BackupError(Code.ARCHIVER, "WAL that was just written does not arrive", hint=archiver.LOOK)
    return datetime.fromtimestamp(mark.at_ms / 1000 - 1, UTC), str(segment)


def recovers_without(place: ScratchPlace, settings: dict[str, str], segment: str) -> list[str]:
    """Return what recovery says when a segment is missing that its target needs; empty when it opens all the same."""
    without = f"test %f != {segment} && {restore_command(place.data_dir)}"
    try:
        with running(place, {**settings, "restore_command": without}):
            return []
    except BackupError as error:
        if error.code != Code.RESTORE_FAILED:
            raise
        return [error.message]


def the_end(trials: Trials, connection: Connection, aim: float) -> None:
    """See that too late, too early and no heartbeats are noticed."""

    def judged(beaten: float) -> tuple[Seen, list[str]]:
        seen = look_at_heartbeats(connection)
        return seen, judge_end(seen, aim, bound=aim, beaten=beaten, exact=True)[1]

    seen, before = judged(aim)
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {HEARTBEAT} (at) VALUES (to_timestamp(%s))", (aim + 1,))  # noqa: S608
        trials.add("a heartbeat after the target", before, judged(aim)[1])
        connection.rollback()
        early = judge_end(replace(seen, newest=aim - 3600), aim, bound=aim, beaten=aim - 60, exact=True)[1]
        trials.add("a restore that ended an hour too early", before, early)
        cursor.execute(f"DELETE FROM {HEARTBEAT}")  # noqa: S608
        trials.add("a restore without heartbeats", before, judged(aim)[1])
    connection.rollback()


def the_rows(trials: Trials, connection: Connection, entry: Entry) -> None:
    """Damage rows in ways that only checks of ours can notice, each being undone."""
    manifest = as_it_is(entry, connection)
    with damage(connection) as cursor:
        cursor.execute(
            f"UPDATE {HEARTBEAT} SET at = at + interval '1 microsecond'"  # noqa: S608
            f" WHERE seq = (SELECT min(seq) FROM {HEARTBEAT})"
        )
        connection.commit()
    changed = compare_with(connection, manifest)
    schema, _, table = HEARTBEAT.partition(".")
    row = [words for words in changed if words.startswith(f"{name_of(schema, table)}: ")]
    trials.add("a changed value in a logical set", [words for words in changed if words not in row], row)
    # compare_with has left the session reading only.
    connection.set_session(isolation_level="READ COMMITTED", readonly=False, autocommit=False)
    _an_orphan(trials, connection)
    with damage(connection) as cursor:
        cursor.execute(f"SELECT pg_get_serial_sequence('{HEARTBEAT}', 'seq')")
        (sequence,) = cursor.fetchone() or (None,)
        before = [*sequences_behind(connection).values()]
        # No rollback undoes this; it is a scratch cluster.
        cursor.execute("SELECT setval(%s, 1, false)", (sequence,))
        trials.add("a sequence that went back", before, [*sequences_behind(connection).values()], clean=False)


def as_it_is(entry: Entry, connection: Connection) -> Manifest:
    """Return the manifest that a logical set of what was restored would have."""
    facts = read_facts(connection)
    tables = [Table(name, "", 0, found) for name, found in fingerprints(connection).items()]
    connection.set_session(isolation_level="READ COMMITTED", readonly=False, autocommit=False)
    return replace(entry.manifest, extensions=facts.extensions, django=facts.django, tables=tuple(tables))


@contextlib.contextmanager
def damage(connection: Connection) -> Iterator[Cursor]:
    """Open a transaction in which nobody enforces anything, and undo what was not committed."""
    with connection.cursor() as cursor:
        # As a restore that lost rows would look.
        cursor.execute("SET LOCAL session_replication_role = replica")
        try:
            yield cursor
        finally:
            connection.rollback()


def _an_orphan(trials: Trials, connection: Connection) -> None:
    """Take away one row to which others point; a database without such rows has nothing to be blind to."""
    before = orphans(connection)
    with damage(connection) as cursor:
        cursor.execute(FOREIGN)
        for name, child, parent, rows, others, _, joined in cursor.fetchall():
            if child == parent:
                continue
            cursor.execute(
                f"DELETE FROM {others} x WHERE x.ctid ="  # noqa: S608 - named by the server
                f" (SELECT p.ctid FROM {others} p JOIN {rows} c ON {joined} LIMIT 1)"
            )
            if cursor.rowcount:
                trials.add(f"a lost row to which others point ({name})", before, orphans(connection))
                return


def a_lost_table(trials: Trials, connection: Connection, table: str) -> None:
    """Take away all rows of a table, as a lost file would."""
    before = emptied(count_rows(connection), [table])
    with damage(connection) as cursor:
        cursor.execute(f"TRUNCATE ONLY {table} CASCADE")
        trials.add("a table without its rows", before, emptied(count_rows(connection), [table]))


def largest_table(connection: Connection) -> tuple[str, str]:
    """Return the name and the file of the largest of the shop's tables; raises DRILL_FAILED when all are empty."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT n.nspname, c.relname, pg_relation_filepath(c.oid) FROM pg_class c "
            "JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE c.relkind = 'r' AND n.nspname = 'public' AND pg_relation_size(c.oid) > 0 "
            "ORDER BY pg_relation_size(c.oid) DESC LIMIT 1"
        )
        row = cursor.fetchone()
    connection.rollback()
    if row is None:
        raise BackupError(
            Code.DRILL_FAILED, "the restored database holds no table to damage", hint="deploy the shop first"
        )
    return name_of(row[0], row[1]), str(row[2])


def flip(path: Path) -> None:
    """Change one byte in the middle of the file's first page."""
    with path.open("r+b") as file:
        file.seek(WHERE)
        (byte,) = file.read(1)
        file.seek(WHERE)
        file.write(bytes([byte ^ 0xFF]))
