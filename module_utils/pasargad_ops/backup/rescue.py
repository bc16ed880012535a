"""Bring back what somebody hid or replaced in a bucket that keeps versions: each object as it was at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

from ..outcome import Outcome
from .chain import read_tombstone
from .claims import slot_of
from .context import Context
from .errors import BackupError, Code
from .job import Done, Job, Work, run_job
from .objects import Objects, Stored
from .places import Place, seq_of
from .rescued import Moved, Moves, add_moves, read_rescued, version_now, write_rescued
from .signatures import Trusted, require_pinned
from .status import size
from .walk import Finding

# What pgbackrest itself replaces, again and again.
LISTS = ("archive.info", "archive.info.copy", "backup.info", "backup.info.copy")
# Is there once a backup has ended: until then pgbackrest replaces the files beside it.
ENDED = "backup.manifest"
# So many copies are signed together: a rescue that is killed makes at most these anew.
BATCH = 200
AT_ONCE = 8
# A version of another kind than these names is that of a bucket that never kept any.
NO_VERSION = ("", "null")


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


@dataclass(frozen=True)
class Damage:
    """What was current at a time and is not now; `younger` objects did not exist then, `passed` are pgbackrest's."""

    lost: tuple[Lost, ...]
    younger: int
    passed: int


def find_damage(
    objects: Objects, place: Place, at: datetime, *, moves: Moves, trusted: Trusted, lists: bool = False
) -> Damage:
    """Compare all that lies below the place's root with what was current there at `at`, by the storage's clock.

    What a rescue has copied counts as what it was copied from, and what retention took away is not lost. Raises CONFIG
    where no object has a version.
    """
    current = {stored.key for stored in objects.list(place.root)}
    found, newest = _as_it_was(objects, place.root, at)
    if current and all(version in NO_VERSION for version in newest.values()):
        raise BackupError(
            Code.CONFIG,
            "the bucket keeps no versions of what lies here, so nothing can be brought back",
            hint="turn its versioning on (aws s3api put-bucket-versioning), then make new sets",
        )
    differs: list[Lost] = []
    for key, then in sorted(found.items()):
        if key not in current:
            differs.append(Lost(then, "hidden"))
        elif newest[key] != version_now(moves, key, then.version):
            differs.append(Lost(then, "replaced"))
    passed = [] if lists else [one for one in differs if _is_pgbackrests(one, place, found)]
    gone = set(_retained_away(objects, place, trusted, [one.then.key for one in differs]))
    kept = [one for one in differs if one not in passed and not _is_of(one.then.key, place, gone)]
    return Damage(tuple(kept), len(current - set(found)), len(passed))


def _as_it_was(objects: Objects, prefix: str, at: datetime) -> tuple[dict[str, Stored], dict[str, str]]:
    """Return what was current at `at`, and the newest version of each key."""
    found: dict[str, Stored] = {}
    newest: dict[str, str] = {}
    for stored in objects.versions(prefix):
        newest.setdefault(stored.key, stored.version)
        # The newest first, so the first that is old enough was current then.
        if stored.modified <= at:
            found.setdefault(stored.key, stored)
    for marker in objects.markers(prefix):
        # Storages tell whole seconds: in doubt it was there.
        if marker.modified <= at and marker.key in found and marker.modified > found[marker.key].modified:
            del found[marker.key]
    return found, newest


def _is_pgbackrests(one: Lost, place: Place, found: Mapping[str, Stored]) -> bool:
    """Tell whether pgbackrest itself replaces such an object: its lists, and what lies in a backup under way."""
    inside = one.then.key.removeprefix(f"{place.root}physical/")
    if one.how != "replaced" or inside == one.then.key:
        return False
    generation, part, stanza, *rest = [*inside.split("/"), "", "", ""][:5]
    if rest and rest[0] in LISTS:
        return True
    return part == "backup" and f"{place.root}physical/{generation}/{part}/{stanza}/{rest[0]}/{ENDED}" not in found


def _retained_away(objects: Objects, place: Place, trusted: Trusted, keys: Sequence[str]) -> Iterator[str]:
    """Yield the manifests' keys and the run ids of sets that retention took away, as its signed tombstones say."""
    buried = {seq_of(stored.key) for stored in objects.list(place.tombstones)}
    for key in keys:
        seq = seq_of(key) if key.startswith(place.manifests) else None
        if seq is None or seq not in buried:
            continue
        try:
            yield read_tombstone(objects, place, seq, trusted).run_id
            yield key
        except BackupError as error:
            if error.code not in (Code.INTEGRITY, Code.KEY, Code.CHAIN, Code.VERSION_MISMATCH):
                raise


def _is_of(key: str, place: Place, gone: set[str]) -> bool:
    return key in gone or (key.startswith(f"{place.root}logical/") and bool(gone & set(key.split("/"))))


def rescue(context: Context, request: RescueRequest, *, dry_run: bool = False) -> Outcome:
    """Plan what to bring back; with `apply` make the versions of then current again, and walk the chain.

    Nothing is deleted: what replaced an object stays as its older version. A rescue that was killed is run again.
    Raises CONFIG for a storage without versions and for a time that lies in the future, and the code of what is wrong
    with the chain afterwards.
    """
    _refuse(context, request)
    if dry_run or not request.apply:
        damage = _damage(context, request)
        many = len(damage.lost)
        words = f"{many} objects could be brought back; add --apply to do it" if many else _nothing(request)
        return Outcome(False, words, {"code": 0, "objects": many, "lines": _plan(context, damage)})
    require_pinned(context.signer, context.trusted)
    job = Job("rescue", slot_of(datetime.now(UTC)), alone=True)
    return run_job(context, job, lambda work: _apply(work, request))


