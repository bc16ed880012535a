"""Keep objects: the one door to the storage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from .errors import BackupError


@dataclass(frozen=True)
class Stored:
    """What the storage says of one object; times are the storage's own."""

    key: str
    bytes: int
    sha256: str
    version: str
    modified: datetime
    retain_until: datetime | None


class AlreadyThere(BackupError):
    """A key that is written once exists."""


class Objects(Protocol):
    """A storage of objects."""

    def put(self, key: str, body: bytes, *, once: bool = False, retain_until: datetime | None = None) -> Stored: ...
    def get(self, key: str, *, version: str = "") -> bytes: ...
    def head(self, key: str) -> Stored | None: ...
    def list(self, prefix: str) -> Iterator[Stored]: ...
    def hide(self, key: str) -> None: ...
    def now(self) -> datetime: ...
