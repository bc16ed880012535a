"""Restore a logical set into a fresh cluster, and compare it with the snapshot that it was made of (V4)."""

from __future__ import annotations

from pathlib import Path

from .chain import Entry
from .context import Context
from .drill import DrillRequest
from .drill_checks import amcheck, look_into
from .drill_physical import require_room
from .drill_report import Drilled
from .errors import BackupError, Code
from .job import Work
from .logical_restore import LogicalTarget, compare_with, restore_logical
from .scratch import ScratchPlace, discard, initdb, running, scratch_root
from .windows import told

DATABASE = "drilled"
OFFLINE = (
    "bring the offline key: ansible-playbook playbooks/drill.yml -e identity_file=PATH; or --identity FILE on the host"
)


def foresee(context: Context, request: DrillRequest, place: ScratchPlace) -> str:
    """Say what would be restored; raises what stands against it."""
    identity_of(context, request.identity)
    entry = newest_logical(context, request.seq)
    require_room(place, entry.manifest.db.bytes, f"set {entry.seq}")
    return f"set {entry.seq} of {told(entry.manifest.times.snapshot_ms / 1000)}"


def restore(work: Work, request: DrillRequest, place: ScratchPlace, drilled: Drilled) -> None:
    """Restore, measure, and look for everything that is not as it was; raises KEY without an identity."""
    context = work.context
    discard(place)
    identity = identity_of(context, request.identity)
    entry = newest_logical(context, request.seq)
    manifest = entry.manifest
    drilled.label, drilled.run_id = f"set {entry.seq}", manifest.run_id
    drilled.target = told(manifest.times.snapshot_ms / 1000)
    require_room(place, manifest.db.bytes, drilled.label)
    work.say(f"restores {drilled.label} of {drilled.target}")
    with scratch_root(place):
        drilled.begin()
        initdb(place)
        with running(place) as cluster:
            drilled.end("cluster")
            target = LogicalTarget(cluster.libpq, DATABASE, place.bin_dir)
            drilled.parts = {f"fetch-{name}": seconds for name, seconds in _restored(work, entry, target, identity)}
            drilled.end("fetch")
            connection = cluster.connect(DATABASE)
            try:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT count(*) FROM pg_class")
                connection.rollback()
                drilled.end("open")
                drilled.problems += compare_with(connection, manifest)
                # Its sequences were just compared with those of the snapshot.
                looked = look_into(connection)
            finally:
                connection.close()
            drilled.rows = looked.rows
            drilled.problems += looked.problems
            drilled.problems += amcheck(place, cluster, DATABASE)
        drilled.end("checks")


def _restored(work: Work, entry: Entry, target: LogicalTarget, identity: Path) -> list[tuple[str, float]]:
    return [*restore_logical(work.context, entry, target, identity, work.say).phases.items()]


def identity_of(context: Context, given: Path | None) -> Path:
    """Return the key that opens logical sets; raises KEY when there is none here."""
    identity = given or context.config.identity_file
    if identity is None:
        raise BackupError(Code.KEY, "no key that opens logical sets is on this host, as it should be", hint=OFFLINE)
    try:
        with identity.open("rb"):
            return identity
    except OSError as error:
        raise BackupError(Code.KEY, f"the key {identity} cannot be read: {error.strerror}", hint=OFFLINE) from error


def newest_logical(context: Context, seq: int = 0) -> Entry:
    """Return the set with this number, or the newest logical one; raises TARGET_REFUSED."""
    entries = [entry for entry in context.chain().offered if entry.manifest.kind == "logical"]
    for entry in reversed(entries):
        if seq in (0, entry.seq):
            return entry
    what = f"there is no logical set {seq}" if seq else "there is no logical set yet"
    raise BackupError(Code.TARGET_REFUSED, what, hint="pasargad-ops backup sets")
