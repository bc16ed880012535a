"""Say where everything of one cluster lies in the storage: its system identifier is part of every key."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from .errors import BackupError, Code

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
SYSTEM_ID = re.compile(r"[1-9][0-9]{0,19}")
# Ten digits keep the listing in the order of the numbers.
SEQ_DIGITS = 10
SEQ_FILE = re.compile(r"([0-9]{10})\.json")


@dataclass(frozen=True)
class Place:
    """The keys of one cluster; two clusters never share one, though their environments have the same name.

    Raises BackupError (CONFIG) for names that would leave their place.
    """

    env: str
    system_id: str

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.env):
            raise BackupError(
                Code.CONFIG,
                f"an environment cannot be called {self.env!r}",
                hint="use small letters, digits, dot, dash and underscore",
            )
        if not SYSTEM_ID.fullmatch(self.system_id):
            raise BackupError(
                Code.CONFIG,
                f"{self.system_id!r} is no system identifier of a cluster",
                hint="ask the cluster: SELECT system_identifier FROM pg_control_system()",
            )

    @property
    def root(self) -> str:
        return f"v1/{self.env}/{self.system_id}/"

    @property
    def manifests(self) -> str:
        return f"{self.root}attest/"

    @property
    def tombstones(self) -> str:
        return f"{self.root}expired/"

    @property
    def claims(self) -> str:
        return f"{self.root}claims/"

    @property
    def rescued(self) -> str:
        return f"{self.root}rescued/"

    def manifest(self, seq: int) -> str:
        return f"{self.manifests}{seq:0{SEQ_DIGITS}d}.json"

    def tombstone(self, seq: int) -> str:
        return f"{self.tombstones}{seq:0{SEQ_DIGITS}d}.json"

    def physical(self, generation: str) -> str:
        """Return the prefix of pgbackrest's repository, which is its repo1-path, while its key is `generation`'s.

        Raises BackupError (CONFIG) for a name that would leave its place.
        """
        if not NAME.fullmatch(generation):
            raise BackupError(Code.CONFIG, f"{generation!r} is no generation of a key", hint="call it g1, g2 and so on")
        return f"{self.root}physical/{generation}/"

    def logical(self, moment: datetime, run_id: str) -> str:
        """Return the prefix of a logical set's objects, by the UTC date of `moment`."""
        return f"{self.root}logical/{moment.astimezone(UTC):%Y/%m/%d}/{run_id}/"


def seq_of(key: str) -> int | None:
    """Return the number that a manifest's or tombstone's key tells, None for any other key."""
    found = SEQ_FILE.fullmatch(key.rpartition("/")[2])
    return int(found[1]) if found else None
