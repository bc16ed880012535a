"""The one door of all backup jobs to storage: what an object is, what may be done with it, and which storage it is.

Where the SHA-256 of an object is kept: S3 takes metadata only when an object is begun, and the sum of a stream is known
only at its end. So `put` and streams that fit into one part carry their sum as metadata; for longer streams the sum is
what `write` returned, the caller keeps it (in the set's manifest) and hands it to `read`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from .errors import BackupError, Code

SMALL_BYTES = 64 << 20
CHUNK_BYTES = 1 << 20
# Uploads under way lie here in a directory; S3 refuses the name too, so that a set can move from one to the other.
PARTS = ".parts"
LONGEST_KEY_BYTES = 900
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Stored:
    """An object as storage tells of it; times are UTC, `sha256` is empty where storage does not know it."""

    key: str
    bytes: int
    sha256: str
    version: str
    modified: datetime
    retain_until: datetime | None


@dataclass(frozen=True)
class Upload:
    """An upload that was begun and not ended; its bytes are paid for and seen by nobody."""

    key: str
    id: str
    begun: datetime


@dataclass(frozen=True)
class Storage:
    """Where objects lie: a bucket, or a directory where no bucket is set; keys are told without `prefix`.

    The two files hold one line each and are read when the place is opened.
    """

    bucket: str = ""
    prefix: str = ""
    endpoint_url: str = ""
    region: str = ""
    addressing_style: str = "auto"
    ca_bundle: Path | None = None
    key_id_file: Path | None = None
    secret_file: Path | None = None
    directory: Path | None = None


class AlreadyThere(BackupError):
    """A key that may be written only once exists."""

    def __init__(self, where: str) -> None:
        super().__init__(
            Code.CLAIMED,
            f"{where} exists and is written only once",
            hint="nothing to do where another run made it; else start a new run",
        )


class NotThere(BackupError):
    """A key that was asked for does not exist, or its version does not."""

    def __init__(self, where: str) -> None:
        super().__init__(
            Code.INTEGRITY,
            f"{where} does not exist",
            hint="list the place; with versions, an older one may still be there",
        )


class Objects(Protocol):
    """Objects under keys, as S3 has them; failures are BackupErrors, what `chunks` raises comes through unchanged."""

    def put(self, key: str, body: bytes, *, once: bool = False, retain_until: datetime | None = None) -> Stored:
        """Store a small object at once; raises AlreadyThere when `once` and the key exists."""
        ...

    def write(
        self,
        key: str,
        chunks: Iterable[bytes],
        *,
        estimate: int = 0,
        once: bool = True,
        retain_until: datetime | None = None,
        tier: str = "",
        beside: int = 1,
    ) -> Stored:
        """Store a stream in constant memory; it is seen only when it is whole, and its `sha256` is what was computed.

        `estimate` is the expected size in bytes; `tier` becomes a tag that lifecycle rules of a bucket can name. As
        many streams as `beside` says are written at once, and share the memory of one.
        """
        ...

    def get(self, key: str, *, version: str = "") -> bytes:
        """Return a small object; refuses more than 64 MiB, raises NotThere."""
        ...

    def read(self, key: str, *, version: str = "", sha256: str = "") -> Iterator[bytes]:
        """Stream an object; at the end its size and its sum are compared, with `sha256` or else with the one kept."""
        ...

    def head(self, key: str) -> Stored | None:
        """Return what storage knows of the current object, None where there is none."""
        ...

    def list(self, prefix: str) -> Iterator[Stored]:
        """Yield the current objects whose keys begin with `prefix`, sorted by key; sums and locks are not told."""
        ...

    def versions(self, prefix: str) -> Iterator[Stored]:
        """Yield also hidden and older versions, by key and the newest first; sums and locks are not told."""
        ...

    def hide(self, key: str) -> None:
        """Make an object unseen: a delete marker, or deletion where there are no versions; absent is fine."""
        ...

    def markers(self, prefix: str) -> Iterator[Stored]:
        """Yield when objects were hidden, also those that came back; none where there are no versions."""
        ...

    def bring_back(self, key: str, version: str) -> Stored:
        """Make an older version the current one again, by a copy; return the copy.

        Raises NotThere for a version that is gone, CONFIG where there are no versions.
        """
        ...

    def uploads(self, prefix: str) -> Iterator[Upload]:
        """Yield uploads that were begun and not ended, also those under way."""
        ...

    def abort(self, upload: Upload) -> None:
        """Remove what an upload has stored so far; its writer fails, an upload that ended is fine."""
        ...

    def now(self) -> datetime:
        """Return the time by the storage's own clock, UTC; S3 tells whole seconds."""
        ...


