"""Count at the edge: which requests were served and lost, and how fast, from the proxy's access log of one JSON
object a line.

Lost is what a shopper got no page for: 502, 503 without the application having said so, 504, and any other 5xx that
the proxy made up itself. A 5xx that the application answered is an error of the release, not a lost request; it is
counted apart.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Position:
    """A place in the log: the file's inode and the offset in it."""

    inode: int
    offset: int


@dataclass(frozen=True)
class Count:
    """What the edge saw: requests in all, lost, answered 5xx by the application, and the 95th percentile in
    milliseconds."""

    requests: int
    lost: int
    errors: int
    p95_ms: float


def end_of(path: Path) -> Position:
    """Return the present end of the log."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return Position(0, 0)
    return Position(found.st_ino, found.st_size)


def is_lost(line: dict[str, Any]) -> bool:
    """Tell whether the proxy, not the application, made up a 5xx."""
    status = int(line.get("status", 0))
    if status < 500:
        return False
    upstream = str(line.get("us", "")).split(",")[-1].strip()
    return upstream in ("", "-", "502", "504") or (upstream.isdigit() and int(upstream) < 500)


def lines_since(path: Path, start: Position) -> list[dict[str, Any]]:
    """Return the parsed lines after `start`, also across one rotation to `path`.1."""
    lines: list[dict[str, Any]] = []
    rotated = path.with_name(path.name + ".1")
    for file, offset in ((rotated, start.offset), (path, 0)):
        if file == path and start.inode and path.exists() and path.stat().st_ino == start.inode:
            offset = start.offset
        elif file == rotated and not (rotated.exists() and rotated.stat().st_ino == start.inode):
            continue
        if not file.exists():
            continue
        with file.open("rb") as handle:
            handle.seek(min(offset, os.fstat(handle.fileno()).st_size))
            for raw in handle:
                try:
                    lines.append(json.loads(raw))
                except ValueError:
                    continue
    return lines


def count(lines: list[dict[str, Any]], *, slot: str | None = None) -> Count:
    """Count the lines, of one slot or of all."""
    if slot is not None:
        lines = [line for line in lines if line.get("slot") == slot]
    lost = sum(1 for line in lines if is_lost(line))
    errors = sum(1 for line in lines if int(line.get("status", 0)) >= 500) - lost
    times = sorted(float(line.get("rt") or 0) * 1000 for line in lines)
    return Count(len(lines), lost, errors, round(times[int(len(times) * 0.95)], 1) if times else 0.0)
