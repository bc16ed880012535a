"""A storage in memory with versions and a clock of its own, and a small cluster whose sets lie in it."""

from __future__ import annotations

import dataclasses
import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pasargad_ops.backup import chain, manifest
from pasargad_ops.backup.chain import Entry
from pasargad_ops.backup.manifest import Manifest, Part, new_run_id
from pasargad_ops.backup.objects import AlreadyThere, NotThere, Stored, Upload
from pasargad_ops.backup.places import Place
from pasargad_ops.backup.signatures import Signer, Trusted, load_signer, make_key, trusted_keys
from pasargad_ops.backup.walk import Chain, walk

BEGINNING = datetime(2026, 1, 1, 3, tzinfo=UTC)
SYSTEM_ID = "7412345678901234567"
PROD = Place("prod", SYSTEM_ID)


class Died(BaseException):
    """The process ended here; nothing may catch it."""


class Shelf:
    """Objects in memory. Writes are counted, and the process can be made to die right before one of them.

    `honours_once` off is the negative control of the races; `before_put` lets threads meet before they write.
    """

    def __init__(self, *, honours_once: bool = True) -> None:
        self.kept: dict[str, list[tuple[bytes | None, datetime]]] = {}
        self.clock = BEGINNING
        self.writes = 0
        self.dies_at: int | None = None
        self.honours_once = honours_once
        self.before_put: Callable[[str], None] = lambda key: None
        self._lock = threading.Lock()

    def put(self, key: str, body: bytes, *, once: bool = False, retain_until: datetime | None = None) -> Stored:
        self.before_put(key)
        with self._lock:
            self._write_begins()
            if once and self.honours_once and self._current(key) is not None:
                raise AlreadyThere(key)
            self.kept.setdefault(key, []).append((body, self.clock))
            return self._stored(key)

    def get(self, key: str, *, version: str = "") -> bytes:
        with self._lock:
            body = self.kept[key][int(version)][0] if version else self._current(key)
        if body is None:
            raise NotThere(key)
        return body

    def head(self, key: str) -> Stored | None:
        with self._lock:
            return None if self._current(key) is None else self._stored(key)

    def list(self, prefix: str) -> Iterator[Stored]:
        with self._lock:
            found = [
                self._stored(key)
                for key in sorted(self.kept)
                if key.startswith(prefix) and self._current(key) is not None
            ]
        yield from found

    def hide(self, key: str) -> None:
        with self._lock:
            self._write_begins()
            self.kept[key].append((None, self.clock))

    def now(self) -> datetime:
        return self.clock

    # The chain streams nothing and looks at no version but the ones it names.
    def write(self, key: str, chunks: Iterable[bytes], **how: Any) -> Stored:
        raise NotImplementedError

    def read(self, key: str, *, version: str = "", sha256: str = "") -> Iterator[bytes]:
        yield self.get(key, version=version)

    def versions(self, prefix: str) -> Iterator[Stored]:
        with self._lock:
            found = [stored for stored, hidden in self._all(prefix) if not hidden]
        yield from found

    def markers(self, prefix: str) -> Iterator[Stored]:
        with self._lock:
            found = [stored for stored, hidden in self._all(prefix) if hidden]
        yield from found

    def bring_back(self, key: str, version: str) -> Stored:
        return self.put(key, self.get(key, version=version))

    def uploads(self, prefix: str) -> Iterator[Upload]:
        raise NotImplementedError

    def abort(self, upload: Upload) -> None:
        raise NotImplementedError

    def all_keys(self) -> tuple[str, ...]:
        return tuple(stored.key for stored in self.list(""))

    def _write_begins(self) -> None:
        if self.writes == self.dies_at:
            raise Died
        self.writes += 1

    def _all(self, prefix: str) -> Iterator[tuple[Stored, bool]]:
        for key in sorted(key for key in self.kept if key.startswith(prefix)):
            for version, (body, at) in reversed(list(enumerate(self.kept[key]))):
                yield Stored(key, len(body or b""), "", str(version), at, None), body is None

    def _current(self, key: str) -> bytes | None:
        return self.kept[key][-1][0] if key in self.kept else None

    def _stored(self, key: str) -> Stored:
        body, modified = self.kept[key][-1]
        assert body is not None
        return Stored(key, len(body), hashlib.sha256(body).hexdigest(), str(len(self.kept[key]) - 1), modified, None)


