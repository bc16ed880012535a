"""Restore a logical set into a new database beside the shop's: to look something up, or to take a table over."""

from __future__ import annotations

from contextlib import closing

from ..outcome import Outcome
from .context import Context
from .drill_logical import identity_of, newest_logical
from .errors import BackupError, Code
from .half_database import connect, refuse_target
from .job import Done, Job, Work, run_job
from .logical_restore import LogicalTarget, compare_with, restore_logical
from .pgbackrest import free_bytes, no_space
from .restore_plan import ROOM, RestoreRequest, command, confirmation, refuse_nonsense, refuse_wrong_word, slot_now
from .status import size
from .windows import told


def restore_beside(context: Context, request: RestoreRequest, *, dry_run: bool = False) -> Outcome:
    """Plan it and, when it is confirmed, do it; the shop's own database is not touched.

    Raises TARGET_TIME for a point in time (a logical set has one moment), TARGET_REFUSED, KEY, NO_SPACE.
    """
    refuse_nonsense(request)
    if request.to == "time":
        raise BackupError(
            Code.TARGET_TIME,
            "a logical set has one moment only",
            hint="leave --database out to restore the cluster to a time, or name a set: pasargad-ops backup sets",
        )
    entry = newest_logical(context, request.seq)
    identity = identity_of(context, request.identity)
    superuser = {**context.libpq("postgres"), "PGUSER": context.config.cluster.user}
    with closing(connect(superuser, "postgres")) as admin:
        refuse_target(admin, entry.manifest, request.database)
    needed, free = int(entry.manifest.db.bytes * ROOM), free_bytes(context.config.cluster.data_dir)
    if free < needed:
        raise no_space(f"{request.database} needs {needed:,} bytes, {free:,} are free")
    word = confirmation(context.config.cluster.system_id)
    lines = [
        f"from      set {entry.seq}, the database as of {told(entry.manifest.times.snapshot_ms / 1000)}",
        f"into      the new database {request.database}; {context.config.cluster.database} stays as it is",
        f"disk      {size(needed)} needed, {size(free)} free",
        f"next      {command(request, context.config.file, confirm=word)}",
    ]
    if dry_run or not request.confirm:
        return Outcome(
            False, "nothing was touched; this restore would go", {"code": 0, "lines": lines, "confirm": word}
        )
    refuse_wrong_word(request, word)

    def body(work: Work) -> Done:
        target = LogicalTarget(superuser, request.database, context.config.cluster.bin_dir)
        restored = restore_logical(context, entry, target, identity, work.say)
        with closing(connect(superuser, request.database)) as connection:
            connection.autocommit = False
            problems = compare_with(connection, entry.manifest)
        if problems:
            raise BackupError(
                Code.RESTORE_FAILED,
                f"{request.database} is not what set {entry.seq} was made of: {problems[0]}",
                hint="take another set: pasargad-ops backup sets",
                details={"problems": problems},
            )
        words = f"set {entry.seq} is in the database {request.database}, equal to the snapshot"
        told_ = (f"{restored.rows:,} rows", f"remove it later: runuser -u postgres -- dropdb {request.database}")
        return Done(words, lines=told_)

    return run_job(context, Job("restore", slot_now(), quiesces=True), body)
