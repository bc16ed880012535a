"""Take sets away: a signed tombstone first, in a later run the objects, and the manifest last.

A crash leaves a set that is listed and marked, never one that is offered and incomplete.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .chain import TOMBSTONE, Entry, Tombstone
from .errors import BackupError, Code
from .objects import AlreadyThere, Objects
from .records import to_record
from .signatures import Signer, Trusted, require_pinned, seal
from .walk import Chain


@dataclass(frozen=True)
class Expired:
    """What one run took away: the run ids of deleted and of marked sets, and the keys that were hidden."""

    deleted: tuple[str, ...]
    marked: tuple[str, ...]
    hidden: tuple[str, ...]


def carry_out(
    objects: Objects,
    chain: Chain,
    *,
    delete: Sequence[str],
    mark: Sequence[tuple[str, str]],
    signer: Signer,
    trusted: Trusted,
) -> Expired:
    """Delete the sets `delete` (run ids, marked before this run), then mark the sets `mark` (run ids and reasons).

    May be repeated after a crash at any point. Raises BackupError (RETENTION_REFUSED) before it touches anything when
    the chain is not sound, a set to delete is not marked, or the newest set is named; KEY when nobody would believe
    the tombstones.
    """
    entries = {entry.manifest.run_id: entry for entry in chain.entries}
    require_pinned(signer, trusted)
    _refuse(chain, [entries[run_id] for run_id in delete if run_id in entries], [run_id for run_id, _ in mark])
    hidden: list[str] = []
    gone = [entries[run_id] for run_id in delete if run_id in entries]
    for entry in gone:
        hidden += _delete(objects, chain, entry)
    reasons = dict(mark)
    marked = [entry for entry in chain.entries if entry.manifest.run_id in reasons and not entry.marked]
    # From the oldest on, so that each can tell whether anything older is kept.
    kept = [entry.seq for entry in chain.offered if entry.manifest.run_id not in reasons]
    for entry in marked:
        closes = not any(seq < entry.seq for seq in kept)
        _mark(objects, chain, entry, reasons[entry.manifest.run_id], signer, closes=closes)
    return Expired(
        tuple(entry.manifest.run_id for entry in gone), tuple(entry.manifest.run_id for entry in marked), tuple(hidden)
    )


def _refuse(chain: Chain, delete: Sequence[Entry], mark: Sequence[str]) -> None:
    words = ""
    if chain.findings:
        words = f"the chain is not sound: {chain.findings[0].text}"
    elif unmarked := [entry.manifest.run_id for entry in delete if not entry.marked]:
        words = f"{unmarked[0]} was not marked in an earlier run"
    elif chain.entries and chain.entries[-1].manifest.run_id in (*mark, *(entry.manifest.run_id for entry in delete)):
        words = "the newest set holds the end of the chain"
    if words:
        raise BackupError(
            Code.RETENTION_REFUSED, f"nothing is deleted: {words}", hint="pasargad-ops backup verify, then run it again"
        )


def _delete(objects: Objects, chain: Chain, entry: Entry) -> list[str]:
    shared = {part.key for other in chain.offered for part in other.manifest.objects}
    # What pgBackRest wrote, pgBackRest deletes: its sets stand on each other.
    parts = entry.manifest.objects if entry.manifest.kind == "logical" else ()
    keys = [part.key for part in parts if part.key.startswith(chain.place.root) and part.key not in shared]
    hidden = []
    for key in (*keys, entry.key):
        if objects.head(key) is not None:
            objects.hide(key)
            hidden.append(key)
    return hidden


def _mark(objects: Objects, chain: Chain, entry: Entry, reason: str, signer: Signer, *, closes: bool) -> None:
    place, manifest = chain.place, entry.manifest
    stone = Tombstone(
        env=place.env,
        system_id=place.system_id,
        run_id=manifest.run_id,
        seq=entry.seq,
        sha256=entry.sha256,
        prev_seq=manifest.prev_seq,
        prev_sha256=manifest.prev_sha256,
        closes=closes,
        reason=reason,
        marked_ms=int(objects.now().timestamp() * 1000),
    )
    try:
        objects.put(place.tombstone(entry.seq), seal(TOMBSTONE, to_record(stone), [signer]), once=True)
    except AlreadyThere as error:
        raise BackupError(
            Code.RETENTION_REFUSED,
            f"{place.tombstone(entry.seq)} was written by somebody else at the same time",
            hint="run it again: only one retention may run",
        ) from error
