"""Restore a logical set into a fresh cluster, and compare it with the snapshot that it was made of (V4)."""

from __future__ import annotations

from pathlib import Path

from .chain import Entry
from .context import Context
from .drill import DrillRequest, be_nice
from .drill_checks import amcheck, look_into
from .drill_physical import ROOM, Phases
from .drill_report import Drilled, conclude
from .errors import BackupError, Code
from .job import Done, Work
from .logical_restore import LogicalTarget, compare_with, restore_logical
from .pgbackrest import free_bytes, no_space
from .scratch import ScratchPlace, initdb, running, scratch_root
from .windows import told

DATABASE = "drilled"
OFFLINE = (
    "bring the offline key: ansible-playbook playbooks/drill.yml -e identity_file=PATH; or --identity FILE on the host"
)


def drill_logical(work: Work, request: DrillRequest, place: ScratchPlace) -> Done:
    """Run one drill; raises KEY without an identity, DRILL_FAILED when it is not equal, RTO_OVER."""
    context = work.context
    be_nice()
    identity = identity_of(context, request.identity)
    entry = newest_logical(context, request.seq)
    manifest = entry.manifest
    needed, free = int(manifest.db.bytes * ROOM), free_bytes(place.root)
    if free < needed:
        raise no_space(f"a drill of set {entry.seq} needs {needed:,} bytes below {place.root}, {free:,} are free")
    work.say(f"restores set {entry.seq} of {told(manifest.times.snapshot_ms / 1000)}")
    phases = Phases()
    with scratch_root(place):
        initdb(place)
        with running(place) as cluster:
            phases.end("cluster")
            target = LogicalTarget(cluster.libpq, DATABASE, place.bin_dir)
            restored = restore_logical(context, entry, target, identity, work.say)
            phases.end("fetch")
            connection = cluster.connect(DATABASE)
            try:
                problems = compare_with(connection, manifest)
                phases.end("open")
                looked = look_into(connection, living={})
            finally:
                connection.close()
            # A sequence that the application feeds itself is as far behind as it was.
            problems += [words for words in looked.problems if "would give out" not in words]
            problems += amcheck(place, cluster, DATABASE)
        phases.end("checks")
    drilled = Drilled(
        kind="logical",
        target=told(manifest.times.snapshot_ms / 1000),
        run_id=manifest.run_id,
        label=f"set {entry.seq}",
        phases={**phases.seconds, **{f"restore-{name}": seconds for name, seconds in restored.phases.items()}},
        rto=phases.rto,
        # The snapshot is the set's own: how old it may become is for the times between sets.
        rpo=0.0,
        rows=looked.rows,
        problems=tuple(problems),
        level=4,
    )
    return conclude(work, drilled)


def identity_of(context: Context, given: Path | None) -> Path:
    """Return the key that opens logical sets; raises KEY when there is none here."""
    identity = given or context.config.identity_file
    if identity is None:
        raise BackupError(Code.KEY, "no key that opens logical sets is on this host, as it should be", hint=OFFLINE)
    return identity


def newest_logical(context: Context, seq: int = 0) -> Entry:
    """Return the set with this number, or the newest logical one; raises TARGET_REFUSED."""
    entries = [entry for entry in context.chain().offered if entry.manifest.kind == "logical"]
    for entry in reversed(entries):
        if seq in (0, entry.seq):
            return entry
    what = f"there is no logical set {seq}" if seq else "there is no logical set yet"
    raise BackupError(Code.TARGET_REFUSED, what, hint="pasargad-ops backup sets")
