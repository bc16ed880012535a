"""Restore a physical set to a random second, see that it ends exactly there, and measure what that takes (V3)."""

from __future__ import annotations

import re
import time
from pathlib import Path

from .chain import Entry
from .context import Context
from .drill import DrillRequest
from .drill_checks import amcheck, checksums, emptied, look_into, read_living
from .drill_end import Seen, judge_end, look_at_heartbeats
from .drill_report import Drilled
from .drill_target import Target, choose_target, newest_backup
from .errors import BackupError, Code
from .job import Work
from .pgbackrest import RestoreRequest, free_bytes, no_space
from .scratch import QUIET, Scratch, ScratchPlace, as_user, discard, running, scratch_root
from .windows import told

# The copy, and the WAL that is replayed into it.
ROOM = 1.3
# What recovery may demand at least as much of as the cluster had, by the names of pg_controldata.
DEMANDED = {
    "max_connections": "max_connections",
    "max_worker_processes": "max_worker_processes",
    "max_wal_senders": "max_wal_senders",
    "max_prepared_xacts": "max_prepared_transactions",
    "max_locks_per_xact": "max_locks_per_transaction",
}


def foresee(context: Context, request: DrillRequest, place: ScratchPlace) -> str:
    """Say what would be restored; raises what stands against it."""
    if request.at is not None:
        backup, words = context.repository.set_for(request.at), told(request.at.timestamp())
    else:
        backup, words = newest_backup(context), "a random second, or all there is,"
    require_room(place, backup.size_bytes, backup.label)
    return f"{words} from {backup.label if request.at else 'the set that reaches it'}"


def restore(work: Work, request: DrillRequest, place: ScratchPlace, drilled: Drilled) -> None:
    """Restore, measure, and look for everything that is wrong."""
    context = work.context
    # What a killed drill left takes the room that this one needs.
    discard(place)
    target = choose_target(context, request.at, request.seed)
    entry = entry_of(context, target.backup.label)
    drilled.label, drilled.target, drilled.seed = target.backup.label, target.words, target.seed
    drilled.run_id = entry.manifest.run_id if entry else ""
    work.say(f"restores {drilled.label} to {drilled.target}, seed {drilled.seed}")
    require_room(place, target.backup.size_bytes, drilled.label)
    with scratch_root(place):
        drilled.begin()
        fetch(context, place, target)
        drilled.end("fetch")
        begun = time.time()
        with running(place, demanded(place)) as cluster:
            drilled.end("recovery")
            seen = first_query(cluster, context.config.cluster.database)
            drilled.end("open")
            # Without a target it holds what had arrived when its recovery began, and perhaps a little more.
            aim, bound = (target.at.timestamp(),) * 2 if target.at else (begun, time.time())
            check(context, place, cluster, drilled, seen=seen, aim=aim, bound=bound, exact=target.at is not None)
        drilled.problems += checksums(place)
        drilled.end("checks")


def check(
    context: Context,
    place: ScratchPlace,
    cluster: Scratch,
    drilled: Drilled,
    *,
    seen: Seen,
    aim: float,
    bound: float,
    exact: bool,
) -> None:
    """Judge where the restore ended, look into the database, and let pg_amcheck read all of it."""
    living = read_living(context, aim)
    drilled.rpo, problems = judge_end(seen, aim, bound=bound, beaten=living.beaten, exact=exact)
    drilled.problems += problems
    database = context.config.cluster.database
    connection = cluster.connect(database)
    try:
        found = look_into(connection, behind=living.behind)
    finally:
        connection.close()
    drilled.rows = found.rows
    drilled.problems += found.problems
    drilled.problems += emptied(found.counts, living.filled)
    drilled.problems += amcheck(place, cluster, database)


def require_room(place: ScratchPlace, size: int, what: str) -> None:
    """Raise NO_SPACE unless the restored cluster and its WAL would fit."""
    free, needed = free_bytes(place.root), int(size * ROOM)
    if free < needed:
        raise no_space(f"a drill of {what} needs {needed:,} bytes below {place.root}, {free:,} are free")


def fetch(context: Context, place: ScratchPlace, target: Target) -> None:
    """Copy the files of the backup, and everything it leans on."""
    context.repository.restore(
        RestoreRequest(
            place.data_dir,
            kind="time" if target.at else "default",
            at=target.at,
            label=target.backup.label,
            tablespace_dir=place.root / "side",
        )
    )


def demanded(place: ScratchPlace) -> dict[str, str]:
    """Return settings with which any WAL of the cluster can be replayed, letting nobody in before the end."""
    command = ["LC_ALL=C", str(place.bin_dir / "pg_controldata"), str(place.data_dir)]
    found = dict(re.findall(r"(?m)^(\w+) setting: +(\d+)$", as_user(place, command, seconds=60).stdout))
    missing = [name for name in DEMANDED if name not in found]
    if missing:
        raise BackupError(
            Code.RESTORE_FAILED,
            f"the control file of what was restored does not tell {missing[0]}",
            hint="see it with pg_controldata",
        )
    wanted = {setting: str(max(int(found[name]), int(QUIET.get(setting, "0")))) for name, setting in DEMANDED.items()}
    return {**wanted, "hot_standby": "off"}


def first_query(cluster: Scratch, database: str) -> Seen:
    """Ask the first question, by which a shop would be back."""
    connection = cluster.connect(database)
    try:
        return look_at_heartbeats(connection)
    finally:
        connection.close()


def entry_of(context: Context, label: str) -> Entry | None:
    """Return the set that stands for a backup, None when none is attested."""
    for entry in reversed(context.chain().entries):
        if entry.manifest.physical and entry.manifest.physical.label == label:
            return entry
    return None


def restore_command(data_dir: Path) -> str:
    """Return how the restored cluster would fetch its WAL."""
    found = re.findall(r"(?m)^restore_command = '(.*)'$", (data_dir / "postgresql.auto.conf").read_text())
    if not found:
        raise BackupError(Code.RESTORE_FAILED, "pgbackrest named no way to fetch WAL", hint="run the drill again")
    return str(found[-1]).replace("''", "'")
