"""Run a PostgreSQL that nobody else can reach on a directory of its own: for drills, and to look into a restore."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from psycopg2.extensions import connection as Connection

from .. import shell
from ..outcome import OperationError
from .errors import BackupError, Code

# Whatever its own files say: no network, no archiving into the living one's archive, nothing loaded that runs jobs of
# its own, and no subscription that fetches what the living one has ordered.
QUIET = {
    "listen_addresses": "",
    "archive_mode": "off",
    "archive_command": "",
    "ssl": "off",
    "hba_file": "",
    "ident_file": "",
    "archive_cleanup_command": "",
    "recovery_end_command": "",
    "primary_conninfo": "",
    "shared_preload_libraries": "",
    "session_preload_libraries": "",
    "max_logical_replication_workers": "0",
    "external_pid_file": "",
    "data_directory": "",
    "logging_collector": "off",
    "log_destination": "stderr",
    "cluster_name": "pasargad_scratch",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "huge_pages": "off",
    "autovacuum": "off",
}
HBA = "local all all trust\n"
# Settings of a role or a database come with the data, too; those of a client beat them.
UNBOUND = " ".join(
    f"-c {name}"
    for name in (
        "statement_timeout=0",
        "lock_timeout=0",
        "idle_in_transaction_session_timeout=0",
        "default_transaction_read_only=off",
    )
)
START_SECONDS = 3600
WRITER_SECONDS = 10.0


@dataclass(frozen=True)
class Scratch:
    """A running scratch cluster; `libpq` makes programs its superuser, through a socket that only it and root reach."""

    data_dir: Path
    libpq: Mapping[str, str]
    log: Path

    def connect(self, database: str = "postgres") -> Connection:
        """Open a session as its superuser; raises RESTORE_FAILED."""
        try:
            return psycopg2.connect(
                host=self.libpq["PGHOST"],
                port=self.libpq["PGPORT"],
                user=self.libpq["PGUSER"],
                dbname=database,
                options=self.libpq["PGOPTIONS"],
            )
        except psycopg2.OperationalError as error:
            raise BackupError(
                Code.RESTORE_FAILED, f"the scratch cluster does not answer: {error}", hint=f"less {self.log}"
            ) from error


@dataclass(frozen=True)
class ScratchPlace:
    """Where a scratch cluster lives, and whose it is; `root` belongs to it alone and goes with it."""

    root: Path
    bin_dir: Path
    user: str = "postgres"
    port: int = 5499

    @property
    def data_dir(self) -> Path:
        return self.root / "data"

    @property
    def sockets(self) -> Path:
        return self.root / "sockets"

    @property
    def log(self) -> Path:
        return self.root / "postgres.log"


@contextlib.contextmanager
def scratch_root(place: ScratchPlace) -> Iterator[None]:
    """Make the directories of a scratch cluster, and remove everything in the end; an old one's leftovers go first."""
    discard(place)
    # Whatever mask a unit runs under, the cluster's user has to get through to it.
    for above in [path for path in reversed(place.root.parents) if not path.exists()]:
        above.mkdir(exist_ok=True)
        above.chmod(0o755)
    try:
        for directory in (place.root, place.sockets):
            directory.mkdir(mode=0o700)
            _give(directory, place.user)
        yield
    finally:
        discard(place)


def discard(place: ScratchPlace) -> None:
    """Stop what runs there and remove it; raises TARGET_REFUSED for a directory that no scratch cluster is in."""
    if not place.root.exists():
        return
    if not ({path.name for path in place.root.iterdir()} <= {"data", "sockets", "postgres.log", "side", "set"}):
        raise BackupError(
            Code.TARGET_REFUSED, f"{place.root} holds other things than a drill", hint="name an empty directory"
        )
    if _server_of(place):
        _control(place, "--mode=immediate", "stop", check=False)
    _end_writers(place)
    shutil.rmtree(place.root)


def _server_of(place: ScratchPlace) -> int:
    """Return the process that serves this very directory, or 0.

    After a reboot the number in a leftover may be any program's, the living server's too, and pg_ctl would not ask.
    """
    try:
        pid = int((place.data_dir / "postmaster.pid").read_text().split("\n", 1)[0])
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return 0
    return pid if str(place.data_dir).encode() in words else 0


def _end_writers(place: ScratchPlace) -> None:
    """End what still fills the data directory for a run that was killed: removed under its hands, it would come back.

    Only such a program names the directory as its target, for it is nobody else's.
    """
    target = f"--pg1-path={place.data_dir}".encode()
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + WRITER_SECONDS
        while writers := [pid for pid, words in _command_lines() if target in words]:
            if time.monotonic() > deadline:
                break
            for pid in writers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            time.sleep(0.1)


