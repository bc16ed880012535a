"""A small PostgreSQL that archives into a real pgbackrest repository, and copies of that repository to be damaged."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pasargad_ops.backup.pgbackrest import Repository
from pasargad_ops.backup.pgbackrest_program import RepositoryConfig
from tests.services import as_user, postgres_programs

STANZA = "shop"
PASSPHRASE = "correct-horse-battery-staple"
SEGMENT_BYTES = 2**20
CONFIG = """[global]
repo1-path={repository}
repo1-cipher-type=aes-256-cbc
repo1-cipher-pass={passphrase}
repo1-bundle=y
repo1-retention-full=9
compress-type=zst
compress-level=3
process-max=2
start-fast=y
log-level-file=off
archive-timeout=2
job-retry=0
db-timeout=20
protocol-timeout=30
{more}
[shop]
pg1-path={data}
pg1-socket-path={sockets}
"""
SETTINGS = """
listen_addresses = ''
unix_socket_directories = '{sockets}'
archive_mode = on
archive_command = 'pgbackrest --config={config} --stanza=shop archive-push %p'
fsync = off
autovacuum = off
timezone = UTC
shared_buffers = 16MB
max_wal_senders = 2
"""


@dataclass(frozen=True)
class Copy:
    """A copy of the repository, with a configuration of its own."""

    root: Path
    config: RepositoryConfig

    @property
    def repository(self) -> Repository:
        """Our door to the copy."""
        return Repository(self.config)

    @property
    def backups(self) -> Path:
        """The folder of the backups."""
        return self.root / "backup" / STANZA

    @property
    def archive(self) -> Path:
        """The folder of the WAL."""
        return self.root / "archive" / STANZA

    def wal(self, name: str) -> Path:
        """The file of a segment."""
        (found,) = self.archive.glob(f"*/{name[:16]}/{name}-*")
        return found

    def own(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run pgbackrest itself, to see what it would have told without us."""
        return run("pgbackrest", f"--config={self.config.config_file}", f"--stanza={STANZA}", *command)


@dataclass
class Rig:
    """The cluster, its repository (`at` another place, `more` in its settings), and what was done to it."""

    root: Path
    at: Path | None = None
    more: str = ""
    full: str = ""
    diff: str = ""
    before: datetime | None = None
    last_archived: str = ""

    @property
    def data(self) -> Path:
        """The living cluster's files."""
        return self.root / "data"

    @property
    def live(self) -> Copy:
        """The repository into which the cluster archives."""
        return self.opened(self.at or self.root / "repository", name="repository", more=self.more)

    def opened(self, where: Path, *, passphrase: str = PASSPHRASE, more: str = "", name: str = "") -> Copy:
        """Return a repository with a configuration of its own."""
        file = self.root / f"{name or where.name}.conf"
        sockets = self.root / "sockets"
        file.write_text(
            CONFIG.format(repository=where, passphrase=passphrase, data=self.data, sockets=sockets, more=more)
        )
        own(file, 0o600)
        config = RepositoryConfig(
            STANZA,
            config_file=file,
            lock_dir=self.root / "lock",
            log_dir=self.root / "log",
            segment_bytes=SEGMENT_BYTES,
            retry_seconds=0.01,
        )
        return Copy(where, config)

    def copy(self, name: str) -> Copy:
        """Return a copy of the repository as it stood after the last backup."""
        where = self.root / name
        subprocess.run(["cp", "-a", str(self.root / "kept"), str(where)], check=True)
        return self.opened(where)

    def sql(self, statement: str, *, sockets: Path | None = None) -> str:
        """Ask the cluster, or another one."""
        at = str(sockets or self.root / "sockets")
        return run("psql", "-h", at, "-d", "postgres", "-AtqXc", statement, check=True).stdout.strip()

    def clock(self, *, sockets: Path | None = None) -> datetime:
        """Return the present time as the cluster knows it."""
        return datetime.fromisoformat(re.sub(r"\+00$", "+00:00", self.sql("SELECT clock_timestamp()", sockets=sockets)))

    def switch(self, *, sockets: Path | None = None) -> str:
        """Begin a new segment, and return the old one's name once it has been archived."""
        name = self.sql("SELECT pg_walfile_name(pg_current_wal_lsn())", sockets=sockets)
        self.sql("SELECT pg_switch_wal()", sockets=sockets)
        until(lambda: self.sql("SELECT last_archived_wal FROM pg_stat_archiver", sockets=sockets)[:24] >= name)
        return name


