"""Keeps the shop's environment on a host: unchanging files named after their digest, and a link to the newest."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .files import sync_directory, write_atomically
from .outcome import OperationError, Outcome

LINK = "current"
DIGEST_LENGTH = 12
LINE = re.compile(r'([A-Z][A-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
MASK = "********"


class EnvFileError(OperationError):
    """The environment cannot be kept as asked."""


@dataclass(frozen=True)
class EnvFileRequest:
    """`content` becomes DIRECTORY/<digest>.env; `overrides` maps further file names to their content."""

    directory: str
    content: str
    overrides: Mapping[str, str] = field(default_factory=dict)
    secret_names: tuple[str, ...] = ()


def parse(content: str) -> dict[str, str]:
    """Returns the settings of an environment file in our own quoting; raises EnvFileError without showing the line."""
    settings = {}
    for number, line in enumerate(content.split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = LINE.fullmatch(line)
        if not match:
            raise EnvFileError(f'line {number} of the environment is not NAME="value"', hint="quote it with env_quote")
        if match[1] in settings:
            raise EnvFileError(f"{match[1]} stands twice in the environment", hint="remove one line of the template")
        settings[match[1]] = re.sub(r"\\(.)", r"\1", match[2])
    return settings


def digest(content: str) -> str:
    """Returns the name under which a content is kept."""
    return hashlib.sha256(content.encode()).hexdigest()[:DIGEST_LENGTH]


def masked(settings: Mapping[str, str], other: Mapping[str, str], secret_names: tuple[str, ...], note: str) -> str:
    """Returns the settings one a line; a secret shows only whether it differs from the other side's (the note)."""
    lines = []
    for name, value in settings.items():
        if name in secret_names:
            value = MASK if other.get(name, value) == value else f"{MASK} ({note})"
        lines.append(f"{name}={value}\n")
    return "".join(lines)


def write_environment(request: EnvFileRequest, *, dry_run: bool = False) -> Outcome:
    """Writes what is missing, points `current` at it, and says which names changed; needs root."""
    directory = Path(request.directory)
    name = f"{digest(request.content)}.env"
    after, before = parse(request.content), _current(directory)
    files = {name: request.content, **request.overrides}
    stale = [file for file, content in files.items() if not _is_kept(directory / file, content)]
    link_stale = not _points_at(directory / LINK, name)
    open_directory = directory.exists() and directory.stat().st_mode & 0o7777 != 0o700
    if not dry_run:
        _make_directory(directory)
        for file in stale:
            write_atomically(directory / file, files[file].encode(), mode=0o600)
        if link_stale:
            _link(directory / LINK, name)
    differing = sorted(key for key in {*before, *after} if before.get(key) != after.get(key))
    return Outcome(
        changed=bool(stale or link_stale or open_directory),
        summary=_summary(name, differing, stale, first=not before),
        details={
            "digest": name.removesuffix(".env"),
            "path": str(directory / name),
            "names_changed": differing,
            "files_written": stale,
            "before": masked(before, after, request.secret_names, "old"),
            "after": masked(after, before, request.secret_names, "new"),
        },
    )


def _summary(name: str, differing: list[str], stale: list[str], *, first: bool) -> str:
    """Says in one line what is different now."""
    if first:
        return f"first environment {name}, {len(differing)} settings"
    if differing:
        shown = ", ".join(differing[:5]) + (f" and {len(differing) - 5} more" if len(differing) > 5 else "")
        return f"{name}: {shown}"
    return f"{name}: the same settings, files mended: {', '.join(stale)}" if stale else f"{name} unchanged"


def _current(directory: Path) -> dict[str, str]:
    """Returns the settings that `current` names, or none; a damaged file counts as none, for it is replaced."""
    try:
        return parse((directory / LINK).read_text(encoding="utf-8"))
    except (FileNotFoundError, EnvFileError, UnicodeDecodeError):
        return {}


def _is_kept(path: Path, content: str) -> bool:
    """Says whether the file is there, unharmed, and for root alone."""
    try:
        status = path.lstat()
        return (
            path.is_file()
            and not path.is_symlink()
            and (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o600, os.geteuid(), os.getegid())
            and path.read_bytes() == content.encode()
        )
    except FileNotFoundError:
        return False


def _points_at(link: Path, name: str) -> bool:
    """Says whether the link names that file already."""
    return link.is_symlink() and str(link.readlink()) == name


def _make_directory(directory: Path) -> None:
    """Makes the directory for root alone, or takes the others' rights away."""
    directory.mkdir(parents=True, exist_ok=True)
    if directory.stat().st_mode & 0o7777 != 0o700:
        directory.chmod(0o700)


def _link(link: Path, name: str) -> None:
    """Points the link at the file by rename."""
    temporary = link.with_name(f".{link.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(name)
    temporary.rename(link)
    sync_directory(link.parent)