def _command_lines() -> Iterator[tuple[int, list[bytes]]]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            yield int(path.parent.name), path.read_bytes().split(b"\0")


def initdb(place: ScratchPlace, *, encoding: str = "UTF8", locale: str = "C.UTF-8") -> None:
    """Make an empty cluster with checksums, for a logical set."""
    options = [f"--encoding={encoding}", f"--locale={locale}", "--data-checksums", "--no-sync", "--auth=trust"]
    _run(place, [str(place.bin_dir / "initdb"), f"--pgdata={place.data_dir}", f"--username={place.user}", *options])


@contextlib.contextmanager
def running(place: ScratchPlace, settings: Mapping[str, str] | None = None) -> Iterator[Scratch]:
    """Start PostgreSQL on the data directory, wait until it lets people in, and stop it in the end.

    A recovery is waited for; with `hot_standby` off nobody is let in before its end. Raises RESTORE_FAILED with the
    server's last words when it dies instead.
    """
    hba, config = place.root / "sockets" / "hba.conf", place.root / "sockets" / "scratch.conf"
    known = _settings(place, hba, settings or {})
    for path, text in ((hba, HBA), (config, "".join(f"{name} = '{value}'\n" for name, value in known.items()))):
        path.write_text(text)
        _give(path, place.user)
    # What somebody once set by ALTER SYSTEM came with the data and beats every file, but not the command line.
    options = [f"-c {name}={shlex.quote(value)}" for name, value in {"config_file": str(config), **known}.items()]
    place.log.touch()
    _give(place.log, place.user)
    try:
        _control(place, f"--log={place.log}", f"--options={' '.join(options)}", "start")
        libpq = {"PGHOST": str(place.sockets), "PGPORT": str(place.port), "PGUSER": place.user}
        found = Scratch(place.data_dir, {**libpq, "PGAPPNAME": "pasargad-drill", "PGOPTIONS": UNBOUND}, place.log)
        _await_open(place, found)
        yield found
    finally:
        if (place.data_dir / "postmaster.pid").exists():
            _control(place, "--mode=fast", "stop", check=False)


def _await_open(place: ScratchPlace, found: Scratch) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            found.connect().close()
            return
        except BackupError as error:
            if not (place.data_dir / "postmaster.pid").exists():
                raise BackupError(
                    Code.RESTORE_FAILED,
                    f"PostgreSQL ended while it recovered: {tail(place.log)}",
                    hint="the words above say which WAL or page is at fault: pasargad-ops backup verify --level 2",
                ) from error
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def tail(log: Path, lines: int = 12) -> str:
    """Return a log's last lines."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def _settings(place: ScratchPlace, hba: Path, more: Mapping[str, str]) -> dict[str, str]:
    known = {**QUIET, "hba_file": str(hba), "ident_file": str(hba.with_name("ident.conf"))}
    known |= {"data_directory": str(place.data_dir), "unix_socket_directories": str(place.sockets)}
    known |= {"port": str(place.port), **more}
    hba.with_name("ident.conf").touch()
    return known


def _control(place: ScratchPlace, *arguments: str, check: bool = True) -> None:
    control = [str(place.bin_dir / "pg_ctl"), f"--pgdata={place.data_dir}", "--silent", "--wait"]
    try:
        _run(place, [*control, f"--timeout={START_SECONDS}", *arguments], check=check)
    except BackupError as error:
        raise BackupError(
            Code.RESTORE_FAILED, f"{error.message}: {tail(place.log)}", hint=f"the whole log: {place.log}"
        ) from error


def as_user(place: ScratchPlace, command: Sequence[str], *, seconds: float) -> shell.Finished:
    """Run a program as the cluster's user, whatever its exit code."""
    become = ["runuser", "-u", place.user, "--"] if os.geteuid() == 0 else []
    return shell.run([*become, "env", "--chdir=/", *command], timeout=seconds, check=False)


def _run(place: ScratchPlace, command: list[str], *, check: bool = True) -> None:
    become = ["runuser", "-u", place.user, "--"] if os.geteuid() == 0 else []
    try:
        shell.run([*become, "env", "--chdir=/", *command], timeout=START_SECONDS + 60, check=check)
    except OperationError as error:
        raise BackupError(Code.RESTORE_FAILED, error.message, hint="see the words above, then run it again") from error


def _give(path: Path, user: str) -> None:
    if os.geteuid() == 0:
        shutil.chown(path, user, user)
