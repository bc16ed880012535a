"""A shop's nights without a server: sets are committed, checked and drilled by the clock of a test, then retained."""

from __future__ import annotations

import dataclasses
import os
import random
import signal
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pasargad_ops.backup import retain as retaining
from pasargad_ops.backup.chain import Entry
from pasargad_ops.backup.config import BackupConfig
from pasargad_ops.backup.context import Context
from pasargad_ops.backup.errors import BackupError, Code
from pasargad_ops.backup.manifest import Crypto, Physical
from pasargad_ops.backup.objects import Storage, Stored
from pasargad_ops.backup.objects_dir import DirectoryObjects
from pasargad_ops.backup.proofs import load_proofs, note_proof
from pasargad_ops.backup.retain import RetainRequest, retain
from pasargad_ops.backup.retention import tier_for
from pasargad_ops.backup.walk import Chain, inspect
from pasargad_ops.outcome import Outcome
from tests.unit.backup.frame import settings
from tests.unit.backup.sets import BEGINNING, Cluster

KEEP = timedelta(days=30)


@dataclass(frozen=True)
class Listed:
    """A backup as `info` lists it, as far as retention looks."""

    label: str
    at: datetime
    prior: str = ""


@dataclass
class Repository:
    """What pgbackrest does: full and differential backups, expired by time as it does it."""

    backups: list[Listed] = field(default_factory=list)
    now: datetime = BEGINNING
    expired: int = 0
    down: BackupError | None = None

    def info(self) -> Repository:
        if self.down is not None:
            raise self.down
        return self

    def expire(self) -> None:
        """Drop the full backups that another one older than 30 days follows, with all that lean on them."""
        self.expired += 1
        old = [one for one in self.backups if not one.prior and self.now - one.at > KEEP]
        going = {one.label for one in old[:-1]}
        self.backups = [one for one in self.backups if one.label not in going and one.prior not in going]


class Shop(Cluster):
    """A host whose sets lie on a shelf with a clock, or in any other storage of a test."""

    def __init__(self, directory: Path, shelf: Any = None, **changes: Any) -> None:
        super().__init__(directory, *([shelf] if shelf is not None else []))
        self.values = settings(directory, **changes)
        self.context = Context(BackupConfig.from_mapping(self.values))
        self.memory = self.context.config.memory_file
        self.repository = Repository()
        self.context.__dict__.update(objects=self.shelf, repository=self.repository)

    @property
    def now(self) -> datetime:
        return self.shelf.clock

    def logical(self, *, level: int = 2, drilled: bool = True, flaw: str = "", size: int = 100) -> Entry:
        """Make the night's logical set, and note what became known of it."""
        known = load_proofs(self.context.config.proofs_file)
        earlier = [
            datetime.fromtimestamp(entry.manifest.times.commit_ms / 1000, UTC)
            for entry in self.walk().offered
            if entry.manifest.kind == "logical" and not known[entry.manifest.run_id].flaw
        ]
        draft = self.draft(f"{self.now:%Y-%m-%d}", size=size, tier=tier_for(self.now, earlier))
        return self.note(self.commit(draft=draft), level=level, drilled=drilled, flaw=flaw)

    def physical(self, *, full: bool, level: int = 2, drilled: bool = False) -> Entry:
        """Let pgbackrest make a backup, and attest it."""
        full = full or not self.repository.backups
        prior = "" if full else [one.label for one in self.repository.backups if not one.prior][-1]
        label = f"{self.now:%Y%m%d-%H%M%S}{'F' if full else 'D'}"
        self.repository.backups.append(Listed(label, self.now, prior))
        draft = self.draft(f"p{self.now:%Y-%m-%d}", kind="physical")
        parts = [self.shelf.put(f"{self.place.root}physical/g1/backup/main/{label}/backup.manifest", label.encode())]
        objects = tuple(
            dataclasses.replace(draft.objects[0], key=one.key, bytes=one.bytes, sha256=one.sha256, version=one.version)
            for one in parts
        )
        kind = "full" if full else "diff"
        named = Physical("main", label, kind, "0" * 24, "0" * 23 + "1")
        draft = dataclasses.replace(draft, physical=named, crypto=Crypto(("g1",)), objects=objects)
        return self.note(self.commit(draft=draft), level=level, drilled=drilled)

    def note(self, entry: Entry, *, level: int, drilled: bool = False, flaw: str = "") -> Entry:
        path = self.context.config.proofs_file
        note_proof(path, entry.manifest.run_id, at=self.now.timestamp(), level=level, drilled=drilled, flaw=flaw)
        return entry

    def retain(self, *, force: bool = False, dry_run: bool = False) -> Outcome:
        self.repository.now = self.now
        before = retaining.host_time
        retaining.host_time = lambda: self.now
        try:
            return retain(self.context, RetainRequest(force), dry_run=dry_run)
        finally:
            retaining.host_time = before

    def seqs(self, kind: str = "logical") -> list[int]:
        return [entry.seq for entry in self.walk().offered if entry.manifest.kind == kind]

    def ages(self, chain: Chain | None = None) -> dict[str, timedelta]:
        """Return how old each set that is offered is, by run id."""
        return {
            entry.manifest.run_id: self.now - datetime.fromtimestamp(entry.manifest.times.commit_ms / 1000, UTC)
            for entry in (chain or self.walk()).offered
        }

    def assert_sound(self) -> None:
        chain = self.walk()
        assert chain.findings == ()
        for entry in chain.offered:
            if entry.manifest.kind == "logical":
                assert inspect(self.shelf, entry) == ()

    def last_good(self, kind: str, chain: Chain | None = None) -> str:
        """Return the run id of the newest set that is known as good, an empty text where none is."""
        known = load_proofs(self.context.config.proofs_file)
        good = [
            entry.manifest.run_id
            for entry in (chain or self.walk()).offered
            if entry.manifest.kind == kind and self.context.config.policy.is_good(retaining._held(entry, known))
        ]
        return good[-1] if good else ""