def run(*command: str, check: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a program as PostgreSQL's user."""
    done = subprocess.run(
        [*as_user("postgres"), *command], capture_output=True, text=True, errors="replace", cwd="/", check=False
    )
    assert not check or done.returncode == 0, f"{command[:3]}: {done.stderr or done.stdout}"
    return done


def own(path: Path, mode: int) -> None:
    """Give a path to PostgreSQL's user."""
    if os.geteuid() == 0:
        shutil.chown(path, "postgres", "postgres")
    path.chmod(mode)


def until(ready: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until a function returns something true."""
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


def next_second() -> None:
    """Wait for the next whole second, in which pgbackrest counts."""
    time.sleep(1.02 - time.time() % 1)


@contextlib.contextmanager
def cluster(data: Path, sockets: Path, log: Path, *options: str) -> Iterator[None]:
    """Run PostgreSQL on `data` until the block ends."""
    programs = postgres_programs()
    control = [str(programs / "pg_ctl"), "--pgdata", str(data), "--silent", "--wait"]
    words = " ".join([f"-c unix_socket_directories={sockets}", *options])
    done = run(*control, "--timeout=20", f"--log={log}", f"--options={words}", "start")
    assert done.returncode == 0, log.read_text()[-2000:]
    try:
        yield
    finally:
        run(*control, "--mode=immediate", "stop", check=True)


def initdb(data: Path, *, segment_megabytes: int = 1) -> None:
    """Make an empty cluster; small segments keep the tests of WAL small."""
    options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
    program = str(postgres_programs() / "initdb")
    size = f"--wal-segsize={segment_megabytes}"
    run(program, f"--pgdata={data}", *options, "--data-checksums", size, check=True)


@contextlib.contextmanager
def archiving(made: Rig) -> Iterator[None]:
    """Run the rig's cluster, which archives into its repository."""
    settings = SETTINGS.format(sockets=made.root / "sockets", config=made.live.config.config_file)
    with (made.data / "postgresql.conf").open("a") as file:
        file.write(settings)
    with cluster(made.data, made.root / "sockets", made.root / "log/postgres.log"):
        yield


@contextlib.contextmanager
def empty_rig() -> Iterator[Rig]:
    """Make the directories of a rig, and remove everything in the end."""
    root = Path(tempfile.mkdtemp(prefix="pasargad-pgbackrest-"))
    try:
        own(root, 0o755)
        for name in ("sockets", "repository", "lock", "log", "side"):
            (root / name).mkdir()
            own(root / name, 0o700)
        yield Rig(root)
    finally:
        shutil.rmtree(root, ignore_errors=True)


@contextlib.contextmanager
def rig() -> Iterator[Rig]:
    """Make a cluster with a full and a differential backup, two rows with a second between them, and some WAL."""
    with empty_rig() as made:
        initdb(made.data)
        with archiving(made):
            fill(made)
            yield made


def fill(made: Rig) -> None:
    """Take the backups and write the rows that the tests look for."""
    repository = made.live.repository
    repository.stanza_create()
    made.sql(f"CREATE TABLESPACE side LOCATION '{made.root / 'side'}'")
    made.sql("CREATE TABLE aside TABLESPACE side AS SELECT 1 AS one")
    made.full = repository.backup("full")
    made.sql("CREATE TABLE beat (name text, at timestamptz DEFAULT clock_timestamp())")
    for name in ("one", "two"):
        made.sql(f"INSERT INTO beat VALUES ('{name}')")
        made.switch()
    made.diff = repository.backup("diff")
    next_second()
    made.sql("INSERT INTO beat VALUES ('before')")
    made.before = made.clock()
    made.sql("INSERT INTO beat VALUES ('after')")
    next_second()
    made.switch()
    made.sql("INSERT INTO beat VALUES ('newest')")
    made.last_archived = made.switch()
    subprocess.run(["cp", "-a", str(made.root / "repository"), str(made.root / "kept")], check=True)
