"""Put the database back: a plan first, then beside the old cluster, then a swap; the old one is kept."""

from __future__ import annotations

import contextlib
import os
import pwd
from collections.abc import Iterator
from pathlib import Path

from ..config import ReleaseConfig
from ..lease import living_processes, owner_process
from ..lock import held
from ..outcome import Outcome
from ..whole_host import QUIESCE_SECONDS, whole_host
from . import archiver
from .context import Context
from .drill_checks import TABLES
from .errors import BackupError, Code
from .facts import last_heartbeat
from .job import Done, Job, Work, run_job
from .restore_plan import Plan, RestoreRequest, as_fetch, plan, slot_now
from .restore_swap import Service, Swap, archive_history, exchange, forget_recovery, service_of, settle
from .scratch import ScratchPlace, running, scratch_root
from .windows import told

__all__ = ["RestoreRequest", "restore", "settle_swap"]

RECOVERY = {"hot_standby": "off"}
PORT = 5495


def restore(
    context: Context, request: RestoreRequest, *, dry_run: bool = False, service: Service | None = None
) -> Outcome:
    """Plan a restore and, when it is confirmed, carry it out.

    Raises what stands against it before anything is touched: TARGET_TIME, TARGET_REFUSED, NO_SPACE, KEY, CLAIMED; later
    RESTORE_FAILED, and then the old cluster serves again. The shop is closed meanwhile, and stays closed afterwards
    until its release is deployed anew.
    """
    door = service or service_of(context.config.cluster)
    if words := settle_swap(context, service=door):
        return Outcome(True, words, {"code": 0, "lines": ["run the same command again for a new plan"]})
    if request.target == "database":
        from .restore_beside import restore_beside

        return restore_beside(context, request, dry_run=dry_run)
    planned = plan(context, request)
    if dry_run or not request.confirm:
        details = {"code": 0, "lines": list(planned.lines), "confirm": planned.word}
        return Outcome(False, "nothing was touched; this restore would go", details)
    if request.confirm != planned.word:
        raise BackupError(
            Code.TARGET_REFUSED,
            f"{request.confirm!r} confirms nothing here",
            hint=f"the word for this cluster is {planned.word}",
        )
    job = Job("restore", slot_now(), alone=True)
    return run_job(context, job, lambda work: _carry_out(work, planned, door))


def settle_swap(context: Context, *, service: Service | None = None) -> str:
    """Finish or undo a restore that a crash cut off between its renames; return in words what was done."""
    return settle(_journal(context), service or service_of(context.config.cluster))


def _journal(context: Context) -> Path:
    return context.config.state_dir / "restore.json"


def _carry_out(work: Work, planned: Plan, service: Service) -> Done:
    context = work.context
    cluster = context.config.cluster
    place = ScratchPlace(
        cluster.data_dir.with_name(f"{cluster.data_dir.name}.restore"), cluster.bin_dir, cluster.user, PORT
    )
    old = cluster.data_dir.with_name(f"{cluster.data_dir.name}.before-{work.job.slot}")
    with _closed(context):
        last_words = _let_wal_leave(work, planned)
        with scratch_root(place):
            work.say(f"restores {planned.backup.label} beside {cluster.data_dir}")
            context.repository.restore(as_fetch(planned, place.data_dir))
            work.say("recovers, and looks into what came back")
            found = _look(work, place, planned)
            forget_recovery(place.data_dir)
            archive_history(place.data_dir)
            swap = Swap(cluster.data_dir, place.data_dir, old, _journal(context), service)
            work.say("swaps the clusters")
            exchange(swap, lambda: _answers(context, planned))
    kept = f"the old cluster is kept in {old}; remove it when all is well: rm -r {old}" if old.exists() else ""
    lines = tuple(
        line
        for line in (
            f"restored to {told(planned.until)} from {planned.backup.label}; {found}",
            last_words,
            kept,
            "next: pasargad-ops backup physical --kind full --slot " + slot_now(),
            f"next: deploy.yml, then open the shop: rm {_maintenance(context)}" if _maintenance(context) else "",
        )
        if line
    )
    return Done(f"the database is as it was at {told(planned.until)}", lines=lines, details={"old": str(old)})


def _maintenance(context: Context) -> Path | None:
    path = context.config.release_config
    return ReleaseConfig.load(path).maintenance_file if path.exists() else None


@contextlib.contextmanager
def _closed(context: Context) -> Iterator[None]:
    """Have the database to oneself: no migration, and on a host that serves the shop no deploy and no shopper."""
    config = context.config
    if not config.release_config.exists():
        with held(config.quiesce_file, wait_seconds=QUIESCE_SECONDS, doing="a restore"):
            yield
        return
    release = ReleaseConfig.load(config.release_config)
    owner = owner_process(os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name, os.getpid())
    with whole_host(release, owner, living=living_processes(), doing="a restore of the cluster"):
        yield


def _let_wal_leave(work: Work, planned: Plan) -> str:
    """Have the last WAL of the old cluster archived, so that what it held can still be restored afterwards."""
    context = work.context
    if not planned.replaces.startswith(f"cluster {context.config.cluster.system_id}"):
        return ""
    try:
        with context.database() as connection:
            arrived = archiver.wal_arrives(connection, seconds=archiver.SWITCH_SECONDS)
    except BackupError as error:
        return f"the old cluster's last WAL was not archived: {error.message}"
    return "" if arrived else "the old cluster's last WAL did not reach the archive; it is in the old cluster alone"


def _look(work: Work, place: ScratchPlace, planned: Plan) -> str:
    """Start what came back where nobody reaches it; raises RESTORE_FAILED unless it is what was asked for."""
    database = work.context.config.cluster.database
    with running(place, RECOVERY) as cluster:
        connection = cluster.connect(database)
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT system_identifier::text, pg_is_in_recovery() FROM pg_control_system()")
                identifier, recovering = cursor.fetchone() or ("", True)
                cursor.execute(TABLES)
                tables = len(cursor.fetchall())
            beat = last_heartbeat(connection)
        finally:
            connection.close()
    newest = beat.at_ms / 1000 if beat else 0.0
    wrong = {
        f"it is cluster {identifier}": identifier == planned.system_id,
        "it has not ended its recovery": not recovering,
        f"it holds a heartbeat of {told(newest)}, after its target": planned.at is None or newest <= planned.until,
        "it has no tables": tables > 0,
    }
    for words, fine in wrong.items():
        if not fine:
            raise BackupError(
                Code.RESTORE_FAILED, f"what came back is not fit: {words}", hint="pasargad-ops backup sets"
            )
    return f"{tables} tables; newest heartbeat {told(newest) if newest else 'none'}"


def _answers(context: Context, planned: Plan) -> None:
    """Raise unless the swapped cluster answers as the one that was restored, and archives."""
    with context.database() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('archive_mode'), pg_is_in_recovery()")
        mode, recovering = cursor.fetchone() or ("", True)
        connection.rollback()
    if recovering:
        raise BackupError(
            Code.RESTORE_FAILED, "it recovers again", hint="postgresql.auto.conf holds a recovery target?"
        )
    if mode == "off" and not planned.replaces.startswith(("nothing", "the empty")):
        raise BackupError(Code.RESTORE_FAILED, "it would not archive", hint="archive_mode is off in its settings")
