"""Bring back what somebody hid or replaced in a bucket that keeps versions: each object as it was at a time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime

from ..outcome import Outcome
from .claims import slot_of
from .context import Context
from .errors import BackupError, Code
from .job import Done, Job, Work, run_job
from .objects import Objects, Stored
from .status import size


@dataclass(frozen=True)
class RescueRequest:
    """`at` is a time by the storage's clock before the damage; without `apply` it is only planned.

    `lists` also brings back what pgbackrest itself replaces (its lists of backups and WAL): only when verify says that
    these are damaged, for backups younger than `at` are not in them.
    """

    at: datetime
    apply: bool = False
    lists: bool = False


@dataclass(frozen=True)
class Lost:
    """An object that is not what it was: `then` is the version that was current; `how` says what became of it."""

    then: Stored
    how: str


def lost_objects(objects: Objects, prefix: str, at: datetime, *, lists: bool = False) -> list[Lost]:
    """Return what was current at `at` below `prefix` and is hidden or replaced now; younger objects are left alone.

    Without `lists` what was replaced below physical/ is passed over.
    """
    current = {stored.key: stored for stored in objects.list(prefix)}
    found: dict[str, Stored] = {}
    newest: dict[str, str] = {}
    for stored in objects.versions(prefix):
        newest.setdefault(stored.key, stored.version)
        # The newest first, so the first that is old enough was current then.
        if stored.modified <= at:
            found.setdefault(stored.key, stored)
    return [
        Lost(then, "hidden" if key not in current else "replaced")
        for key, then in sorted(found.items())
        if key not in current or (newest[key] != then.version and (lists or not key.startswith(f"{prefix}physical/")))
    ]


def rescue(context: Context, request: RescueRequest, *, dry_run: bool = False) -> Outcome:
    """Plan what to bring back; with `apply` make the versions of then current again, and walk the chain.

    Nothing is deleted: what replaced an object stays as its older version. Raises CONFIG for a storage without
    versions and for a time that lies in the future.
    """
    _refuse(context, request)
    lost = lost_objects(context.objects, context.place.root, request.at, lists=request.lists)
    lines = _plan(context, lost)
    if not lost:
        return Outcome(
            False, f"everything is as it was at {request.at:%Y-%m-%d %H:%M:%S} UTC", {"code": 0, "lines": []}
        )
    if dry_run or not request.apply:
        words = f"{len(lost)} objects could be brought back; add --apply to do it"
        return Outcome(False, words, {"code": 0, "lines": lines})
    job = Job("rescue", slot_of(datetime.now(UTC)), alone=True)
    return run_job(context, job, lambda work: _apply(work, lost, lines))


def _refuse(context: Context, request: RescueRequest) -> None:
    if not context.config.storage.bucket:
        raise BackupError(
            Code.CONFIG,
            "a directory keeps no versions, so nothing can be brought back",
            hint="restore the directory itself from where you copy it to",
        )
    if request.at > context.objects.now():
        raise BackupError(
            Code.CONFIG, f"{request.at.isoformat()} lies in the future", hint="name a time before the damage"
        )


def _plan(context: Context, lost: list[Lost]) -> list[str]:
    parts: Counter[tuple[str, str]] = Counter()
    amounts: Counter[tuple[str, str]] = Counter()
    for one in lost:
        name = (one.then.key.removeprefix(context.place.root).split("/")[0], one.how)
        parts[name] += 1
        amounts[name] += one.then.bytes
    return [f"{part}: {count} {how}, {size(amounts[part, how])}" for (part, how), count in sorted(parts.items())]


def _apply(work: Work, lost: list[Lost], lines: list[str]) -> Done:
    objects = work.context.objects
    for number, one in enumerate(lost, 1):
        objects.bring_back(one.then.key, one.then.version)
        if number % 100 == 0:
            work.say(f"{number} of {len(lost)} objects are back")
    chain = work.context.chain()
    sound = "the chain is sound" if not chain.findings else f"the chain is NOT sound: {chain.findings[0].text}"
    words = f"{len(lost)} objects are back; {sound}"
    told = (*lines, sound, f"as of {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC; change the key that writes")
    return Done(words, lines=told, details={"objects": len(lost), "sound": not chain.findings})
