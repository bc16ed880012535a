"""Walk the chain from its newest set to its oldest, and name what was removed, swapped, replaced, forked or forged."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from .chain import Entry, Tombstone, read_entry, read_tombstone
from .errors import BackupError, Code
from .head_memory import Memory, recall
from .manifest import START, Link, Part
from .objects import Objects, Stored
from .places import Place, seq_of
from .rescued import add_moves, as_rescued, read_rescued
from .signatures import Trusted

HINT = "bring the objects back from their older versions (pasargad-ops backup rescue) and change the key that writes"


class Fault(StrEnum):
    """What can be wrong with a chain or with a set's objects."""

    REMOVED = "removed"
    SWAPPED = "swapped"
    REPLACED = "replaced"
    CHANGED = "changed"
    FORKED = "forked"
    FORGED = "forged"
    UNKNOWN_KEY = "unknown key"
    UNKNOWN_SCHEMA = "unknown schema"
    WRONG_CLUSTER = "wrong cluster"
    ROLLED_BACK = "rolled back"
    UNREADABLE_MEMORY = "unreadable memory"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong; `seq` is 0 where no set can be named."""

    fault: Fault
    code: Code
    seq: int
    key: str
    text: str


@dataclass(frozen=True)
class Chain:
    """The sets that a pinned key signed, oldest first, and what is wrong with their chain."""

    place: Place
    entries: tuple[Entry, ...]
    head: Link
    findings: tuple[Finding, ...]

    @property
    def offered(self) -> tuple[Entry, ...]:
        """The sets that retention has not given up: only these are complete."""
        return tuple(entry for entry in self.entries if not entry.marked)

    def require_sound(self) -> None:
        """Raise BackupError with the first finding's code and the words of all."""
        if self.findings:
            raise BackupError(
                self.findings[0].code,
                "; ".join(finding.text for finding in self.findings),
                hint=HINT,
                details={"findings": [dataclasses.asdict(finding) for finding in self.findings]},
            )


