"""Give each slot of a job to one run, on however many hosts, by objects that are written once and stay.

A bucket with Object Lock deletes nothing, so nobody can take a lock away: a run writes `attempt-1`, and when that one
is dead by the storage's clock the next writes `attempt-2`. A run that was late finds that out before it commits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from .errors import BackupError, Code
from .objects import AlreadyThere, Objects, Stored
from .places import NAME, Place
from .records import canonical

FILE = re.compile(r"attempt-([1-9][0-9]{0,5})(-ended)?\.json")
# Within so much of its bound a run must not commit any more: writing the manifest takes time as well.
MARGIN = timedelta(minutes=5)
WAIT = "nothing to do: another run has this slot; see pasargad-ops backup status"


@dataclass(frozen=True)
class Claim:
    """A slot of a job that is this run's; `at` is when it began, by the storage's clock."""

    place: Place
    job: str
    slot: str
    attempt: int
    owner: str
    at: datetime

    @property
    def key(self) -> str:
        return f"{_prefix(self.place, self.job, self.slot)}attempt-{self.attempt}.json"

    @property
    def ended_key(self) -> str:
        return self.key.replace(".json", "-ended.json")


@dataclass(frozen=True)
class Slot:
    """What the storage tells of a slot: when each attempt began, and the code with which some ended."""

    began: Mapping[int, datetime]
    ended: Mapping[int, int]

    @property
    def newest(self) -> int:
        return max(self.began, default=0)

    def is_done(self) -> bool:
        return Code.DONE in self.ended.values()

    def is_live(self, now: datetime, bound: timedelta) -> bool:
        """Tell whether somebody may still be at work on it."""
        return bool(self.began) and self.newest not in self.ended and now - self.began[self.newest] < bound


def slot_of(moment: datetime) -> str:
    """Return the daily slot: the UTC date, which no change of summer time repeats or skips."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    return f"{moment.astimezone(UTC):%Y-%m-%d}"


def take(
    objects: Objects,
    place: Place,
    job: str,
    slot: str,
    *,
    owner: str,
    bound: timedelta,
    finished: Callable[[], bool] = lambda: False,
) -> Claim:
    """Claim a slot for this run; `bound` is after how long by the storage's clock a silent attempt is dead.

    `finished` tells whether the slot's work is in the storage all the same, for an attempt that died right after its
    commit. Raises BackupError (CLAIMED) when the slot is done or another's.
    """
    before = look(objects, place, job, slot)
    if before.is_done():
        raise _claimed(f"{job} of {slot} is done")
    if before.is_live(objects.now(), bound):
        began = before.began[before.newest]
        raise _claimed(
            f"attempt {before.newest} at {job} of {slot} has been at work since {began.astimezone(UTC):%H:%M:%S} UTC; "
            f"it counts as dead after {began.astimezone(UTC) + bound:%Y-%m-%d %H:%M:%S} UTC"
        )
    if finished():
        raise _claimed(f"{job} of {slot} is done, though the attempt that did it died before it could say so")
    return _write(objects, place, job, slot, owner, before.newest + 1)


def confirm(objects: Objects, claim: Claim, *, bound: timedelta) -> Claim:
    """Return the claim under which this run may commit now, to be called right before the commit.

    A run that needed nearly its whole bound claims the slot anew, so that nobody can take it while the manifest is
    being written; what is returned is the claim to confirm the next time and to finish. Raises BackupError (CLAIMED)
    when a later attempt has superseded this one.
    """
    slot = look(objects, claim.place, claim.job, claim.slot)
    if slot.newest > claim.attempt or slot.is_done():
        raise _claimed(f"attempt {claim.attempt} at {claim.job} of {claim.slot} was late: attempt {slot.newest} has it")
    if objects.now() - claim.at < bound - MARGIN:
        return claim
    return _write(objects, claim.place, claim.job, claim.slot, claim.owner, claim.attempt + 1)


def finish(objects: Objects, claim: Claim, code: Code) -> None:
    """Say how the attempt ended: with DONE the slot is closed for ever, with any other code it is free at once."""
    body = canonical({"code": int(code), "owner": claim.owner})
    try:
        objects.put(claim.ended_key, body, once=True)
    except AlreadyThere:
        # The first word stands: an end that was told twice is the same end.
        return


def look(objects: Objects, place: Place, job: str, slot: str) -> Slot:
    """Read what the storage tells of a slot."""
    return _slot([*objects.list(_prefix(place, job, slot))], objects)


def live_slots(objects: Objects, place: Place, bounds: Mapping[str, timedelta]) -> tuple[str, ...]:
    """Return `JOB SLOT` of all that may be at work now, for the jobs in `bounds` (after how long each is dead)."""
    now = objects.now()
    found: dict[tuple[str, str], list[Stored]] = {}
    for job in sorted(bounds):
        for stored in objects.list(f"{place.claims}{job}/"):
            found.setdefault((job, stored.key.split("/")[-2]), []).append(stored)
    # Slots without a young object need not be read.
    young = {
        (job, slot): files
        for (job, slot), files in found.items()
        if any(now - stored.modified < bounds[job] for stored in files)
    }
    return tuple(
        f"{job} {slot}" for (job, slot), files in young.items() if _slot(files, objects).is_live(now, bounds[job])
    )


def _slot(files: list[Stored], objects: Objects) -> Slot:
    began: dict[int, datetime] = {}
    ended: dict[int, int] = {}
    for stored in files:
        name = FILE.fullmatch(stored.key.rpartition("/")[2])
        if name and name[2]:
            code = _code(objects.get(stored.key))
            if code is not None:
                ended[int(name[1])] = code
        elif name:
            began[int(name[1])] = stored.modified
    return Slot(began, ended)


def _code(raw: bytes) -> int | None:
    """Return the code that an end tells; what cannot be read tells nothing, and the bound decides."""
    try:
        return int(json.loads(raw)["code"])
    except (ValueError, TypeError, KeyError):
        return None


def _write(objects: Objects, place: Place, job: str, slot: str, owner: str, attempt: int) -> Claim:
    key = f"{_prefix(place, job, slot)}attempt-{attempt}.json"
    body = canonical({"job": job, "slot": slot, "attempt": attempt, "owner": owner, "system_id": place.system_id})
    try:
        stored = objects.put(key, body, once=True)
    except AlreadyThere as error:
        raise _claimed(f"another run took {job} of {slot} at the same moment (attempt {attempt})") from error
    return Claim(place, job, slot, attempt, owner, stored.modified)


def _prefix(place: Place, job: str, slot: str) -> str:
    if not (NAME.fullmatch(job) and NAME.fullmatch(slot.lower())):
        raise BackupError(
            Code.CONFIG, f"{job!r} of {slot!r} is no slot", hint="use letters, digits, dot, dash and underscore"
        )
    return f"{place.claims}{job}/{slot}/"


def _claimed(message: str) -> BackupError:
    return BackupError(Code.CLAIMED, message, hint=WAIT)
