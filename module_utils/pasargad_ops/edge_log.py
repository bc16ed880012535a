"""Count at the edge: which requests were served and lost, and how fast, from the proxy's access log of one JSON object
a line.

Lost is what a shopper got no page for because nobody behind the proxy gave one: 502, 504, and any other 5xx that the
proxy made up itself. A 5xx that the application answered is an error of the release, not a lost request; it is counted
apart. A request that the client gave up (499) or that was refused by a limit (429) is neither.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
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
    milliseconds.
    """

    requests: int = 0
    lost: int = 0
    errors: int = 0
    p95_ms: float = 0.0

    @property
    def bad_share(self) -> float:
        return (self.lost + self.errors) / self.requests if self.requests else 0.0


def end_of(path: Path) -> Position:
    """Return the present end of the log."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return Position(0, 0)
    return Position(found.st_ino, found.st_size)


def is_lost(line: dict[str, Any]) -> bool:
    """Tell whether the proxy, not the application, made up a 5xx; `us` lists the states of all upstream tries."""
    status = int(line.get("status", 0))
    if status < 500:
        return False
    upstream = str(line.get("us", "")).replace(":", ",").split(",")[-1].strip()
    return upstream in ("", "-", "502", "504") or (upstream.isdigit() and int(upstream) < 500)


def milliseconds(line: dict[str, Any]) -> float | None:
    """Return what the application took for a request, slow clients apart; None when it was not asked (cache, static
    file).
    """
    times = [part.strip() for part in str(line.get("ut", "")).replace(":", ",").split(",")]
    found = [float(part) for part in times if part.replace(".", "", 1).isdigit()]
    return sum(found) * 1000 if found else None


def lines_since(path: Path, start: Position) -> Iterator[dict[str, Any]]:
    """Give the parsed lines after `start`, also across one rotation to `path`.1; lines that are not whole are passed
    over.
    """
    rotated = path.with_name(path.name + ".1")
    for file in (rotated, path):
        try:
            handle = file.open("rb")
        except FileNotFoundError:
            continue
        with handle:
            about = os.fstat(handle.fileno())
            if about.st_ino == start.inode:
                handle.seek(min(start.offset, about.st_size))
            elif file == rotated:
                continue
            for raw in handle:
                try:
                    line = json.loads(raw)
                except ValueError:
                    continue
                if isinstance(line, dict):
                    yield line


def count(lines: Iterable[dict[str, Any]], *, besides_slot: str | None = None) -> Count:
    """Count the lines; with `besides_slot`, all but those that this slot answered (a lost request names no slot)."""
    requests = lost = errors = 0
    times = []
    for line in lines:
        if besides_slot is not None and line.get("slot") == besides_slot:
            continue
        requests += 1
        if is_lost(line):
            lost += 1
        elif int(line.get("status", 0)) >= 500:
            errors += 1
        taken = milliseconds(line)
        if taken is not None:
            times.append(taken)
    times.sort()
    return Count(requests, lost, errors, round(times[int(len(times) * 0.95)], 1) if times else 0.0)


def baseline(path: Path, *, last_bytes: int = 2**20) -> Count:
    """Count the end of the log, as what is normal."""
    end = end_of(path)
    return count(lines_since(path, Position(end.inode, max(0, end.offset - last_bytes))))
