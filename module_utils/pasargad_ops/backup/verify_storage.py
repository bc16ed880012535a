"""Look at the sets and at the storage around them: objects, locks, uploads that nobody ends, and the clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from .chain import Entry
from .clocks import read_clock
from .errors import Code
from .manifest import Part
from .measures import CHAIN_OK, CHAIN_SEQ, LOCK_REMAINING, ORPHANS, SKEW
from .objects import Stored, Upload
from .pgbackrest_read import Finding
from .repository_objects import FILES, SUMMED, Listing, listing, set_at
from .verify_round import Round
from .walk import HINT, Chain, inspect

ORPHAN_AGE = timedelta(days=1)
CLOCK = "timedatectl status; systemctl restart systemd-timesyncd (or chrony), then run it again"
LOCK = "compare the bucket's default retention with pasargad_backup_days: it must be longer"


def look_at_chain(round_: Round) -> Chain:
    """Walk the chain and tell what is wrong with it; raises where the storage does not let it."""
    context = round_.context
    round_.now = context.objects.now()
    chain = context.chain()
    named = {entry.seq: entry.manifest.run_id for entry in chain.entries}
    for finding in chain.findings:
        sets = [named[finding.seq]] if finding.seq in named else []
        round_.find(0, Finding(finding.code, finding.text, HINT), sets)
    round_.measure(*CHAIN_SEQ, chain.head.seq)
    round_.measure(*CHAIN_OK, float(not chain.findings))
    skew = context.config.policy.skew
    for entry in chain.offered:
        if entry.manifest.times.commit_ms / 1000 > (round_.now + skew).timestamp():
            what = f"set {entry.seq} was committed in the future: the storage's clock went back"
            round_.find(0, Finding(Code.CONFIG, what, CLOCK))
    return chain


def look_at_sets(round_: Round, chain: Chain) -> list[Entry]:
    """Compare what the storage tells of each set's objects with its manifest; return the sets that should be there.

    What pgbackrest made, pgbackrest takes away once it is old enough: such a set waits for retention, and is no flaw.
    """
    listings: dict[str, Listing] = {}
    kept = []
    for entry in chain.offered:
        prefix = set_at(chain.place, entry.manifest)
        if not prefix:
            kept.append(entry)
            _compare(round_, entry, round_.head)
            continue
        above = prefix[: prefix.rstrip("/").rindex("/") + 1]
        if above not in listings:
            listings[above] = listing(round_.context.objects, above)
        if f"{prefix}{FILES}" not in listings[above] and is_due(entry, round_):
            round_.lines.append(f"Set {entry.seq} waits for retention: pgbackrest has expired {_label(entry)}.")
            continue
        kept.append(entry)
        if any(key.startswith(prefix) for key in listings[above]):
            _compare(round_, entry, listings[above].get)
        else:
            what = f"set {entry.seq}: backup {_label(entry)} is gone before its time"
            round_.find(0, Finding(Code.INTEGRITY, what, HINT), [entry.manifest.run_id])
    round_.reach(kept, 0)
    # What else there is to say of a logical set without reading it, has been said now.
    round_.reach((entry for entry in kept if entry.manifest.kind == "logical"), min(round_.level, 1))
    return kept


def _compare(round_: Round, entry: Entry, head: Callable[[str], Stored | None]) -> None:
    for finding in inspect(round_.context.objects, entry, head=head):
        round_.find(0, Finding(finding.code, finding.text, HINT), [entry.manifest.run_id])


def _label(entry: Entry) -> str:
    return entry.manifest.physical.label if entry.manifest.physical else ""


def is_due(entry: Entry, round_: Round) -> bool:
    """Whether a physical set is so old that pgbackrest may have expired it."""
    age = round_.now.timestamp() - entry.manifest.times.end_ms / 1000
    return age >= round_.context.config.policy.days * 86400


def look_at_locks(round_: Round, entries: Iterable[Entry]) -> None:
    """Tell how long the sets that must be kept are locked, where the storage locks at all."""
    keep = timedelta(days=round_.context.config.policy.days)
    young: list[Stored] = []
    for entry in entries:
        if round_.now.timestamp() - entry.manifest.times.commit_ms / 1000 >= keep.total_seconds():
            continue
        for key in (entry.key, *(part.key for part in entry.manifest.objects if _is_sampled(entry, part))):
            stored = round_.head(key)
            if stored is not None:
                young.append(stored)
    least, wrong = locks(young, round_.now, keep)
    if least is not None:
        round_.measure(*LOCK_REMAINING, least)
    for what in wrong:
        round_.find(1, Finding(Code.CONFIG, what, LOCK))


def _is_sampled(entry: Entry, part: Part) -> bool:
    """Whether an object's lock is asked for: of thousands of files, those that name all others stand for them."""
    return entry.manifest.kind == "logical" or part.role in SUMMED


def locks(found: Sequence[Stored], now: datetime, keep: timedelta) -> tuple[float | None, list[str]]:
    """Return the least time (seconds) for which an object is still locked, and which are locked too short.

    None where nothing is locked: such a storage has no locks. Objects from before the first lock have none.
    """
    locked = [stored for stored in found if stored.retain_until is not None]
    if not locked:
        return None, []
    since = min(stored.modified for stored in locked)
    wrong, least = [], []
    for stored in found:
        if stored.modified < since:
            continue
        until = stored.retain_until or stored.modified
        least.append(max(0.0, (until - now).total_seconds()))
        if until < stored.modified + keep:
            wrong.append(f"{stored.key} is locked until {until:%Y-%m-%d}, but must be kept {keep.days} days")
    return min(least), wrong


def look_at_uploads(round_: Round) -> None:
    """Abort what dead runs have begun to upload and never ended; whoever writes may do that."""
    objects, root = round_.context.objects, round_.context.place.root
    bound = timedelta(seconds=round_.context.config.bounds.job_seconds)
    dead = orphans(objects.uploads(root), round_.now, bound)
    left = len(dead)
    try:
        for upload in dead if round_.acts else ():
            objects.abort(upload)
            round_.changed = True
            left -= 1
            round_.lines.append(f"Aborted the upload of {upload.key}, begun {upload.begun:%Y-%m-%d %H:%M} UTC.")
    finally:
        round_.measure(*ORPHANS, left)
    if dead and not round_.acts:
        round_.lines.append(f"would abort {len(dead)} uploads of dead runs")


def orphans(uploads: Iterable[Upload], now: datetime, bound: timedelta) -> list[Upload]:
    """Return the uploads whose run is dead: older than a day, and than the time after which any claim is void."""
    return [upload for upload in uploads if now - upload.begun > max(ORPHAN_AGE, bound)]


def look_at_clock(round_: Round) -> None:
    """Compare the host's clock with the storage's; too far apart, no age can be believed."""
    seconds = read_clock(round_.context.objects).skew_ms / 1000
    round_.measure(*SKEW, seconds)
    if abs(seconds) > round_.context.config.policy.skew.total_seconds():
        what = f"the host's clock is {abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} the storage's"
        round_.find(1, Finding(Code.CONFIG, what, CLOCK))
