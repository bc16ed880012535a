"""Remember on this host how far the chain had come, so that a bucket that was rolled back is seen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..files import read_json, write_json
from ..lock import held
from .errors import BackupError, Code
from .manifest import SHA256, Link
from .places import Place


@dataclass(frozen=True)
class Memory:
    """The newest link that this host has seen, and of which cluster."""

    env: str
    system_id: str
    head: Link

    def is_of(self, place: Place) -> bool:
        return (self.env, self.system_id) == (place.env, place.system_id)


def recall(path: Path) -> Memory | None:
    """Return what the host remembers, None on a new host; raises BackupError (CHAIN) for a damaged file."""
    try:
        value = read_json(path)
        if value is None:
            return None
        memory = Memory(str(value["env"]), str(value["system_id"]), Link(int(value["seq"]), str(value["sha256"])))
        if memory.head.seq < 1 or not SHA256.fullmatch(memory.head.sha256):
            raise ValueError(path)
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise BackupError(
            Code.CHAIN,
            f"{path} does not tell how far the chain had come",
            hint=f"compare the head with the one in the last mail, then remove {path}: pasargad-ops backup status",
        ) from error
    return memory


def remember(path: Path, place: Place, head: Link) -> bool:
    """Write down that the chain came as far as `head`; never goes back, returns whether it was news.

    Raises BackupError (CHAIN) when the file tells of another cluster or cannot be read.
    """
    with held(path.with_name(f"{path.name}.lock")):
        before = recall(path)
        refuse_other_cluster(before, place, path)
        if before is not None and before.head.seq >= head.seq:
            return False
        write_json(
            path, {"env": place.env, "system_id": place.system_id, "seq": head.seq, "sha256": head.sha256}, mode=0o600
        )
    return True


def refuse_other_cluster(memory: Memory | None, place: Place, path: Path) -> None:
    """Raise BackupError (CHAIN) when this host backed up another cluster until now: a new one must not pass for it."""
    if memory is not None and not memory.is_of(place):
        raise BackupError(
            Code.CHAIN,
            f"this host kept the sets of cluster {memory.system_id} ({memory.env}) until now; "
            f"the database is {place.system_id} ({place.env})",
            hint=f"if the cluster was made anew on purpose, remove {path} and run the job again",
        )