def _nothing(request: RescueRequest) -> str:
    return f"everything is as it was at {request.at:%Y-%m-%d %H:%M:%S} UTC"


def _refuse(context: Context, request: RescueRequest) -> None:
    if not context.config.storage.bucket:
        raise BackupError(
            Code.CONFIG,
            "a directory keeps no versions, so nothing can be brought back",
            hint="restore the directory itself from where you copy it to",
        )
    if request.at.tzinfo is None:
        raise BackupError(Code.CONFIG, f"{request.at} has no time zone", hint="add one, such as +00:00")
    if request.at > context.objects.now():
        raise BackupError(
            Code.CONFIG, f"{request.at.isoformat()} lies in the future", hint="name a time before the damage"
        )


def _damage(context: Context, request: RescueRequest) -> Damage:
    return find_damage(
        context.objects,
        context.place,
        request.at,
        moves=_moves(context),
        trusted=context.trusted,
        lists=request.lists,
    )


def _moves(context: Context) -> dict[tuple[str, str], str]:
    moves: dict[tuple[str, str], str] = {}
    for stored in context.objects.list(context.place.rescued):
        try:
            add_moves(moves, read_rescued(context.objects, context.place, stored.key, context.trusted))
        except BackupError as error:
            # The walk tells of it; what it does not vouch for is brought back again.
            if error.code not in (Code.INTEGRITY, Code.KEY, Code.CHAIN, Code.VERSION_MISMATCH):
                raise
    return moves


def _plan(context: Context, damage: Damage) -> list[str]:
    parts: Counter[tuple[str, str]] = Counter()
    amounts: Counter[tuple[str, str]] = Counter()
    youngest: dict[tuple[str, str], datetime] = {}
    for one in damage.lost:
        name = (one.then.key.removeprefix(context.place.root).split("/")[0], one.how)
        parts[name] += 1
        amounts[name] += one.then.bytes
        youngest[name] = max(youngest.get(name, one.then.modified), one.then.modified)
    lines = [
        f"{name[0]}: {count} {name[1]}, {size(amounts[name])}, the newest of {youngest[name]:%Y-%m-%d %H:%M:%S} UTC"
        for name, count in sorted(parts.items())
    ]
    if damage.younger:
        lines.append(f"{damage.younger} objects are younger and stay as they are")
    if damage.passed:
        lines.append(f"{damage.passed} that pgbackrest itself replaces stay; --lists brings back its lists")
    return lines


def _apply(work: Work, request: RescueRequest) -> Done:
    context = work.context
    damage = _damage(context, request)
    lines, missing = _plan(context, damage), list[BackupError]()
    for start in range(0, len(damage.lost), BATCH):
        missing += _bring_back(context, damage.lost[start : start + BATCH])
        work.say(f"{min(start + BATCH, len(damage.lost))} of {len(damage.lost)} objects were looked after")
    back = len(damage.lost) - len(missing)
    work.measure("pasargad_backup_rescued_objects", "Objects that the last rescue brought back.", back)
    findings = context.chain().findings
    told = f"{back} objects are back" if damage.lost else _nothing(request)
    _judge(told, missing, findings)
    after = f"as of {context.objects.now():%Y-%m-%d %H:%M:%S} UTC; change the key that writes into this bucket"
    summary = f"{told}; the chain is sound"
    return Done(summary, changed=back > 0, lines=(*lines, after), details={"objects": back, "sound": True})


def _bring_back(context: Context, some: Sequence[Lost]) -> list[BackupError]:
    """Copy some objects over and sign what was copied; return what could not be, raise where the storage refuses."""

    def copy(one: Lost) -> Moved | BackupError:
        try:
            stored = context.objects.bring_back(one.then.key, one.then.version)
            return Moved(one.then.key, one.then.version, stored.version)
        except BackupError as error:
            return error

    with ThreadPoolExecutor(AT_ONCE) as pool:
        done = list(pool.map(copy, some))
    if moved := [one for one in done if isinstance(one, Moved)]:
        write_rescued(context.objects, context.place, moved, context.signer)
    failures = [one for one in done if isinstance(one, BackupError)]
    for error in failures:
        # A version that is gone is one loss; a storage that refuses will refuse the others too.
        if error.code is not Code.INTEGRITY:
            raise error
    return failures


def _judge(told: str, missing: Sequence[BackupError], findings: Sequence[Finding]) -> None:
    if findings:
        raise BackupError(
            findings[0].code,
            f"{told}, but the chain is NOT sound: {findings[0].text}",
            hint="name an earlier time, before the damage began; pasargad-ops backup verify --level 1 names the rest",
        )
    if missing:
        raise BackupError(
            Code.INTEGRITY,
            f"{told}; the chain is sound, but {len(missing)} could not be: {missing[0].message}",
            hint="run it again; versions that are gone were taken by the bucket's lifecycle: take other sets",
        )
