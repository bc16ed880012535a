"""Put the database back: a plan first, then beside the old cluster, then a swap; the old one is kept."""

from __future__ import annotations

import contextlib
import os
import pwd
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psycopg2

from ..config import ReleaseConfig
from ..lease import living_processes, owner_process
from ..lock import held
from ..outcome import Locked, Outcome
from ..whole_host import QUIESCE_SECONDS, whole_host
from . import archiver
from .context import Context
from .drill_checks import TABLES
from .errors import BackupError, Code
from .facts import beat, last_heartbeat
from .job import Done, Job, Work, as_failure, run_job
from .pgbackrest import free_bytes, no_space
from .restore_plan import Plan, RestoreRequest, as_fetch, plan, refuse_wrong_word, slot_now
from .restore_swap import SETTLE, Doors, Service, Swap, exchange, forget_recovery, open_swap, service_of, settle
from .restore_target import control_data
from .scratch import ScratchPlace, discard, running, scratch_root
from .windows import told

__all__ = ["RestoreRequest", "Service", "restore", "settle_swap"]

RECOVERY = {"hot_standby": "off"}
PORT = 5495
ANSWER_SECONDS = 120.0
# PostgreSQL compares microseconds, a heartbeat is told in rounded milliseconds.
ROUNDING_SECONDS = 0.001
# A recovery that has less than this has failed for want of a segment's room.
FULL_BYTES = 32 << 20
QUIET_TARGET = "recovery ended before configured recovery target was reached"


def restore(
    context: Context, request: RestoreRequest, *, dry_run: bool = False, service: Service | None = None
) -> Outcome:
    """Plan a restore and, when it is confirmed, carry it out.

    Raises what stands against it before anything is touched: TARGET_TIME, TARGET_REFUSED, WAL_GAP, NO_SPACE, KEY,
    VERSION_MISMATCH, CLAIMED, ARCHIVER; later RESTORE_FAILED, and then the old cluster serves again. The shop is closed
    meanwhile, and stays closed afterwards until its release is deployed anew.
    """
    door = service or service_of(context.config.cluster)
    if open_swap(_journal(context)) is not None:
        if dry_run:
            return Outcome(False, "a restore was cut off", {"code": 0, "lines": [f"first finish or undo it: {SETTLE}"]})
        settled = settle_swap(context, service=door)
        lines = [*settled.details["lines"], "run the same command again for a new plan"]
        return Outcome(True, settled.summary, {**settled.details, "lines": lines})
    if request.target == "database":
        from .restore_beside import restore_beside

        return restore_beside(context, request, dry_run=dry_run)
    if not dry_run:
        _clear(context)
    planned = plan(context, request)
    if dry_run or not request.confirm:
        details = {"code": 0, "lines": list(planned.lines), "confirm": planned.word}
        return Outcome(False, "nothing was touched; this restore would go", details)
    refuse_wrong_word(request, planned.word)
    job = Job("restore", slot_now(), alone=True)
    return run_job(context, job, lambda work: _carry_out(work, planned, door))


def settle_swap(context: Context, *, service: Service | None = None) -> Outcome:
    """Finish or undo a restore that a crash cut off between its renames, and clear away what one has left.

    Raises CLAIMED while a restore is at work, RESTORE_FAILED when neither cluster can be made to serve.
    """
    if open_swap(_journal(context)) is None:
        left = _clear(context)
        words = f"a restore that was cut off before its swap has left {left}: removed" if left else "nothing to settle"
        return Outcome(bool(left), words, {"code": 0, "lines": []})
    door = service or service_of(context.config.cluster)

    def body(work: Work) -> Done:
        swap = open_swap(_journal(context))
        if swap is None:
            return Done("another run has settled it", changed=False)
        words = settle(swap, _doors(context, door))
        discard(_place(context))
        if swap.old.exists():
            return Done(words, lines=tuple(filter(None, [_see_it_archive(context), *_afterwards(context, swap)])))
        return Done(words, lines=tuple(filter(None, [_still_closed(context)])))

    return run_job(context, Job("restore", f"settle-{slot_now()}", alone=True), body)


def _journal(context: Context) -> Path:
    return context.config.state_dir / "restore.json"


def _place(context: Context) -> ScratchPlace:
    cluster = context.config.cluster
    root = cluster.data_dir.with_name(f"{cluster.data_dir.name}.restore")
    return ScratchPlace(root, cluster.bin_dir, cluster.user, PORT)


def _doors(context: Context, service: Service) -> Doors:
    return Doors(_journal(context), service, partial(_answers, context), context.config.cluster.bin_dir)


