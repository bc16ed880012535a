"""Find out, before anything is touched, whether a logical set could be made here and opened by anybody."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from .. import shell
from .clocks import read_clock
from .config import CONVERGE, BackupConfig
from .context import Context
from .dump import Pipeline, check_recipients
from .errors import BackupError, Code
from .manifest import Clock
from .signatures import require_pinned

# What is packed beside the database, by the role of its object.
SETTINGS, MEDIA = "settings", "media"


@dataclass(frozen=True)
class Readiness:
    """What the job will work with; `lines` are for people."""

    tool: str
    recipients: tuple[str, ...]
    clock: Clock
    lines: tuple[str, ...]


def ready(context: Context) -> Readiness:
    """Look at everything that a set needs of this host and its storage.

    Raises BackupError: KEY for recipients or a signing key that nobody could use, CONFIG for missing programs,
    VERSION_MISMATCH for a pg_dump older than its server.
    """
    config = context.config
    recipients = public_keys(config.recipients_file)
    require_pinned(context.signer, context.trusted)
    _rehearse(config)
    tool = shell.run([str(config.cluster.bin_dir / "pg_dump"), "--version"]).stdout.strip()
    major = re.search(r"\(PostgreSQL\) (\d+)", tool)
    if major is None or int(major[1]) < config.cluster.version:
        raise BackupError(
            Code.VERSION_MISMATCH,
            f"the server is PostgreSQL {config.cluster.version}, and what dumps it is {tool!r}",
            hint="install the postgresql-client of the server's major version, or name its bin_dir",
        )
    clock = read_clock(context.objects)
    return Readiness(tool, recipients, clock, (*_about_clock(clock, config.policy.skew), *_about_paths(config)))


def public_keys(file: Path) -> tuple[str, ...]:
    """Return who can open what is encrypted for a file of recipients; raises KEY when nobody can."""
    check_recipients(file)
    lines = [line.strip() for line in file.read_text().splitlines()]
    return tuple(line for line in lines if line and not line.startswith("#"))


def files_of(config: BackupConfig) -> dict[str, tuple[Path, ...]]:
    """Return what is packed into which object: the paths that are set and exist."""
    found = {SETTINGS: _there(config.settings_paths), MEDIA: _there(config.media_paths)}
    return {role: paths for role, paths in found.items() if paths}


def _there(paths: Sequence[Path]) -> tuple[Path, ...]:
    return tuple(path for path in paths if path.exists() or path.is_symlink())


def _rehearse(config: BackupConfig) -> None:
    """Send a line through each pipeline that the job will use: programs, recipients and all."""
    commands = [[str(config.cluster.bin_dir / name), "--version"] for name in ("pg_dump", "pg_dumpall")]
    commands += [["tar", "--version"]] if files_of(config) else []
    for command in commands:
        try:
            for _ in Pipeline(command, config.recipients_file):
                pass
        except BackupError as error:
            if error.code != Code.CONFIG:
                raise
            raise BackupError(Code.CONFIG, error.message, hint=f"{error.hint}; or {CONVERGE}") from error


def _about_clock(clock: Clock, bound: timedelta) -> list[str]:
    words = [] if clock.synchronised else ["nothing keeps this host's clock right (timedatectl)"]
    if abs(clock.skew_ms) > bound.total_seconds() * 1000:
        words.append(f"this host's clock is {clock.skew_ms / 1000:+.0f} s from the storage's: nothing will be expired")
    return words


def _about_paths(config: BackupConfig) -> list[str]:
    return [
        f"{path} is not there, so it is not in the set"
        for path in (*config.settings_paths, *config.media_paths)
        if not _there([path])
    ]