@dataclass
class _Walk:
    """What one walk has read and found."""

    objects: Objects
    place: Place
    trusted: Trusted
    live: dict[int, Entry] = field(default_factory=dict)
    unbelievable: set[int] = field(default_factory=set)
    buried: set[int] = field(default_factory=set)
    stones: dict[int, Tombstone | None] = field(default_factory=dict)
    moves: dict[tuple[str, str], str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def find(self, fault: Fault, seq: int, text: str, *, code: Code = Code.CHAIN, key: str = "") -> None:
        self.findings.append(Finding(fault, code, seq, key or self.place.manifest(seq), text))

    def stone(self, seq: int) -> Tombstone | None:
        """Return the tombstone of a set, None when it has none that can be believed."""
        if seq not in self.stones:
            self.stones[seq] = None
            if seq in self.buried:
                try:
                    self.stones[seq] = read_tombstone(self.objects, self.place, seq, self.trusted)
                except BackupError as error:
                    self._disbelieve(error, seq, self.place.tombstone(seq))
        return self.stones[seq]

    def read(self) -> None:
        """Read all manifests, and learn which tombstones there are."""
        for stored in self.objects.list(self.place.manifests):
            seq = seq_of(stored.key)
            if seq is None:
                self.find(Fault.FORGED, 0, f"{stored.key} is no manifest", code=Code.INTEGRITY, key=stored.key)
                continue
            try:
                self.live[seq] = read_entry(self.objects, self.place, stored, self.trusted)
            except BackupError as error:
                self.unbelievable.add(seq)
                self._disbelieve(error, seq, stored.key)
        self.buried = {seq for stored in self.objects.list(self.place.tombstones) if (seq := seq_of(stored.key))}

    def read_moves(self) -> None:
        """Learn which objects were brought back, and under which versions they lie now."""
        for stored in self.objects.list(self.place.rescued):
            try:
                add_moves(self.moves, read_rescued(self.objects, self.place, stored.key, self.trusted))
            except BackupError as error:
                self._disbelieve(error, 0, stored.key)

    def _disbelieve(self, error: BackupError, seq: int, key: str) -> None:
        faults = {
            Code.INTEGRITY: Fault.FORGED,
            Code.KEY: Fault.UNKNOWN_KEY,
            Code.VERSION_MISMATCH: Fault.UNKNOWN_SCHEMA,
            Code.CHAIN: Fault.WRONG_CLUSTER if "system_id" in error.details else Fault.SWAPPED,
        }
        if error.code not in faults:
            raise error
        self.find(faults[error.code], seq, error.message, code=error.code, key=key)

    def follow(self) -> dict[int, str]:
        """Follow the links down from the newest set; return the hash by which each number is known on the way."""
        path: dict[int, str] = {}
        link = self.live[max(self.live)].link if self.live else START
        while link.seq:
            path[link.seq] = link.sha256
            entry, stone = self.live.get(link.seq), self.stone(link.seq)
            for sha256 in {one.sha256 for one in (entry, stone) if one and one.sha256 != link.sha256}:
                self.find(
                    Fault.REPLACED,
                    link.seq,
                    f"set {link.seq} is {sha256[:12]}, and the next one names {link.sha256[:12]}",
                )
            if stone and stone.closes:
                break
            if entry:
                link = entry.manifest.prev
            elif stone:
                link = Link(stone.prev_seq, stone.prev_sha256)
            else:
                link = self._across_the_gap(link.seq)
        return path

    def _across_the_gap(self, seq: int) -> Link:
        if seq not in self.unbelievable:
            self.find(Fault.REMOVED, seq, f"set {seq} is gone, and retention did not take it")
        below = [number for number in self.live.keys() | self.buried if number < seq]
        if not below:
            return START
        there, stone = self.live.get(max(below)), self.stone(max(below))
        sha256 = there.sha256 if there else stone.sha256 if stone else ""
        return Link(max(below), sha256)


def walk(objects: Objects, place: Place, trusted: Trusted, *, memory: Path | None) -> Chain:
    """Read the whole chain and compare its head with what this host remembers in `memory`; it writes nothing.

    The manifests of the entries name the versions under which their objects lie now, also after a rescue.
    Only trouble with the storage itself raises; whatever somebody did to the chain is a finding.
    """
    one = _Walk(objects, place, trusted)
    # Before the listing: a job that commits meanwhile must not make this look like a bucket that was rolled back.
    remembered = _recall(one, memory) if memory is not None else None
    one.read()
    one.read_moves()
    path = one.follow()
    entries = []
    for seq, entry in sorted(one.live.items()):
        marked = one.stone(seq) is not None
        if seq not in path and not marked:
            one.find(Fault.FORKED, seq, f"set {seq} is signed, but no later set follows it")
        entries.append(dataclasses.replace(entry, manifest=as_rescued(entry.manifest, one.moves), marked=marked))
    head = entries[-1].link if entries else START
    if remembered is not None:
        _compare(one, path, head, remembered)
    return Chain(place, tuple(entries), head, tuple(one.findings))


def _recall(one: _Walk, file: Path) -> Memory | None:
    """Return what this host remembers of this cluster; what it remembers otherwise is a finding."""
    try:
        memory = recall(file)
    except BackupError as error:
        one.find(Fault.UNREADABLE_MEMORY, 0, error.message, key=str(file))
        return None
    if memory is not None and not memory.is_of(one.place):
        one.find(Fault.WRONG_CLUSTER, 0, f"this host kept the sets of cluster {memory.system_id}", key=str(file))
        return None
    return memory


def _compare(one: _Walk, path: Mapping[int, str], head: Link, memory: Memory) -> None:
    """Find where the bucket disagrees with what this host remembers of it."""
    seq, sha256 = memory.head.seq, memory.head.sha256
    if seq > head.seq:
        text = f"the chain ends with set {head.seq}, but this host has seen set {seq} ({sha256[:12]})"
        one.find(Fault.ROLLED_BACK, seq, text)
    elif path.get(seq, sha256) != sha256:
        one.find(Fault.FORKED, seq, f"set {seq} is {path[seq][:12]}, but this host has seen {sha256[:12]} there")
    elif seq not in path and seq > min(path):
        one.find(Fault.FORKED, seq, f"this host has seen set {seq} ({sha256[:12]}), and the chain goes past it")


def inspect(
    objects: Objects, entry: Entry, *, head: Callable[[str], Stored | None] | None = None
) -> tuple[Finding, ...]:
    """Compare what the storage says of a set's objects with the set's manifest; it reads no content.

    `head` answers for many objects from one listing; by default each is asked for.
    """
    return inspect_parts(objects, entry.manifest.objects, entry.seq, head=head)


def inspect_parts(
    objects: Objects, parts: Sequence[Part], seq: int = 0, *, head: Callable[[str], Stored | None] | None = None
) -> tuple[Finding, ...]:
    """Compare what the storage says of objects with what was written, also before there is a set of them (`seq` 0)."""
    look = head or objects.head
    found = [(part, look(part.key)) for part in parts]
    digests = {part.sha256: part.key for part in parts if part.sha256}
    name = f"set {seq}: " if seq else ""
    return tuple(
        Finding(fault[0], Code.INTEGRITY, seq, part.key, f"{name}{part.key} {fault[1]}")
        for part, stored in found
        if (fault := _fault_of(part, stored, digests)) is not None
    )


def _fault_of(part: Part, stored: Stored | None, digests: Mapping[str, str]) -> tuple[Fault, str] | None:
    if stored is None:
        return Fault.REMOVED, "is gone"
    known = bool(part.sha256 and stored.sha256)
    if known and stored.sha256 != part.sha256 and stored.sha256 in digests:
        return Fault.SWAPPED, f"holds what {digests[stored.sha256]} should hold"
    if part.version and stored.version != part.version:
        return Fault.REPLACED, f"is version {stored.version}, committed was {part.version}"
    if stored.bytes != part.bytes:
        return Fault.CHANGED, f"has {stored.bytes} bytes, committed were {part.bytes}"
    if known and stored.sha256 != part.sha256:
        return Fault.CHANGED, "has another digest than was committed"
    return None
