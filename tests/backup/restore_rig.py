"""A small shop whose cluster archives into a real repository, laid out as Debian does, and a way to restore it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pasargad_ops.backup import chain
from pasargad_ops.backup.chain import Entry
from pasargad_ops.backup.config import BackupConfig
from pasargad_ops.backup.context import Context
from pasargad_ops.backup.manifest import Physical, Server, new_run_id
from pasargad_ops.backup.restore_swap import Service
from pasargad_ops.backup.signatures import make_key
from tests.backup.pgbackrest_rig import next_second, own, run, until
from tests.services import postgres_programs
from tests.unit.backup.sets import example

PORT = 5432
REPOSITORY = """[global]
repo1-path={root}/repository
repo1-cipher-type=aes-256-cbc
repo1-cipher-pass=correct-horse
repo1-bundle=y
repo1-retention-full=9
compress-type=zst
process-max=2
start-fast=y
log-level-file=off
archive-timeout=5
[main]
pg1-path={root}/pg/main
pg1-socket-path={root}/sockets
"""
SERVER = """
data_directory = '{root}/pg/main'
hba_file = '{root}/etc/hba.conf'
listen_addresses = ''
unix_socket_directories = '{root}/sockets'
archive_mode = on
archive_command = 'pgbackrest --config={root}/etc/pgbackrest.conf --stanza=main archive-push %p'
fsync = off
autovacuum = off
timezone = UTC
log_timezone = UTC
shared_buffers = 16MB
"""
SHOP = """
CREATE ROLE pasargad_backup LOGIN BYPASSRLS;
GRANT pg_read_all_data, pg_monitor TO pasargad_backup;
GRANT EXECUTE ON FUNCTION pg_switch_wal(), pg_create_restore_point(text) TO pasargad_backup;
CREATE SCHEMA pasargad_ops AUTHORIZATION pasargad_backup;
CREATE TABLE pasargad_ops.heartbeat (
  seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp());