def _clear(context: Context) -> str:
    """Remove what a restore that was killed has left beside the cluster, and say where that was; raises CLAIMED."""
    place = _place(context)
    if not place.root.exists():
        return ""
    try:
        with held(context.config.run_dir / "restore.lock", wait_seconds=0, doing="backup restore"):
            discard(place)
    except Locked as error:
        raise as_failure(error) from error
    return str(place.root)


def _carry_out(work: Work, planned: Plan, service: Service) -> Done:
    context, choice = work.context, planned.choice
    cluster, place = context.config.cluster, _place(context)
    with _closed(context):
        last_words, archives = _let_wal_leave(context, planned)
        with scratch_root(place):
            work.say(f"restores {choice.backup.label} beside {cluster.data_dir}")
            context.repository.restore(as_fetch(choice, place.data_dir))
            work.say("recovers, and looks into what came back")
            found, ends = _look(work, place, planned)
            forget_recovery(place.data_dir)
            swap = Swap(
                cluster.data_dir,
                place.data_dir,
                cluster.data_dir.with_name(f"{cluster.data_dir.name}.before-{work.job.slot}"),
                replaces=cluster.data_dir.exists(),
                timeline=int(control_data(cluster.bin_dir, place.data_dir)["Latest checkpoint's TimeLineID"]),
                archives=archives,
                label=choice.backup.label,
                until=ends,
            )
            work.say("swaps the clusters")
            exchange(swap, _doors(context, service))
        first_words = _see_it_archive(context)
    begun = f"restored from {choice.backup.label}; {found}"
    lines = (begun, last_words, first_words, *_afterwards(context, swap))
    details = {"old": str(swap.old) if swap.old.exists() else "", "label": swap.label, "timeline": swap.timeline}
    return Done(f"the database is as it was at {told(ends)}", lines=tuple(filter(None, lines)), details=details)


def _afterwards(context: Context, swap: Swap) -> tuple[str, ...]:
    """Say what belongs to a restore and is not done yet."""
    lines = []
    if swap.old.exists():
        lines.append(f"the old cluster is kept in {swap.old}; when all is well, remove it: rm -r {swap.old}")
        mine, other = (path / "postgresql.auto.conf" for path in (swap.data, swap.old))
        if _settings(mine) != _settings(other):
            lines.append(f"what was set by ALTER SYSTEM since the backup is not there: diff {other} {mine}")
    lines.append(f"next: pasargad-ops backup physical --kind full --slot {slot_now()}")
    release = _release(context)
    if release is None:
        shut = ReleaseConfig.maintenance_file
        lines.append(f"next: deploy.yml with the release of that time; then on every web host: rm -f {shut}")
    else:
        lines.append("next: deploy.yml with the release of that time, for the shop is closed")
        lines.append(f"then open it: rm -f {release.maintenance_file}")
    return tuple(lines)


def _settings(path: Path) -> list[str]:
    lines = path.read_text().splitlines() if path.exists() else []
    return sorted(line for line in lines if line.strip() and not line.startswith("#"))


def _still_closed(context: Context) -> str:
    release = _release(context)
    if release is None or not release.edge_is_shut:
        return ""
    return f"the shop is still closed; open it: rm {release.maintenance_file}, and run deploy.yml to start its workers"


def _release(context: Context) -> ReleaseConfig | None:
    path = context.config.release_config
    return ReleaseConfig.load(path) if path.exists() else None


@contextlib.contextmanager
def _closed(context: Context) -> Iterator[None]:
    """Have the database to oneself: no migration, and on a host that serves the shop no deploy and no shopper."""
    config, release = context.config, _release(context)
    if release is None:
        with held(config.quiesce_file, wait_seconds=QUIESCE_SECONDS, doing="a restore"):
            yield
        return
    owner = owner_process(os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name, os.getpid())
    with whole_host(release, owner, living=living_processes(), doing="a restore of the cluster"):
        yield


def _let_wal_leave(context: Context, planned: Plan) -> tuple[str, bool]:
    """Have the last WAL of the old cluster archived, so that what it held can still be restored afterwards.

    Returns what could not be done, and whether the cluster archives at all. Raises ARCHIVER where a restore to the
    newest point would lose what the running cluster still holds.
    """
    if planned.old.kind != "same":
        return "", False
    try:
        with context.database() as connection:
            mode = archiver.read_archiver(connection).mode
            # A restore to a time stops at the first commit after it, so there has to be one.
            with contextlib.suppress(psycopg2.Error):
                beat(connection)
            connection.rollback()
            arrived = mode != "off" and archiver.wal_arrives(connection, seconds=archiver.SWITCH_SECONDS)
    except (BackupError, psycopg2.Error) as error:
        words = error.message if isinstance(error, BackupError) else " ".join(str(error).split())
        return f"the old cluster's last WAL was not archived, and is in the old cluster alone: {words}", True
    if arrived:
        return "", True
    if planned.choice.fetch == "default":
        raise BackupError(
            Code.ARCHIVER,
            "the running cluster's last WAL does not reach the archive, so the newest point there is older than it",
            hint=f"{archiver.LOOK}; to lose it nevertheless, restore to a time that the archive has",
        )
    return "the old cluster's last WAL did not reach the archive; it is in the old cluster alone", mode != "off"


