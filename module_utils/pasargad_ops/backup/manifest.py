"""Say what a set is: the manifest that commits it, in one form that is signed, hashed and read the same everywhere."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .errors import BackupError, Code
from .records import from_record, unclear

SCHEMA = 1
KINDS = ("logical", "physical")
TIERS = ("daily", "weekly", "monthly")
RUN_ID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
SHA256 = re.compile(r"[0-9a-f]{64}")
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@dataclass(frozen=True)
class Link:
    """One link of the chain: the number of a set and the SHA-256 of its manifest's file."""

    seq: int
    sha256: str


START = Link(0, "")


@dataclass(frozen=True)
class Server:
    """The cluster; `version` as in server_version_num, `lsn` and `wal_file` where the set was taken."""

    system_identifier: str
    version: int
    timeline: int
    lsn: str
    wal_file: str


@dataclass(frozen=True)
class Database:
    """The shop's database; `collation_version` tells whether indexes over text hold on another host.

    `provider` is `c` for libc, `i` for ICU and `b` for PostgreSQL's own, whose `locale` is named apart.
    """

    name: str
    encoding: str
    collation: str
    collation_version: str
    bytes: int
    ctype: str = ""
    provider: str = "c"
    locale: str = ""
    owner: str = ""


@dataclass(frozen=True)
class Fingerprint:
    """What a table, a sequence, or all large objects held in the very snapshot of the set.

    `count` is the number of rows or objects, always exact; of a sequence the next value. `digest` is a sum of hashes,
    blind to order: of every key and of each row whose key the seed picks, one in `one_in`. `columns` is a hash of names
    and types. `step` is a sequence's increment, 0 where any value may follow (CYCLE) and for what is no sequence.
    """

    count: int
    digest: str = ""
    columns: str = ""
    one_in: int = 1
    seed: int = 0
    step: int = 0


@dataclass(frozen=True)
class Table:
    """A table, a sequence or the large objects, as fingerprints name them, and the object that holds it (by role)."""

    name: str
    shard: str
    bytes: int
    fingerprint: Fingerprint


@dataclass(frozen=True)
class Heartbeat:
    """The last heartbeat row that the set holds."""

    seq: int
    at_ms: int


@dataclass(frozen=True)
class Part:
    """One stored object of the set; a physical set's `sha256` may be empty while nobody has read the object."""

    key: str
    role: str
    bytes: int
    sha256: str
    version: str


@dataclass(frozen=True)
class Physical:
    """What pgBackRest calls the set, and the WAL that makes it consistent."""

    stanza: str
    label: str
    type: str
    wal_start: str
    wal_stop: str


@dataclass(frozen=True)
class Crypto:
    """Who can open the set: age recipients of a logical set, the key's generation of a physical one."""

    recipients: tuple[str, ...]


@dataclass(frozen=True)
class Times:
    """Milliseconds since the epoch: three by the host's clock, `commit_ms` by the storage's."""

    start_ms: int
    snapshot_ms: int
    end_ms: int
    commit_ms: int


@dataclass(frozen=True)
class Clock:
    """How far the host's clock was from the storage's (host minus storage), and whether something keeps it right."""

    skew_ms: int
    synchronised: bool


@dataclass(frozen=True)
class Manifest:
    """All that is known of one set; the times of its phases in milliseconds.

    `seq`, `prev_seq` and `prev_sha256` are filled in by the commit; `attempt` is the key of the claim.
    """

    run_id: str
    kind: str
    slot: str
    attempt: str
    tier: str
    env: str
    host: str
    tool: str
    pg: Server
    db: Database
    extensions: Mapping[str, str]
    django: Mapping[str, str]
    tables: tuple[Table, ...]
    heartbeat: Heartbeat | None
    objects: tuple[Part, ...]
    physical: Physical | None
    crypto: Crypto
    times: Times
    clock: Clock
    durations_ms: Mapping[str, int]
    exit: int
    schema: int = SCHEMA
    seq: int = 0
    prev_seq: int = 0
    prev_sha256: str = ""

    @property
    def prev(self) -> Link:
        return Link(self.prev_seq, self.prev_sha256)

    @property
    def bytes(self) -> int:
        return sum(part.bytes for part in self.objects)

    @property
    def fingerprints(self) -> dict[str, Fingerprint]:
        """What the set held, by name: the `like` by which a restored database is asked again."""
        return {table.name: table.fingerprint for table in self.tables}

    @property
    def rows(self) -> int:
        """The rows of all tables; sequences and large objects have no columns."""
        return sum(table.fingerprint.count for table in self.tables if table.fingerprint.columns)


def new_run_id(moment: datetime, *, random: Callable[[int], bytes] = os.urandom) -> str:
    """Return a ULID: sorts by `moment` to the millisecond, with 80 random bits."""
    number = (int(moment.timestamp() * 1000) << 80) | int.from_bytes(random(10), "big")
    return "".join(CROCKFORD[(number >> shift) & 31] for shift in range(125, -5, -5))


def refuse_other_schema(record: Any, where: str) -> None:
    """Raise BackupError (VERSION_MISMATCH) when `record` was written by a newer or unknown form of the operations."""
    schema = record.get("schema") if isinstance(record, dict) else None
    if type(schema) is not int or schema != SCHEMA:
        raise BackupError(
            Code.VERSION_MISMATCH,
            f"{where} has schema {schema!r}; this host reads schema {SCHEMA}",
            hint="bring this host's operations up to date: run deploy.yml -e pasargad_converge=full",
        )


def parse(record: Any, where: str = "the manifest") -> Manifest:
    """Build a manifest from plain JSON values.

    Raises BackupError: VERSION_MISMATCH for another schema, INTEGRITY for anything that a set cannot be.
    """
    refuse_other_schema(record, where)
    manifest = from_record(Manifest, record, where)
    if found := problems(manifest):
        raise unclear(f"{where}: {'; '.join(found)}")
    return manifest


def problems(manifest: Manifest) -> list[str]:
    """Return why no set can be what `manifest` says, in words; empty when it can."""
    logical = manifest.kind == "logical"
    checks = {
        f"{manifest.run_id!r} is no run id": bool(RUN_ID.fullmatch(manifest.run_id)),
        f"{manifest.kind!r} is no kind of set": manifest.kind in KINDS,
        f"{manifest.tier!r} is no tier": manifest.tier in TIERS,
        "it has no slot": bool(manifest.slot),
        f"the job ended with {manifest.exit}": manifest.exit == 0,
        "it holds no object": bool(manifest.objects),
        "an object stands in it twice": len({part.key for part in manifest.objects}) == len(manifest.objects),
        "nobody can open it: no recipient": bool(manifest.crypto.recipients),
        "a physical set must say what pgBackRest calls it": logical == (manifest.physical is None),
        "it must come after the one before": 0 <= manifest.prev_seq < max(manifest.seq, 1),
        "it must name the hash of the one before": bool(SHA256.fullmatch(manifest.prev_sha256))
        if manifest.prev_seq
        else not manifest.prev_sha256,
    }
    wrong = [words for words, fine in checks.items() if not fine]
    wrong += [
        f"{part.key} has no size or digest"
        for part in manifest.objects
        if part.bytes < 0 or not (SHA256.fullmatch(part.sha256) or (not logical and not part.sha256))
    ]
    return wrong
