"""Keep the sets of a cluster in one chain: each names the hash of the one before, so none can vanish unseen.

A manifest's key is its number and is written once, so of two jobs that commit at the same time one takes the next
number. A set that retention took away leaves a signed tombstone, which carries the link on.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from .errors import BackupError, Code
from .head_memory import recall, refuse_other_cluster, remember
from .manifest import SCHEMA, START, Link, Manifest, parse, problems, refuse_other_schema
from .objects import AlreadyThere, Objects, Stored
from .places import Place, seq_of
from .records import from_record, to_record
from .signatures import Signer, Trusted, require_pinned, seal, unseal

MANIFEST = "manifest"
TOMBSTONE = "tombstone"
# So many foreign objects in a row may stand where the next manifest belongs.
TRIES = 100


@dataclass(frozen=True)
class Tombstone:
    """What is left of a set that may be deleted: its link and the one before; `closes` when nothing older is kept."""

    env: str
    system_id: str
    run_id: str
    seq: int
    sha256: str
    prev_seq: int
    prev_sha256: str
    closes: bool
    reason: str
    marked_ms: int
    schema: int = SCHEMA


@dataclass(frozen=True)
class Entry:
    """A set of the chain, whose manifest a pinned key has signed; `marked` when retention has given it up."""

    key: str
    sha256: str
    manifest: Manifest
    stored: Stored
    marked: bool = False

    @property
    def seq(self) -> int:
        return self.manifest.seq

    @property
    def link(self) -> Link:
        return Link(self.seq, self.sha256)


def read_entry(objects: Objects, place: Place, stored: Stored, trusted: Trusted) -> Entry:
    """Read one manifest; raises BackupError: INTEGRITY forged, KEY unknown signer, CHAIN signed for another place."""
    raw = objects.get(stored.key)
    manifest = parse(unseal(MANIFEST, raw, trusted, stored.key), stored.key)
    told = (manifest.env, manifest.pg.system_identifier)
    if told != (place.env, place.system_id):
        raise BackupError(
            Code.CHAIN,
            f"{stored.key} is of cluster {told[1]} ({told[0]}), not of {place.system_id} ({place.env})",
            hint="somebody copied it here; restore only sets that pasargad-ops backup status lists",
            details={"system_id": told[1]},
        )
    if manifest.seq != seq_of(stored.key):
        raise BackupError(
            Code.CHAIN,
            f"{stored.key} holds the manifest of set {manifest.seq}",
            hint="manifests were swapped or copied in the bucket; restore them from their older versions",
        )
    return Entry(stored.key, hashlib.sha256(raw).hexdigest(), manifest, stored)


def read_tombstone(objects: Objects, place: Place, seq: int, trusted: Trusted) -> Tombstone:
    """Read one tombstone; raises BackupError as `read_entry` does."""
    key = place.tombstone(seq)
    body = unseal(TOMBSTONE, objects.get(key), trusted, key)
    refuse_other_schema(body, key)
    stone = from_record(Tombstone, body, key)
    if (stone.env, stone.system_id, stone.seq) != (place.env, place.system_id, seq):
        raise BackupError(Code.CHAIN, f"{key} is the tombstone of another set", hint="restore its older version")
    return stone


def newest(objects: Objects, place: Place, trusted: Trusted) -> Link:
    """Return the link of the newest set that a pinned key has signed, START when there is none."""
    for stored in reversed(list(objects.list(place.manifests))):
        if seq_of(stored.key) is not None:
            try:
                return read_entry(objects, place, stored, trusted).link
            except BackupError as error:
                # A foreign object is for the walk to tell; it must not keep a backup from being made.
                if error.code not in (Code.INTEGRITY, Code.KEY, Code.CHAIN, Code.VERSION_MISMATCH):
                    raise
    return START


def commit(
    objects: Objects,
    place: Place,
    draft: Manifest,
    *,
    signer: Signer,
    trusted: Trusted,
    memory: Path,
    confirm: Callable[[], object] = lambda: None,
    retain_until: datetime | None = None,
) -> Entry:
    """Write the manifest that makes a set exist, as the last link of the chain, and remember it in the file `memory`.

    `confirm` is called right before each attempt to write and may raise, as when the slot has gone to another. The
    link is taken from what this host remembers when the bucket shows less: the set is made, and the gap stays visible.
    Raises BackupError: KEY, CHAIN (another cluster), INTEGRITY (the draft is no set), and whatever `confirm` raises.
    """
    require_pinned(signer, trusted)
    known = _recall_for_commit(memory, place)
    _refuse_unfit(draft, place)
    foreign = 0
    for _ in range(TRIES):
        head = max(newest(objects, place, trusted), known, key=lambda link: link.seq)
        if head.seq == known.seq:
            head = known if known.seq else head
        manifest = dataclasses.replace(
            draft,
            seq=max(head.seq, foreign) + 1,
            prev_seq=head.seq,
            prev_sha256=head.sha256,
            times=dataclasses.replace(draft.times, commit_ms=int(objects.now().timestamp() * 1000)),
        )
        raw, key = seal(MANIFEST, to_record(manifest), [signer]), place.manifest(manifest.seq)
        confirm()
        try:
            stored = objects.put(key, raw, once=True, retain_until=retain_until)
        except AlreadyThere:
            if objects.get(key) != raw:
                foreign = manifest.seq
                continue
            # An answer got lost on the way and the write was tried again: it was ours.
            stored = _there(objects, key)
        entry = Entry(key, hashlib.sha256(raw).hexdigest(), manifest, stored)
        _remember_commit(memory, place, entry.link)
        return entry
    raise BackupError(
        Code.CHAIN,
        f"the next {TRIES} places of the chain are taken by foreign objects under {place.manifests}",
        hint="change the key that writes into this bucket, then hide what pasargad-ops backup status names",
    )


def _there(objects: Objects, key: str) -> Stored:
    stored = objects.head(key)
    if stored is None:
        raise BackupError(Code.INTEGRITY, f"{key} vanished as it was written", hint="run the job again")
    return stored


def _refuse_unfit(draft: Manifest, place: Place) -> None:
    wrong = problems(dataclasses.replace(draft, seq=1, prev_seq=0, prev_sha256=""))
    if (draft.env, draft.pg.system_identifier) != (place.env, place.system_id):
        wrong.append(f"it is of cluster {draft.pg.system_identifier} ({draft.env})")
    if wrong:
        raise BackupError(
            Code.INTEGRITY, f"this is no set, so it is not committed: {'; '.join(wrong)}", hint="run the job again"
        )


def _recall_for_commit(path: Path, place: Place) -> Link:
    try:
        memory = recall(path)
    except BackupError:
        # A damaged note must not cost a backup; it stays as it is, and the walk tells of it.
        return START
    refuse_other_cluster(memory, place, path)
    return memory.head if memory else START


def _remember_commit(path: Path, place: Place, link: Link) -> None:
    try:
        recall(path)
    except BackupError:
        return
    remember(path, place, link)


def find_slot(entries: Sequence[Entry], kind: str, slot: str) -> Entry | None:
    """Return the newest set that was made for `slot`."""
    return next(
        (entry for entry in reversed(entries) if (entry.manifest.kind, entry.manifest.slot) == (kind, slot)), None
    )
