"""Prove that a drill can fail: damage what it restored, in each way that its checks are for, and see that they tell."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from psycopg2.extensions import connection as Connection

from .drill import DrillRequest, be_nice
from .drill_checks import FOREIGN, amcheck, checksums, orphans, sequences_behind
from .drill_physical import SETTINGS, Seen, Target, fetch, first_query, judge_end, newest_backup, require_room
from .errors import BackupError, Code
from .job import Done, Work
from .scratch import ScratchPlace, running, scratch_root

PAGE_BYTES = 8192
# Within the page's items, behind its header and its own checksum.
WHERE = 4000


def canary(work: Work, request: DrillRequest, place: ScratchPlace) -> Done:
    """Restore the newest physical set and break it; raises DRILL_FAILED, naming each damage that no check noticed."""
    context = work.context
    be_nice()
    backup = newest_backup(context)
    require_room(place, backup)
    database = context.config.cluster.database
    caught: dict[str, bool] = {}
    with scratch_root(place):
        fetch(context, place, Target(None, backup, 0))
        with running(place, SETTINGS) as cluster:
            seen = first_query(cluster, database)
            caught["a heartbeat later than the target"] = bool(_late(seen, Target(None, backup, 0)))
            caught["a restore without heartbeats"] = bool(judge_end(Seen(0.0), Target(None, backup, 0), 1.0)[1])
            connection = cluster.connect(database)
            try:
                caught |= _in_the_database(connection)
                damaged = _file_of_the_largest_table(connection, place)
            finally:
                connection.close()
        flip(damaged)
        caught["a flipped byte, by pg_checksums"] = bool(checksums(place))
        caught["a flipped byte, by pg_amcheck"] = _amcheck_tells(place, database)
    blind = [name for name, told in caught.items() if not told]
    words = "Whether a drill noticed every damage that was done to what it restored."
    work.measure("pasargad_restore_drill_canary_detected", words, float(not blind))
    lines = tuple(f"{'noticed' if told else 'NOT NOTICED'}: {name}" for name, told in caught.items())
    if blind:
        raise BackupError(
            Code.DRILL_FAILED,
            f"the drill is blind to {', '.join(blind)}",
            hint="do not trust the drills until this is mended; report it",
            details={"blind": blind},
        )
    return Done(
        f"a drill notices all {len(caught)} kinds of damage", changed=False, lines=lines, details={"caught": [*caught]}
    )


def _late(seen: Seen, target: Target) -> list[str]:
    """Judge a restore as if its target had been a minute before the newest row that it holds."""
    before = Target(datetime.fromtimestamp(seen.newest - 60, UTC), target.backup, 0)
    return judge_end(seen, before, 0.0)[1]


def _in_the_database(connection: Connection) -> dict[str, bool]:
    """Damage rows in ways that only a check of ours can notice; without foreign keys or rows there are none."""
    caught: dict[str, bool] = {}
    with connection.cursor() as cursor:
        # As a restore that lost rows would look: nobody enforces anything meanwhile.
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(FOREIGN)
        for name, child, parent, _, _ in cursor.fetchall():
            # Only what is followed from somewhere else can leave an orphan.
            cursor.execute(f"SELECT EXISTS (SELECT FROM {child})")  # noqa: S608 - named by the server
            if child != parent and (cursor.fetchone() or (False,))[0]:
                known = len(orphans(connection))
                cursor.execute(f"DELETE FROM {parent}")  # noqa: S608
                caught[f"lost rows that others point to ({name})"] = len(orphans(connection)) > known
                break
    connection.rollback()
    known = len(sequences_behind(connection))
    caught |= _set_back(connection, known)
    connection.rollback()
    return caught


def _set_back(connection: Connection, known: int) -> dict[str, bool]:
    """Set the heartbeat's sequence back, which no rollback undoes; only a scratch cluster is handed in here."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_get_serial_sequence('pasargad_ops.heartbeat', 'seq'), count(*) FROM pasargad_ops.heartbeat"
        )
        sequence, rows = cursor.fetchone() or (None, 0)
        if not sequence or not rows:
            return {}
        cursor.execute("SELECT setval(%s, 1, false)", (sequence,))
        return {"a sequence that went back": len(sequences_behind(connection)) > known}


def _file_of_the_largest_table(connection: Connection, place: ScratchPlace) -> Path:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_relation_filepath(c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE c.relkind = 'r' AND n.nspname = 'public' ORDER BY pg_relation_size(c.oid) DESC LIMIT 1"
        )
        row = cursor.fetchone()
        cursor.execute("CHECKPOINT")
    if row is None:
        raise BackupError(
            Code.DRILL_FAILED, "the restored database holds no table to damage", hint="deploy the shop first"
        )
    return place.data_dir / str(row[0])


def flip(path: Path) -> None:
    """Change one byte in the middle of the file's first page."""
    with path.open("r+b") as file:
        file.seek(WHERE)
        (byte,) = file.read(1) or b"\0"
        file.seek(WHERE)
        file.write(bytes([byte ^ 0xFF]))


def _amcheck_tells(place: ScratchPlace, database: str) -> bool:
    with running(place, SETTINGS) as cluster:
        return bool(amcheck(place, cluster, database))