@dataclass
class Cluster:
    """One cluster, its host's key and memory, and the storage of its sets."""

    directory: Path
    shelf: Shelf = field(default_factory=Shelf)
    place: Place = PROD

    def __post_init__(self) -> None:
        self.pins = [make_key(self.directory / "signing.pem")]
        self.memory = self.directory / "chain.json"

    @property
    def signer(self) -> Signer:
        return load_signer(self.directory / "signing.pem")

    @property
    def trusted(self) -> Trusted:
        return trusted_keys(self.pins)

    def draft(self, slot: str = "2026-01-01", *, kind: str = "logical", size: int = 100, **changes: Any) -> Manifest:
        """Store the objects of a set and return what its manifest will say."""
        run_id = new_run_id(self.shelf.clock)
        prefix = self.place.logical(self.shelf.clock, run_id)
        parts = []
        for role in ("globals", "data-000"):
            stored = self.shelf.put(f"{prefix}{role}.age", f"{run_id} {role} ".encode().ljust(size, b"."), once=True)
            parts.append(Part(stored.key, role, stored.bytes, stored.sha256, stored.version))
        whole = example(run_id=run_id, slot=slot, kind=kind, objects=tuple(parts), env=self.place.env)
        if kind == "physical":
            name = manifest.Physical("main", "20260101-013000F", "full", "0" * 24, "0" * 23 + "1")
            whole = dataclasses.replace(whole, physical=name)
        server = dataclasses.replace(whole.pg, system_identifier=self.place.system_id)
        return dataclasses.replace(whole, pg=server, **changes)

    def commit(self, slot: str = "2026-01-01", *, draft: Manifest | None = None, **more: Any) -> Entry:
        return chain.commit(
            self.shelf,
            self.place,
            draft or self.draft(slot),
            **{"signer": self.signer, "trusted": self.trusted, "memory": self.memory, **more},
        )

    def days(self, count: int) -> list[Entry]:
        """Commit one set a day."""
        made = []
        for _ in range(count):
            made.append(self.commit(f"{self.shelf.clock:%Y-%m-%d}"))
            self.shelf.clock += timedelta(days=1)
        return made

    def walk(self) -> Chain:
        return walk(self.shelf, self.place, self.trusted, memory=self.memory)


def example(**changes: Any) -> Manifest:
    """A manifest with something in every field."""
    return dataclasses.replace(
        manifest.Manifest(
            run_id="01KDVNP200ABCDEFGHJKMNPQRS",
            kind="logical",
            slot="2026-01-01",
            attempt="v1/prod/1/claims/logical/2026-01-01/attempt-1.json",
            tier="daily",
            env="prod",
            host="db1",
            tool="2026.1",
            pg=manifest.Server(SYSTEM_ID, 150018, 1, "0/16B3748", "000000010000000000000001"),
            db=manifest.Database(
                "pasargad", "UTF8", "fa_IR.UTF-8", "2.36", 1 << 30, "C.UTF-8", "i", "fa-IR", "pasargad_owner"
            ),
            extensions={"pg_trgm": "1.6"},
            django={"orders": "0042_نشانی"},
            tables=(
                manifest.Table(
                    'public."Größe"',
                    "data-000",
                    8192,
                    manifest.Fingerprint(3, "18446744073709551616/7", "d41d8cd98f00b204", 12, 4294967295),
                ),
            ),
            heartbeat=manifest.Heartbeat(77, 1767236400000),
            objects=(Part("v1/prod/1/logical/2026/01/01/X/globals.age", "globals", 5, "ab" * 32, "0"),),
            physical=None,
            crypto=manifest.Crypto(("age1qqq", "age1zzz")),
            times=manifest.Times(1767236400000, 1767236401000, 1767236460000, 1767236461000),
            clock=manifest.Clock(-12, True),
            durations_ms={"dump": 60000},
            exit=0,
        ),
        **changes,
    )