def _see_it_archive(context: Context) -> str:
    """See the new timeline's history and first WAL arrive; return what is in the way.

    Another restore right afterwards would else give its timeline the same number, and its WAL could never be archived.
    """
    try:
        with context.database() as connection:
            if archiver.read_archiver(connection).mode == "off" or archiver.wal_arrives(
                connection, seconds=archiver.SWITCH_SECONDS
            ):
                return ""
    except (BackupError, psycopg2.Error) as error:
        return f"nobody can tell whether it archives: {' '.join(str(error).split())}"
    return f"its WAL does not reach the archive, so restore nothing else before that is mended: {archiver.LOOK}"


def _look(work: Work, place: ScratchPlace, planned: Plan) -> tuple[str, float]:
    """Start what came back where nobody reaches it; raises RESTORE_FAILED unless it is what was asked for.

    Returns what is in it, and the moment at which it ends.
    """
    choice, database = planned.choice, work.context.config.cluster.database
    with (
        _told_of_its_cause(place, choice.until),
        running(place, RECOVERY) as cluster,
        contextlib.closing(cluster.connect(database)) as connection,
    ):
        with connection.cursor() as cursor:
            cursor.execute("SELECT system_identifier::text, pg_is_in_recovery() FROM pg_control_system()")
            identifier, recovering = cursor.fetchone() or ("", True)
            cursor.execute(TABLES)
            tables = len(cursor.fetchall())
        row = last_heartbeat(connection)
    newest = row.at_ms / 1000 if row else 0.0
    late = choice.at is not None and newest > choice.until + ROUNDING_SECONDS
    wrong = {
        f"it is cluster {identifier}": identifier == planned.system_id,
        "it has not ended its recovery": not recovering,
        f"it holds a heartbeat of {told(newest)}, after its target": not late,
        "it has no tables": tables > 0,
    }
    for words, fine in wrong.items():
        if not fine:
            raise BackupError(
                Code.RESTORE_FAILED, f"what came back is not fit: {words}", hint="pasargad-ops backup sets"
            )
    ends = choice.until if choice.at is not None else max(newest, choice.until)
    return f"{tables} tables; newest heartbeat {told(newest) if newest else 'none'}", ends


@contextlib.contextmanager
def _told_of_its_cause(place: ScratchPlace, until: float) -> Iterator[None]:
    """Say what to do where nothing was committed after the target, or the disk is full: PostgreSQL only tells of it."""
    try:
        yield
    except BackupError as error:
        if QUIET_TARGET in error.message:
            raise BackupError(
                Code.TARGET_TIME,
                f"the archive holds no commit after {told(until)}, so PostgreSQL cannot tell that it got there",
                hint="the newest point is the same: pasargad-ops backup restore latest",
            ) from error
        if free_bytes(place.root) < FULL_BYTES:
            raise no_space(f"the disk is full, so it cannot recover: {error.message}") from error
        raise


def _answers(context: Context, swap: Swap) -> None:
    """Raise RESTORE_FAILED unless the swapped cluster answers as the one that was restored, and archives."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            with context.database() as connection, connection.cursor() as cursor:
                cursor.execute(
                    "SELECT current_setting('archive_mode'), pg_is_in_recovery(),"
                    " (SELECT timeline_id FROM pg_control_checkpoint())"
                )
                mode, recovering, timeline = cursor.fetchone() or ("", True, 0)
                connection.rollback()
            break
        except BackupError as error:
            if error.code != Code.DATABASE_UNREACHABLE or time.monotonic() > deadline:
                raise
            time.sleep(0.25)
    wrong = {
        "it recovers again: postgresql.auto.conf holds a recovery target?": not recovering,
        f"it is on timeline {timeline}, not on {swap.timeline}: does another server answer?": timeline == swap.timeline,
        "it would not archive: archive_mode is off in its settings": mode != "off" or not swap.archives,
    }
    for words, fine in wrong.items():
        if not fine:
            raise BackupError(Code.RESTORE_FAILED, words, hint="look into its settings")
