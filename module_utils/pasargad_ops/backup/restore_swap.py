"""Put a restored cluster in the place of the old one by two renames, and settle what a crash leaves between them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .. import units
from ..files import read_json, sync_directory, write_atomically, write_json
from .config import ClusterConfig
from .errors import BackupError, Code

# What a restore needed to recover; left there, it would stop archiving, and recover again.
RECOVERY = re.compile(r"^\s*(restore_command|recovery_\w+|archive_mode|archive_command|hot_standby)\s*=")
START_SECONDS = 3600.0


@dataclass(frozen=True)
class Service:
    """How the server is started and stopped; by systemd unless somebody gives another way."""

    start: Callable[[], None]
    stop: Callable[[], None]


def service_of(cluster: ClusterConfig) -> Service:
    """Return the door to the cluster's unit."""
    return Service(
        lambda: units.start(cluster.service, timeout=START_SECONDS),
        lambda: units.stop(cluster.service, timeout=START_SECONDS),
    )


@dataclass(frozen=True)
class Swap:
    """The directories of a swap: `new` takes the place of `data`, which is kept as `old`."""

    data: Path
    new: Path
    old: Path
    journal: Path
    service: Service = field(compare=False)

    def begin(self) -> None:
        """Write down what is about to happen."""
        write_json(self.journal, {"data": str(self.data), "new": str(self.new), "old": str(self.old)}, mode=0o600)


def forget_recovery(data_dir: Path) -> None:
    """Take out of postgresql.auto.conf what only the recovery needed."""
    path = data_dir / "postgresql.auto.conf"
    lines = path.read_text().splitlines(keepends=True)
    kept = [line for line in lines if not RECOVERY.match(line)]
    about = path.stat()
    write_atomically(path, "".join(kept).encode(), mode=0o600)
    _chown(path, about.st_uid, about.st_gid)


def archive_history(data_dir: Path) -> None:
    """Have the history of the timeline that the recovery began archived, as soon as the server runs.

    A server that recovers with archiving off forgets it, and without it nobody could go to a time after this restore
    from a set before it.
    """
    wal = data_dir / "pg_wal"
    for history in wal.glob("*.history"):
        status = wal / "archive_status" / f"{history.name}.ready"
        if not status.exists() and not status.with_suffix(".done").exists():
            status.touch(mode=0o600)
            about = history.stat()
            _chown(status, about.st_uid, about.st_gid)


def _chown(path: Path, user: int, group: int) -> None:
    if os.geteuid() == 0:
        os.chown(path, user, group)


def exchange(swap: Swap, check: Callable[[], None]) -> None:
    """Stop the server, swap the directories, start it, and `check`; when that fails, the old cluster serves again.

    Raises RESTORE_FAILED. Killed at any point, `settle` finishes or undoes it.
    """
    swap.begin()
    swap.service.stop()
    try:
        if swap.data.exists():
            _rename(swap.data, swap.old)
        _rename(swap.new, swap.data)
        swap.service.start()
        check()
    except Exception as error:
        undo(swap)
        message = error.message if isinstance(error, BackupError) else str(error)
        raise BackupError(
            Code.RESTORE_FAILED,
            f"the restored cluster does not serve, so the old one does again: {message}",
            hint="journalctl -u 'postgresql@*' -e",
        ) from error
    swap.journal.unlink()


def undo(swap: Swap) -> None:
    """Bring the old cluster back to its place, and start it."""
    swap.service.stop()
    if swap.old.exists():
        if swap.data.exists():
            _rename(swap.data, swap.new)
        _rename(swap.old, swap.data)
    if swap.data.exists():
        swap.service.start()
    swap.journal.unlink(missing_ok=True)


def settle(journal: Path, service: Service) -> str:
    """Finish or undo a swap that a crash cut off; return in words what was done, empty when there was nothing.

    With both clusters in their new places it is done, and the server is started; otherwise the old one comes back.
    """
    about = read_json(journal)
    if about is None:
        return ""
    swap = Swap(Path(about["data"]), Path(about["new"]), Path(about["old"]), journal, service)
    if swap.data.exists() and swap.old.exists() and not swap.new.exists():
        service.start()
        journal.unlink()
        return f"a restore that was cut off is finished: the restored cluster serves, the old one is {swap.old}"
    undo(swap)
    return f"a restore that was cut off is undone: the old cluster serves from {swap.data}"


def _rename(source: Path, target: Path) -> None:
    source.rename(target)
    sync_directory(target.parent)
    if source.parent != target.parent:
        sync_directory(source.parent)
