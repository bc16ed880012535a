"""Bring the uploads of the newest logical set back to a host that has none."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from ..files import sync_directory
from ..outcome import Outcome
from .chain import Entry
from .context import Context
from .drill_logical import identity_of, newest_logical
from .errors import BackupError, Code
from .job import Done, Job, Work, run_job
from .restore_plan import slot_now
from .set_files import unpack

ROLE = "media"


@dataclass(frozen=True)
class UploadsRequest:
    """Which set's uploads come back: `seq`, or the newest that has some; `identity` opens it."""

    seq: int = 0
    identity: Path | None = None


def bring_uploads(context: Context, request: UploadsRequest, *, dry_run: bool = False) -> Outcome:
    """Unpack the uploads beside their place and move them in; places that hold something are left as they are.

    Raises TARGET_REFUSED when there is no such set, KEY without an identity, and whatever unpacking raises.
    """
    places = [path for path in context.config.media_paths if is_bare(path)]
    if not places:
        return Outcome(False, "no place for uploads is bare", {"code": 0, "lines": []})
    entry = newest_logical(context, request.seq)
    if not any(part.role == ROLE for part in entry.manifest.objects):
        return Outcome(False, f"set {entry.seq} holds no uploads", {"code": 0, "lines": []})
    identity = identity_of(context, request.identity)
    if dry_run:
        return Outcome(True, f"would bring the uploads of set {entry.seq} to {places[0]}", {"code": 0, "lines": []})
    job = Job("uploads", slot_now())
    return run_job(context, job, lambda work: _bring(work, entry, identity, places))


def is_bare(path: Path) -> bool:
    """Tell whether a directory is absent or holds no file at all."""
    return not any(found.is_file() for found in path.rglob("*")) if path.exists() else True


def _bring(work: Work, entry: Entry, identity: Path, places: list[Path]) -> Done:
    beside = places[0].with_name(f".{places[0].name}.{work.run_id}")
    try:
        unpack(work.context.objects, entry, ROLE, identity, beside, work.say)
        lines = tuple(_move_in(beside, place) for place in places)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return Done(f"the uploads of set {entry.seq} are back", lines=lines)


def _move_in(beside: Path, place: Path) -> str:
    """Put a directory that was unpacked in the place of a bare one; its owner is whoever owns that one."""
    found = beside / str(place).lstrip("/")
    if not found.is_dir():
        return f"{place}: nothing in the set"
    about = place.stat() if place.exists() else place.parent.stat()
    count = 0
    for path in (found, *found.rglob("*")):
        os.chown(path, about.st_uid, about.st_gid, follow_symlinks=False)
        count += path.is_file()
    if place.exists():
        found.chmod(about.st_mode & 0o7777)
        shutil.rmtree(place)
    try:
        found.rename(place)
    except OSError as error:
        raise BackupError(
            Code.RESTORE_FAILED, f"{place} cannot be put in place: {error.strerror}", hint=f"findmnt -T {place}"
        ) from error
    sync_directory(place.parent)
    return f"{place}: {count} files"
