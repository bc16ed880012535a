"""A host of the backup jobs: a real cluster that archives below a directory storage, keys, settings and an outbox."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pasargad_ops.backup.chain import Entry, commit
from pasargad_ops.backup.config import BackupConfig
from pasargad_ops.backup.context import Context
from pasargad_ops.backup.dump import Pipeline
from pasargad_ops.backup.manifest import Part, new_run_id
from pasargad_ops.backup.places import Place
from pasargad_ops.backup.signatures import make_key
from tests.backup.pgbackrest_rig import STANZA, Copy, Rig, archiving, empty_rig, initdb, own, run
from tests.backup.rig import Keys, Server, dump_all
from tests.services import postgres_programs
from tests.unit.backup.sets import example

ENV, GENERATION = "lab", "g1"
RIGHTS = """
CREATE ROLE pasargad_backup LOGIN BYPASSRLS IN ROLE pg_read_all_data, pg_monitor;
GRANT EXECUTE ON FUNCTION pg_switch_wal(), pg_create_restore_point(text) TO pasargad_backup;
CREATE SCHEMA pasargad_ops AUTHORIZATION pasargad_backup;
CREATE TABLE pasargad_ops.heartbeat (seq bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp());
ALTER TABLE pasargad_ops.heartbeat OWNER TO pasargad_backup;
INSERT INTO pasargad_ops.heartbeat DEFAULT VALUES;
CREATE TABLE orders (id int PRIMARY KEY, note text);
INSERT INTO orders SELECT g, md5(g::text) FROM generate_series(1, 500) g;
"""
numbers = itertools.count()


@dataclass
class Host:
    """One host as a job sees it: `storage` holds the sets, `home` what the host itself keeps."""

    rig: Rig
    system_id: str
    storage: Path
    home: Path
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> Place:
        return Place(ENV, self.system_id)

    @property
    def repository(self) -> Copy:
        """pgbackrest's repository, with a configuration of its own."""
        where = self.storage / self.place.physical(GENERATION)
        return self.rig.opened(where, name=self.home.name, more=self.rig.more)

    @property
    def settings(self) -> dict[str, Any]:
        """What the role would write into the host's settings."""
        key = make_key(self.rig.root / "signing.pem")
        root, home = self.rig.root, self.home
        return {
            "env": ENV,
            "host": "db1",
            "storage": {"directory": str(self.storage)},
            "cluster": {
                "database": "postgres",
                "version": 15,
                "data_dir": str(self.rig.data),
                "system_id": self.system_id,
                "bin_dir": str(postgres_programs()),
                "socket_dir": str(root / "sockets"),
            },
            "physical": {
                "stanza": STANZA,
                "config_file": str(self.repository.config.config_file),
                "generation": GENERATION,
                "lock_dir": str(root / "lock"),
                "log_dir": str(root / "log"),
            },
            "trusted_keys": [key],
            "signing_key_file": str(root / "signing.pem"),
            "state_dir": str(home / "state"),
            "metrics_dir": str(home / "metrics"),
            "run_dir": str(home / "run"),
            "quiesce_file": str(home / "run/quiesce"),
            "scratch_dir": str(home / "scratch"),
            **self.more,
        }

    @property
    def context(self) -> Context:
        """A fresh context, as each run has one."""
        (self.home / "metrics").mkdir(parents=True, exist_ok=True)
        return Context(BackupConfig.from_mapping(self.settings))

    def file(self) -> Path:
        """The settings as a file, for runs in processes of their own."""
        path = self.home / "backup.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(self.settings))
        return path

    def copy(self) -> Host:
        """Another host with a copy of the storage and of the memory, to be damaged; the cluster is the same."""
        name = f"copy{next(numbers)}"
        storage, home = self.rig.root / f"{name}-storage", self.rig.root / name
        for source, target in ((self.storage, storage), (self.home, home)):
            subprocess.run(["cp", "-a", str(source), str(target)], check=True)
        # Notices and endings of the other host are not this one's.
        for leftover in ("state/outbox", "state/jobs", "state/history.jsonl", "metrics"):
            shutil.rmtree(home / leftover, ignore_errors=True)
        return dataclasses.replace(self, storage=storage, home=home)

    def metric(self, job: str, name: str, /, **labels: str) -> float:
        """Return a value that Prometheus would read."""
        inside = ",".join(f'{key}="{value}"' for key, value in labels.items())
        text = (self.home / "metrics" / f"backup_{job}.prom").read_text()
        found = re.search(
            rf"^pasargad_backup_{name}{re.escape('{' + inside + '}' if inside else '')} (\S+)$", text, re.M
        )
        assert found, text
        return float(found[1])

    def notices(self) -> list[dict[str, Any]]:
        """Return what waits in the outbox."""
        files = sorted((self.home / "state/outbox").glob("*.json"))
        return [json.loads(path.read_text())["notice"] for path in files]

    def altered(self, word: str, other: str) -> None:
        """Let pgbackrest run with a configuration in which a word is another one."""
        before = Path(self.settings["physical"]["config_file"])
        after = self.home / "altered.conf"
        after.write_text(before.read_text().replace(word, other))
        own(after, 0o600)
        self.more = {**self.more, "physical": {**self.settings["physical"], "config_file": str(after)}}

    @contextlib.contextmanager
    def archive_command(self, command: str) -> Iterator[None]:
        """Let the cluster archive by another command until the block ends."""
        self.rig.sql(f"ALTER SYSTEM SET archive_command = '{command}'")
        self.rig.sql("SELECT pg_reload_conf()")
        try:
            yield
        finally:
            self.rig.sql("ALTER SYSTEM RESET archive_command")
            self.rig.sql("SELECT pg_reload_conf()")
            self.rig.switch()

    def start(self, program: str) -> subprocess.Popen[str]:
        """Run Python in a process of its own, with `context` bound."""
        head = (
            "from pathlib import Path\nfrom pasargad_ops.backup.context import open_context\n"
            f"context = open_context(Path({str(self.file())!r}))\n"
        )
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        (self.home / "metrics").mkdir(parents=True, exist_ok=True)
        return subprocess.Popen(
            [sys.executable, "-c", head + program],
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def logical_set(host: Host, slot: str, keys: Keys, **replaced: bytes) -> Entry:
    """Dump the cluster's database and commit it as a logical set; `replaced` are roles with another plaintext."""
    context = host.context
    environment = {"PGHOST": str(host.rig.root / "sockets"), "PGUSER": "postgres", "PGDATABASE": "postgres"}
    sealed = dump_all(Server(environment), 1, keys.recipients)
    for role, plain in replaced.items():
        source = host.home / f"{role}.plain"
        source.write_bytes(plain)
        sealed[role] = b"".join(Pipeline(["cat", str(source)], keys.recipients))
    run_id = new_run_id(datetime.now(UTC))
    parts = []
    for role, content in sealed.items():
        key = f"{context.place.logical(datetime.now(UTC), run_id)}{role}.age"
        stored = context.objects.write(key, [content])
        parts.append(Part(key, role, stored.bytes, stored.sha256, stored.version))
    draft = example(run_id=run_id, slot=slot, env=ENV, objects=tuple(parts))
    draft = dataclasses.replace(draft, pg=dataclasses.replace(draft.pg, system_identifier=host.system_id))
    return commit(
        context.objects,
        context.place,
        draft,
        signer=context.signer,
        trusted=context.trusted,
        memory=context.config.memory_file,
    )


def system_id(data: Path) -> str:
    """Ask a cluster that does not run who it is."""
    told = run(str(postgres_programs() / "pg_controldata"), str(data), check=True).stdout
    found = re.search(r"Database system identifier:\s+(\d+)", told)
    assert found, told
    return found[1]


@contextlib.contextmanager
def host(bucket: dict[str, Any] | None = None, more: str = "") -> Iterator[Host]:
    """Run a cluster that archives below the storage of its host; nothing has been backed up yet.

    The storage is a directory, or a bucket whose settings are given, with `more` for pgbackrest's.
    """
    with empty_rig() as made:
        initdb(made.data, segment_megabytes=16)
        storage = Path("/", bucket["prefix"]) if bucket else made.root / "storage"
        found = Host(made, system_id(made.data), storage, made.root / "host", {"storage": bucket} if bucket else {})
        made.at, made.more = storage / found.place.physical(GENERATION), more
        found.home.mkdir()
        if not bucket:
            made.at.mkdir(parents=True)
            own(made.at, 0o750)
        with archiving(made):
            made.sql(RIGHTS)
            yield found
