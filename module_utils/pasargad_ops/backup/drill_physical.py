"""Restore a physical set to a random second, see that it ends exactly there, and measure what that takes (V3)."""

from __future__ import annotations

import random
import secrets
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from . import archiver
from .context import Context
from .drill import DrillRequest, be_nice
from .drill_checks import amcheck, checksums, look_into, sequences_behind
from .drill_report import Drilled, conclude
from .errors import BackupError, Code
from .facts import beat, last_heartbeat
from .job import Done, Work
from .pgbackrest import RestoreRequest, free_bytes, no_space
from .scratch import Scratch, ScratchPlace, running, scratch_root
from .windows import Backup, Windows, told

# One drill in four restores everything there is.
LATEST_SHARE = 0.25
# The copy, and the WAL that is replayed into it.
ROOM = 1.3
SETTINGS = {"hot_standby": "off"}


@dataclass(frozen=True)
class Target:
    """To where a drill restores; `at` None means everything that the archive holds."""

    at: datetime | None
    backup: Backup
    seed: int

    @property
    def words(self) -> str:
        return told(self.at.timestamp()) if self.at else "the newest point"


@dataclass
class Phases:
    """Seconds of each phase, in order."""

    seconds: dict[str, float] = field(default_factory=dict)
    _since: float = field(default_factory=time.monotonic)

    def end(self, name: str) -> None:
        """Note the phase that has just ended, and begin the next."""
        now = time.monotonic()
        self.seconds[name], self._since = now - self._since, now

    @property
    def rto(self) -> float:
        """Until the first query was answered; the checks after it are no part of getting the shop back."""
        return sum(seconds for name, seconds in self.seconds.items() if name != "checks")


def drill_physical(work: Work, request: DrillRequest, place: ScratchPlace) -> Done:
    """Run one drill; raises DRILL_FAILED, RPO_OVER, RTO_OVER after everything was told."""
    context = work.context
    be_nice()
    target = choose_target(context, request)
    work.say(f"restores {target.backup.label} to {target.words}, seed {target.seed}")
    require_room(place, target.backup)
    started = time.time()
    phases = Phases()
    with scratch_root(place):
        fetch(context, place, target)
        phases.end("fetch")
        with running(place, SETTINGS) as cluster:
            phases.end("recovery")
            seen = first_query(cluster, context.config.cluster.database)
            phases.end("open")
            rpo, problems = judge_end(seen, target, started)
            with_rows = look_and_check(place, cluster, context)
            problems += with_rows.problems
        problems += checksums(place)
        phases.end("checks")
    drilled = Drilled(
        kind="physical",
        target=target.words,
        seed=target.seed,
        run_id=run_id_of(context, target.backup),
        label=target.backup.label,
        phases=phases.seconds,
        rto=phases.rto,
        rpo=rpo,
        rows=with_rows.rows,
        problems=tuple(problems),
        level=3,
    )
    return conclude(work, drilled)


def choose_target(context: Context, request: DrillRequest) -> Target:
    """Choose the second: a given one, or one of all that can be restored; raises TARGET_TIME when there is none."""
    seed = request.seed if request.seed is not None else secrets.randbits(32)
    dice = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    if request.at is not None:
        return Target(request.at, context.repository.set_for(request.at), seed)
    latest = dice.random() < LATEST_SHARE
    if latest:
        return Target(None, newest_backup(context), seed)
    with context.database() as connection:
        mark = beat(connection)
        # What was written until now can be restored only once its segment has left.
        if not archiver.wal_arrives(connection, seconds=archiver.SWITCH_SECONDS):
            raise BackupError(
                Code.ARCHIVER, "WAL that was just written does not arrive in the repository", hint=archiver.LOOK
            )
    # A restore stops at the first commit after its target, so there has to be one: this heartbeat.
    second = random_second(context.repository.windows(), dice, mark.at_ms / 1000 - 1)
    at = datetime.fromtimestamp(second, UTC)
    return Target(at, context.repository.set_for(at), seed)


def random_second(known: Windows, dice: random.Random, until: float) -> float:
    """Return a moment, all that can be restored up to `until` being equally likely; raises TARGET_TIME."""
    spans = [(window.since, min(window.until, until)) for window in known.windows]
    spans = [(since, end) for since, end in spans if end > since]
    if not spans:
        raise BackupError(
            Code.TARGET_TIME,
            "no point in time can be restored yet",
            hint="make a physical set, wait a minute for its WAL: pasargad-ops backup physical",
        )
    rest = dice.random() * sum(end - since for since, end in spans)
    for since, end in spans:
        if rest <= end - since:
            return round(since + rest, 3)
        rest -= end - since
    return spans[-1][1]


def newest_backup(context: Context) -> Backup:
    """Return the newest backup of the present cluster; raises TARGET_TIME."""
    for backup in reversed(context.repository.info().current):
        if backup.stop_wal and not backup.error:
            return backup
    raise BackupError(Code.TARGET_TIME, "there is no physical set yet", hint="pasargad-ops backup physical")


def require_room(place: ScratchPlace, backup: Backup) -> None:
    """Raise NO_SPACE unless the restored cluster and its WAL would fit."""
    free, needed = free_bytes(place.root), int(backup.size_bytes * ROOM)
    if free < needed:
        raise no_space(f"a drill of {backup.label} needs {needed:,} bytes below {place.root}, {free:,} are free")


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


@dataclass(frozen=True)
class Seen:
    """The heartbeats of a restored database: the newest, Unix seconds, 0 for none."""

    newest: float


def first_query(cluster: Scratch, database: str) -> Seen:
    """Ask the first question, by which a shop would be back."""
    connection = cluster.connect(database)
    try:
        row = last_heartbeat(connection)
    finally:
        connection.close()
    return Seen(row.at_ms / 1000 if row else 0.0)


def judge_end(seen: Seen, target: Target, started: float) -> tuple[float, list[str]]:
    """Return what was lost in seconds, and what is wrong with where the restore ended."""
    aim = target.at.timestamp() if target.at else started
    if not seen.newest:
        return float("inf"), ["the restored database holds no heartbeat, so nobody can tell what was lost"]
    if seen.newest > aim:
        return 0.0, [f"it holds a heartbeat of {told(seen.newest)}, which is after its target {target.words}"]
    return aim - seen.newest, []


@dataclass
class Inside:
    """What the checks of a running scratch cluster found."""

    rows: int
    problems: list[str]


def look_and_check(place: ScratchPlace, cluster: Scratch, context: Context) -> Inside:
    """Look into the database, then let pg_amcheck read all of it."""
    database = context.config.cluster.database
    with context.database() as living:
        known = sequences_behind(living)
        living.rollback()
    connection = cluster.connect(database)
    try:
        found = look_into(connection, living=known)
    finally:
        connection.close()
    return Inside(found.rows, [*found.problems, *amcheck(place, cluster, database)])


def run_id_of(context: Context, backup: Backup) -> str:
    """Return the run id of the set that stands for a backup, empty when none is attested."""
    for entry in reversed(context.chain().entries):
        if entry.manifest.physical and entry.manifest.physical.label == backup.label:
            return entry.manifest.run_id
    return ""
