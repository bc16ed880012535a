"""Start pgbackrest and its checker: as the right user, politely ended, with a private configuration."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import shell
from ..outcome import OperationError
from ..shell import Finished
from .errors import BackupError, Code
from .pgbackrest_failures import failure
from .wal import SEGMENT_BYTES

GRACE_SECONDS = 60
LOCKING = ("backup", "stanza-create", "info", "restore")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class RepositoryConfig:
    """How pgbackrest is reached; the passphrase and the storage's keys stand in `config_file` alone."""

    stanza: str
    config_file: Path = Path("/etc/pgbackrest.conf")
    binary: str = "pgbackrest"
    checker: str = "check_pgbackrest"
    user: str = "postgres"
    lock_dir: Path | None = None
    log_dir: Path | None = None
    segment_bytes: int = SEGMENT_BYTES
    short_seconds: float = 300
    long_seconds: float = 6 * 3600
    retry_seconds: float = 20


class Program:
    """The programs of one stanza; it refuses a configuration that others can read."""

    def __init__(self, config: RepositoryConfig) -> None:
        for name, path in (("config_file", config.config_file), ("lock", config.lock_dir), ("log", config.log_dir)):
            if path is not None and not path.is_absolute():
                raise BackupError(Code.CONFIG, f"{name} is {path}, no absolute path", hint="begin it with /")
        self.config = config

    def must(
        self, command: str, *options: str, seconds: float | None = None, otherwise: Code = Code.STORAGE_TRANSIENT
    ) -> Finished:
        """Run a command that must end with 0."""
        done = self.run(command, *options, seconds=seconds)
        if done.code:
            raise failure(done, command, otherwise)
        return done

    def run(self, command: str, *options: str, seconds: float | None = None) -> Finished:
        """Run a command of pgbackrest; errors go to stderr, so that stdout is nothing but the answer."""
        config = self.config
        common = [f"--stanza={config.stanza}", f"--config={config.config_file}"]
        common += ["--log-level-console=off", "--log-level-stderr=warn"]
        common += [f"--lock-path={config.lock_dir}"] if config.lock_dir and command in LOCKING else []
        common += [f"--log-path={config.log_dir}"] if config.log_dir else []
        return self._start([config.binary, *common, command, *options], seconds or config.short_seconds)

    def _start(self, command: Sequence[str], seconds: float) -> Finished:
        """Run a program as the configured user, where it may stand, without variables that would steer it."""
        private(self.config.config_file)
        # timeout(1) ends the program politely, so that it frees its locks; a killed runuser would leave it running.
        # In the foreground, so that what people type to end us reaches the program too.
        limit = ["timeout", "--foreground", f"--kill-after={GRACE_SECONDS}", f"{seconds:g}"]
        polite = [*limit, "env", "--chdir=/", *command]
        become = ["runuser", "-u", self.config.user, "--"] if os.geteuid() == 0 else []
        try:
            return shell.run(
                [*become, *polite],
                timeout=seconds + 2 * GRACE_SECONDS,
                check=False,
                env={"PATH": PATH, "LANG": "C.UTF-8"},
            )
        except OperationError as error:
            absent = isinstance(error.__cause__, FileNotFoundError)
            code = Code.CONFIG if absent else Code.STORAGE_TRANSIENT
            raise BackupError(code, error.message, hint=error.hint or "see what holds it: pgbackrest info") from error

    def check(self, service: str, *options: str) -> Finished:
        """Run a service of check_pgbackrest; its answer is JSON, its exit code that of a Nagios plugin."""
        config = self.config
        command = [config.checker, f"--service={service}", f"--stanza={config.stanza}", "--output=json"]
        command += [f"--config={config.config_file}", f"--command={config.binary}", *options]
        done = self._start(command, config.short_seconds)
        if done.code in (126, 127):
            raise BackupError(Code.CONFIG, f"{config.checker} cannot be run", hint="apt-get install check-pgbackrest")
        return done


def private(path: Path) -> None:
    """Raise CONFIG for a config file that is absent, or that others can read: it holds the passphrase."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise BackupError(
            Code.CONFIG, f"{path} cannot be read: {error.strerror}", hint="run deploy.yml -e pasargad_converge=full"
        ) from error
    if mode & 0o007:
        raise BackupError(Code.CONFIG, f"{path} can be read by everyone", hint=f"chmod o= {path}")
