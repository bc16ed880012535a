"""A shop's database, its storage and its keys, and a job that can be killed at every call of the storage."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pasargad_ops.backup.chain import Entry
from pasargad_ops.backup.config import BackupConfig
from pasargad_ops.backup.context import Context
from pasargad_ops.backup.errors import BackupError, Code
from pasargad_ops.backup.logical import LogicalRequest, backup_logical
from pasargad_ops.backup.logical_restore import LogicalTarget, compare_with, restore_logical
from pasargad_ops.backup.objects import Objects, Stored
from pasargad_ops.backup.signatures import make_key
from tests.backup import rig
from tests.outside.conftest import Service
from tests.services import postgres_programs

# The role of the jobs as the host has it: it may read everything, and is no superuser.
ROLE = """
CREATE ROLE pasargad_backup LOGIN BYPASSRLS;
GRANT pg_read_all_data, pg_monitor TO pasargad_backup;
"""
LARGE_OBJECTS = """
DO $$ DECLARE one oid; BEGIN FOR one IN SELECT oid FROM pg_largeobject_metadata LOOP
    EXECUTE format('GRANT SELECT ON LARGE OBJECT %s TO pasargad_backup', one);
END LOOP; END $$;
"""


SECRET = "right/secret+key"


@dataclass(frozen=True)
class Shop:
    """A host that backs up one database; `values` are its settings as the file has them."""

    directory: Path
    server: rig.Server
    keys: rig.Keys
    values: dict[str, Any]

    @property
    def config_file(self) -> Path:
        return self.directory / "backup.json"

    def context(self, **changes: Any) -> Context:
        """Return a context of the settings in the file."""
        self.config_file.write_text(json.dumps({**self.values, **changes}, default=str))
        return Context(BackupConfig.load(self.config_file))

    def sets(self, slot: str = "") -> list[Entry]:
        """Return the sets that are listed, of one slot or all; the chain must be sound."""
        chain = self.context().chain()
        assert chain.findings == ()
        return [entry for entry in chain.offered if not slot or entry.manifest.slot == slot]

    def back_up(self, slot: str = "night", **changes: Any) -> Entry:
        """Make a set and return it."""
        assert backup_logical(self.context(**changes), LogicalRequest(slot)).changed
        (made,) = self.sets(slot)
        return made

    def target(self, database: str) -> LogicalTarget:
        """Return a database to restore to, in the same server."""
        libpq = {name: value for name, value in self.server.environment.items() if name != "PGDATABASE"}
        return LogicalTarget(libpq, database, postgres_programs())

    def told(self) -> str:
        """Return the metrics of the job."""
        return (self.directory / "metrics/backup_logical.prom").read_text()

    def age_claims(self) -> None:
        """Let every claim be older than any job may take; only in a directory."""
        for path in (self.directory / "store").rglob("attempt-*.json"):
            os.utime(path, (0, 0))


def shop(server: rig.Server, directory: Path, storage: Mapping[str, Any] | None = None, database: str = "") -> Shop:
    """Make the settings, the keys and an empty storage."""
    (directory / "store").mkdir()
    pair = rig.keys(directory)
    with contextlib.closing(server.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT system_identifier::text FROM pg_control_system()")
        (system_id,) = cursor.fetchone() or ("",)
    programs = postgres_programs()
    values = {
        "env": "prod",
        "host": "db1",
        "storage": dict(storage or {"directory": str(directory / "store")}),
        "cluster": {
            "database": database or server.environment["PGDATABASE"],
            "version": int(programs.parts[4]),
            "data_dir": "/nowhere",
            "system_id": system_id,
            "bin_dir": str(programs),
            "socket_dir": server.environment["PGHOST"],
        },
        "trusted_keys": [make_key(directory / "signing.pem")],
        "recipients_file": str(pair.recipients),
        "signing_key_file": str(directory / "signing.pem"),
        **{name: str(directory / name) for name in ("state_dir", "scratch_dir", "run_dir")},
        "metrics_dir": str(directory / "metrics"),
        "quiesce_file": str(directory / "quiesce"),
    }
    return Shop(directory, server, pair, values)


class Watched:
    """A storage that tells each step to `step`, which may end the process there."""

    def __init__(self, objects: Objects, step: Callable[[str], None]) -> None:
        self._objects = objects
        self._step = step

    def __getattr__(self, name: str) -> Any:
        return getattr(self._objects, name)

    def put(self, key: str, body: bytes, *, once: bool = False, retain_until: datetime | None = None) -> Stored:
        """Store a small object."""
        self._step(f"before {self._short(key)}")
        stored = self._objects.put(key, body, once=once, retain_until=retain_until)
        self._step(f"after {self._short(key)}")
        return stored

    def write(self, key: str, chunks: Iterable[bytes], **how: Any) -> Stored:
        """Store a stream."""
        self._step(f"before {self._short(key)}")
        stored = self._objects.write(key, self._counted(key, chunks), **how)
        self._step(f"after {self._short(key)}")
        return stored

    def _counted(self, key: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for number, chunk in enumerate(chunks):
            yield chunk
            if number == 0:
                self._step(f"within {self._short(key)}")
        self._step(f"at the end of {self._short(key)}")

    @staticmethod
    def _short(key: str) -> str:
        return "/".join(key.split("/")[-2:]) if "claims" in key or "attest" in key else key.rpartition("/")[2]


def job(made: Shop, slot: str, *, kill_at: int = -1) -> subprocess.CompletedProcess[str]:
    """Run the job in a process of its own that is killed at a numbered step; its stderr names the steps."""
    made.context()
    return subprocess.run(
        [sys.executable, "-m", "tests.backup.logical_rig", str(made.config_file), slot, str(kill_at)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": "module_utils:."},
        check=False,
    )


def main(config_file: str, slot: str, kill_at: str) -> int:
    """Run the job; ends with the code of its end."""
    context, seen = Context(BackupConfig.load(Path(config_file))), 0

    def step(name: str) -> None:
        nonlocal seen
        print(f"step {seen}: {name}", file=sys.stderr, flush=True)
        if seen == int(kill_at):
            os.kill(os.getpid(), signal.SIGKILL)
        seen += 1

    context.__dict__["objects"] = Watched(context.objects, step)
    try:
        backup_logical(context, LogicalRequest(slot))
    except BackupError as error:
        return int(error.code)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))


def bucket(s3: Service, directory: Path, name: str = "backups") -> dict[str, Any]:
    for file, value in (("id", "AKIABACKUP"), ("secret", SECRET)):
        (directory / file).touch(0o600)
        (directory / file).write_text(value)
    return {
        "bucket": name,
        "prefix": secrets.token_hex(6),
        "endpoint_url": s3.url,
        "region": "us-east-1",
        "addressing_style": "path",
        "key_id_file": str(directory / "id"),
        "secret_file": str(directory / "secret"),
    }


def sessions(server: rig.Server) -> int:
    with contextlib.closing(server.connect("postgres")) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = 'pasargad_backup'")
        (count,) = cursor.fetchone() or (0,)
    return int(count)


def until(done: Callable[[], object], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def fails(made: Shop, code: Code, words: str, slot: str = "night", **changes: Any) -> BackupError:
    """Let the job fail with this code; nothing may be listed, or left but claims."""
    before = len(made.sets())
    with pytest.raises(BackupError, match=words) as caught:
        backup_logical(made.context(**changes), LogicalRequest(slot))
    assert caught.value.code == code and caught.value.hint
    assert len(made.sets()) == before
    objects = made.context().objects
    kept = {part.key for entry in made.sets() for part in entry.manifest.objects}
    assert {stored.key for stored in objects.list(made.context().place.root + "logical/")} == kept
    assert list(objects.uploads("")) == []
    assert f'last_exit_code{{job="logical"}} {int(code)}' in made.told()
    return caught.value


def restored(made: Shop, entry: Entry, database: str) -> list[str]:
    """Restore a set and compare it; the database goes again."""
    restore_logical(made.context(), entry, made.target(database), made.keys.identity)
    with contextlib.closing(made.server.connect(database)) as connection:
        found = compare_with(connection, entry.manifest)
    made.server.execute(f'DROP DATABASE "{database}"', "postgres")
    return found
