"""Write files so that a crash at any instant leaves the old or the new content, never a part."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any


def sync_directory(directory: Path) -> None:
    """Make renames within `directory` durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, content: bytes, *, mode: int = 0o640) -> None:
    """Replace `path` by `content`: temporary file, fsync, rename, fsync of the directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).rename(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def write_json(path: Path, value: Any, *, mode: int = 0o640) -> None:
    """Write `value` as sorted, indented JSON, atomically."""
    write_atomically(path, (json.dumps(value, indent=1, sort_keys=True) + "\n").encode(), mode=mode)


def read_json(path: Path) -> Any | None:
    """Return the parsed file, or None when it does not exist."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None


def append_line(path: Path, value: dict[str, Any], *, mode: int = 0o640) -> None:
    """Append one JSON line durably; a line that a crash has torn is ended first, so that only it is lost."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, mode)
    try:
        end = os.fstat(descriptor).st_size
        torn = end > 0 and os.pread(descriptor, 1, end - 1) != b"\n"
        os.write(descriptor, (("\n" if torn else "") + json.dumps(value, sort_keys=True) + "\n").encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def keep_last_lines(path: Path, *, limit_bytes: int, lines: int) -> None:
    """Shorten a file of lines that has outgrown `limit_bytes` to its last `lines`; nobody else may be appending."""
    if path.exists() and path.stat().st_size > limit_bytes:
        kept = path.read_bytes().splitlines(keepends=True)[-lines:]
        write_atomically(path, b"".join(kept))


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the parsed lines; a torn last line, left by a crash, is passed over."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return []
    lines = []
    for line in text.splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue
    return lines


def point_link(link: Path, target: str) -> None:
    """Make `link` a symbolic link to `target` by one rename(2); the link is never absent."""
    temporary = link.with_name(f".{link.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.rename(link)
