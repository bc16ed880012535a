"""Make a directory hold exactly the given files."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .files import write_atomically
from .outcome import Outcome, Refused


@dataclass(frozen=True)
class TreeRequest:
    """`files` maps names without a slash to texts; `mode` is theirs. Only what fits `pattern` is ours to remove."""

    directory: str
    files: Mapping[str, str]
    mode: int = 0o644
    pattern: str = "*"


def keep_tree(request: TreeRequest, *, dry_run: bool = False) -> Outcome:
    """Write what differs and remove strangers, byte code of removed modules included; raises Refused for a name with
    a slash."""
    odd = [
        name
        for name in request.files
        if "/" in name or name.startswith(".") or not fnmatch.fnmatchcase(name, request.pattern)
    ]
    if odd or not request.files:
        raise Refused(f"not names of files: {odd or 'none given'}", hint="give the directory's own files only")
    directory = Path(request.directory)
    differing = sorted(name for name, text in request.files.items() if not _holds(directory / name, text, request.mode))
    present = (path.name for path in directory.glob(request.pattern) if path.is_file())
    strangers = sorted(name for name in present if name not in request.files)
    if not dry_run:
        directory.mkdir(parents=True, exist_ok=True, mode=0o755)
        for name in differing:
            write_atomically(directory / name, request.files[name].encode(), mode=request.mode)
        for name in strangers:
            (directory / name).unlink()
        # Byte code of modules that are gone would still be found.
        known = {Path(name).stem for name in request.files}
        for path in (directory / "__pycache__").glob("*.pyc"):
            if path.name.split(".")[0] not in known:
                path.unlink()
    details = {"written": differing, "removed": strangers}
    return Outcome(bool(differing or strangers), f"{len(differing)} written, {len(strangers)} removed", details)


def _holds(path: Path, text: str, mode: int) -> bool:
    try:
        return path.read_text() == text and path.stat().st_mode & 0o777 == mode
    except (FileNotFoundError, UnicodeDecodeError):
        return False