def open_objects(place: Storage, *, hurried: bool = False) -> Objects:
    """Open the storage that is set: the bucket, else the directory; raises CONFIG where neither can be used.

    One that is `hurried` gives up within half a minute, for who waits at a screen.
    """
    if place.bucket:
        try:
            from .objects_s3 import S3Objects
            from .objects_s3_faults import BRIEF
        except ImportError as error:
            raise BackupError(
                Code.CONFIG, f"S3 cannot be used: {error}", hint="apt-get install python3-boto3"
            ) from error
        if hurried:
            return S3Objects(place, patience=BRIEF, connect_timeout=3.0, read_timeout=8.0)
        return S3Objects(place)
    if place.directory is not None:
        from .objects_dir import DirectoryObjects

        return DirectoryObjects(place)
    raise BackupError(
        Code.CONFIG,
        "neither a bucket nor a directory for backups is set",
        hint="set pasargad_s3_backup_bucket in the inventory",
    )


def check_key(key: str) -> str:
    """Return the key; raises CONFIG where it is none, or would leave the place in a directory."""
    segments = key.split("/")
    if (
        CONTROL.search(key)
        or len(key.encode(errors="surrogatepass")) > LONGEST_KEY_BYTES
        or any(segment in ("", ".", "..", PARTS) for segment in segments)
    ):
        raise BackupError(
            Code.CONFIG,
            f"{key!r} is no key of an object",
            hint=f"keys have no empty parts, no '.', '..' or '{PARTS}', and at most {LONGEST_KEY_BYTES} bytes",
        )
    return key


def check_prefix(prefix: str) -> str:
    """Return the beginning of keys, which may end anywhere; raises CONFIG as check_key does."""
    folder, _, _ = prefix.rpartition("/")
    if folder:
        check_key(folder)
    return prefix


class Tally:
    """Count and sum up a stream as it passes."""

    def __init__(self) -> None:
        self.bytes = 0
        self._sum = hashlib.sha256()

    def add(self, chunk: bytes | bytearray | memoryview) -> None:
        """Take a piece into account."""
        self.bytes += len(chunk)
        self._sum.update(chunk)

    @property
    def sha256(self) -> str:
        """The sum so far, in hexadecimal."""
        return self._sum.hexdigest()

    def compare(self, where: str, size: int, sha256: str) -> None:
        """Raise INTEGRITY unless this many bytes came, with this sum where one is known."""
        if self.bytes != size:
            raise BackupError(
                Code.INTEGRITY, f"{where}: {self.bytes} bytes came instead of {size}", hint="restore from another set"
            )
        if sha256 and sha256 != self.sha256:
            raise BackupError(
                Code.INTEGRITY,
                f"{where} is not what was written: its SHA-256 is {self.sha256} instead of {sha256}",
                hint="restore from another set or, with versions, read an older one",
            )


def refuse_large(where: str, size: int) -> None:
    """Raise INTEGRITY for an object that is not small, before any of it is read."""
    if size > SMALL_BYTES:
        raise BackupError(
            Code.INTEGRITY,
            f"{where} has {size} bytes, which no small object has",
            hint="look who wrote it; large objects are streamed",
        )