ALTER TABLE pasargad_ops.heartbeat OWNER TO pasargad_backup;
CREATE TABLE orders (id int PRIMARY KEY, at timestamptz DEFAULT clock_timestamp());
"""


@dataclass
class Shop:
    """The cluster in `root/pg/main`, its repository and storage."""

    root: Path
    entries: list[Entry] = field(default_factory=list)

    @property
    def data(self) -> Path:
        return self.root / "pg" / "main"

    @property
    def config_file(self) -> Path:
        return self.root / "etc" / "backup.json"

    @property
    def context(self) -> Context:
        """A context as a new process would have it."""
        return Context(BackupConfig.load(self.config_file))

    @property
    def service(self) -> Service:
        return Service(self.start, self.stop)

    def control(self, *words: str) -> None:
        run(str(postgres_programs() / "pg_ctl"), f"--pgdata={self.data}", "--silent", "--wait", *words, check=True)

    def start(self) -> None:
        """Start it as systemctl would: a server that runs is fine."""
        if not self.runs:
            self.control(
                f"--log={self.root}/log/server.log", f"--options=-c config_file={self.root}/etc/server.conf", "start"
            )

    def stop(self) -> None:
        if self.runs:
            self.control("--mode=fast", "stop")

    def control_quietly(self) -> None:
        """Stop whatever runs of it, in whichever of its directories."""
        for pid in self.data.parent.glob("*/postmaster.pid"):
            run(str(postgres_programs() / "pg_ctl"), f"--pgdata={pid.parent}", "--mode=immediate", "stop")

    @property
    def runs(self) -> bool:
        return run(str(postgres_programs() / "pg_ctl"), f"--pgdata={self.data}", "status").returncode == 0

    def running_since(self) -> str:
        """Return when the server was started, empty when it does not run."""
        return self.sql("SELECT pg_postmaster_start_time()", "postgres") if self.runs else ""

    def sql(self, statement: str, database: str = "shop") -> str:
        where = ["-h", str(self.root / "sockets"), "-p", str(PORT), "-U", "postgres", "-d", database]
        return run("psql", *where, "-v", "ON_ERROR_STOP=1", "-AtqXc", statement, check=True).stdout.strip()

    def clock(self) -> datetime:
        return datetime.fromtimestamp(float(self.sql("SELECT extract(epoch FROM clock_timestamp())")), UTC)

    def order(self, number: int) -> datetime:
        """Let somebody order, and return a moment right after it."""
        self.sql(f"INSERT INTO orders VALUES ({number})")
        self.sql("INSERT INTO pasargad_ops.heartbeat DEFAULT VALUES")
        return self.clock()

    def orders(self) -> str:
        return self.sql("SELECT string_agg(id::text, ' ' ORDER BY id) FROM orders")

    def switch(self) -> None:
        """See the present WAL arrive in the archive, in a later second than what is in it."""
        next_second()
        name = self.sql("SELECT pg_walfile_name(pg_current_wal_lsn())")
        self.sql("SELECT pg_switch_wal()")
        until(lambda: self.sql("SELECT last_archived_wal FROM pg_stat_archiver")[:24] >= name)

    def backup(self, kind: str) -> Entry:
        """Take a physical backup and attest it."""
        context = self.context
        label = context.repository.backup(kind)  # type: ignore[arg-type]
        found = next(each for each in context.repository.info().current if each.label == label)
        self.entries.append(self.attest(label, found.start_wal, found.stop_wal))
        return self.entries[-1]

    def attest(self, label: str, start: str, stop: str) -> Entry:
        """Commit a manifest for a backup that is called so."""
        context = self.context
        stored = context.objects.put(f"{context.place.root}physical/{label}", b"stands for the files", once=True)
        draft = example(
            run_id=new_run_id(datetime.now(UTC)),
            kind="physical",
            slot=label.lower(),
            env="test",
            pg=Server(context.config.cluster.system_id, 150000, 1, "0/0", stop),
            physical=Physical("main", label, "full", start, stop),
        )
        part = dataclasses.replace(
            draft.objects[0],
            key=stored.key,
            role="files",
            bytes=stored.bytes,
            sha256=stored.sha256,
            version=stored.version,
        )
        draft = dataclasses.replace(draft, objects=(part,), tables=())
        return chain.commit(
            context.objects,
            context.place,
            draft,
            signer=context.signer,
            trusted=context.trusted,
            memory=context.config.memory_file,
        )

    def change(self, **values: Any) -> None:
        """Change the settings of the host."""
        known = json.loads(self.config_file.read_text())
        for name, value in values.items():
            known[name] = {**known.get(name, {}), **value} if isinstance(value, dict) else value
        self.config_file.write_text(json.dumps(known))

    def beside(self) -> list[str]:
        """Everything that lies beside the cluster."""
        return sorted(path.name for path in self.data.parent.iterdir() if path != self.data)

    def system_id(self) -> str:
        return self.sql("SELECT system_identifier FROM pg_control_system()", "postgres")


def make_cluster(shop: Shop) -> None:
    """Make an empty cluster in its place."""
    initdb = [str(postgres_programs() / "initdb"), f"--pgdata={shop.data}", "--username=postgres", "--auth=trust"]
    run(*initdb, "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--data-checksums", check=True)
    # As Debian has it, the settings lie elsewhere.
    for name in ("postgresql.conf", "pg_hba.conf", "pg_ident.conf"):
        (shop.data / name).unlink()


@contextlib.contextmanager
def rig() -> Iterator[Shop]:
    """Make a shop with a full set, an order, a differential set, and two more orders seconds apart."""
    root = Path(tempfile.mkdtemp(prefix="pasargad-restore-"))
    shop = Shop(root)
    try:
        own(root, 0o755)
        for name in ("pg", "sockets", "repository", "log"):
            (root / name).mkdir()
            own(root / name, 0o755 if name in ("pg", "sockets") else 0o700)
        for name in ("etc", "storage", "state", "metrics", "run"):
            (root / name).mkdir(mode=0o755)
        (root / "etc/server.conf").write_text(SERVER.format(root=root))
        (root / "etc/hba.conf").write_text("local all all trust\n")
        (root / "etc/pgbackrest.conf").write_text(REPOSITORY.format(root=root))
        own(root / "etc/pgbackrest.conf", 0o600)
        for name in ("lock", "pglog"):
            (root / name).mkdir()
            own(root / name, 0o700)
        make_cluster(shop)
        shop.start()
        shop.sql("CREATE DATABASE shop", "postgres")
        shop.sql(SHOP)
        shop.config_file.write_text(json.dumps(settings(shop)))
        shop.context.repository.stanza_create()
        fill(shop)
        yield shop
    finally:
        shop.control_quietly()
        shutil.rmtree(root, ignore_errors=True)


def settings(shop: Shop) -> dict[str, Any]:
    root = shop.root
    return {
        "env": "test",
        "host": "db1",
        "storage": {"directory": str(root / "storage")},
        "cluster": {
            "database": "shop",
            "version": int(shop.sql("SHOW server_version_num")[:-4]),
            "data_dir": str(shop.data),
            "system_id": shop.system_id(),
            "bin_dir": str(postgres_programs()),
            "socket_dir": str(root / "sockets"),
            "port": PORT,
        },
        "trusted_keys": [make_key(root / "etc/signing.pem")],
        "physical": {
            "config_file": str(root / "etc/pgbackrest.conf"),
            "lock_dir": str(root / "lock"),
            "log_dir": str(root / "pglog"),
        },
        "signing_key_file": str(root / "etc/signing.pem"),
        "state_dir": str(root / "state"),
        "scratch_dir": str(root / "scratch"),
        "metrics_dir": str(root / "metrics"),
        "run_dir": str(root / "run"),
        "quiesce_file": str(root / "run/quiesce"),
        "release_config": str(root / "etc/release.json"),
    }


def fill(shop: Shop) -> None:
    """Take the sets and write the orders that the tests look for: 1 in both sets, 2 in the second, 3 after them."""
    shop.order(1)
    shop.backup("full")
    shop.order(2)
    shop.backup("diff")
    time.sleep(1.1)
    shop.order(3)
    shop.switch()