class Clocked(DirectoryObjects):
    """A directory with a clock of its own, in which the process is killed right before the write `dies_at`."""

    def __init__(self, directory: Path, clock: datetime = BEGINNING, dies_at: int | None = None) -> None:
        super().__init__(Storage(directory=directory))
        self.clock, self.dies_at, self.writes = clock, dies_at, 0

    def now(self) -> datetime:
        return self.clock

    def write(self, key: str, chunks: Iterable[bytes], **how: Any) -> Stored:
        self._write_begins()
        return super().write(key, chunks, **how)

    def hide(self, key: str) -> None:
        self._write_begins()
        super().hide(key)

    def _write_begins(self) -> None:
        if self.writes == self.dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.writes += 1


def night(shop: Shop, chance: random.Random, number: int, *, diffs: bool = True) -> None:
    """Make what a night makes: most of it goes well. Without `diffs` there is a physical set a week."""
    if chance.random() < 0.95 and (diffs or number % 7 == 0):
        shop.physical(full=number % 7 == 0, level=2 if chance.random() < 0.9 else 1)
    shop.shelf.clock += timedelta(hours=1)
    if chance.random() < 0.93:
        flaw = "damaged" if chance.random() < 0.05 else ""
        level = 2 if chance.random() < 0.95 else 0
        shop.logical(level=level, drilled=chance.random() < 0.1, flaw=flaw, size=90 + chance.randrange(20))


def nights(shop: Shop, chance: random.Random, count: int, *, deaths: float, diffs: bool = True) -> int:
    """Let nights pass and assert after each that what must stay has stayed; return how often retention refused."""
    refusals = 0
    for number in range(count):
        night(shop, chance, number, diffs=diffs)
        chain = shop.walk()
        before = {kind: shop.last_good(kind, chain) for kind in ("logical", "physical")}
        young = {run_id for run_id, age in shop.ages(chain).items() if age < KEEP}
        if chance.random() < deaths:
            shop.shelf.dies_at = shop.shelf.writes + chance.randrange(6)
        try:
            shop.retain()
        except BackupError as error:
            refusals += error.code is Code.RETENTION_REFUSED
        shop.shelf.dies_at = None
        chain = shop.walk()
        assert chain.findings == ()
        assert {kind: shop.last_good(kind, chain) for kind in before} == before
        assert young <= set(shop.ages(chain))
        if number % 10 == 9:
            shop.assert_sound()
        shop.shelf.clock += timedelta(hours=23)
    return refusals
