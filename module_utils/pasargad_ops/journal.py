"""Keep the journal of phases, one JSON object a line: the intent before an act, its end after.

A crash leaves an intent without an end, which the next run sees. Tests hold or kill an operation at a journal point by
a fault file that only root can write; without that file nothing happens but a look whether it is there.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .config import ReleaseConfig
from .files import append_line, keep_last_lines, read_json, read_lines

LIMIT_BYTES = 2**20
LINES_KEPT = 1000


class Journal:
    """Writes what one deploy does on this host."""

    def __init__(self, config: ReleaseConfig, deploy_id: str) -> None:
        self.config = config
        self.path = config.state_dir / "journal.jsonl"
        self.deploy_id = deploy_id

    def write(self, phase: str, event: str, **details: Any) -> None:
        append_line(self.path, {"at": time.time(), "deploy": self.deploy_id, "phase": phase, "event": event, **details})
        obey_fault(self.config, phase, event)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Journal the intent, let the body act, journal its end; a failure is journaled with its words."""
        self.write(name, "begin")
        try:
            yield
        except Exception as error:
            self.write(name, "failed", error=str(error)[:500])
            raise
        self.write(name, "done")

    def shorten(self) -> None:
        """Drop the oldest lines of a journal that has grown long; the caller holds the host lock."""
        keep_last_lines(self.path, limit_bytes=LIMIT_BYTES, lines=LINES_KEPT)


def obey_fault(config: ReleaseConfig, phase: str, event: str) -> None:
    """Hold or die at the point that a test wrote into the fault file, once.

    The file is `{"point": "switch:renamed", "action": "hold" | "kill"}`. Before acting it is renamed to `.hit`, by
    which the test knows that the point was reached; a held operation goes on when `.hit` is removed.
    """
    try:
        fault = read_json(config.fault_file)
    except ValueError:
        return
    if not fault or fault["point"] != f"{phase}:{event}":
        return
    hit = config.fault_file.with_suffix(".hit")
    config.fault_file.rename(hit)
    if fault["action"] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    while hit.exists():
        time.sleep(0.05)


def open_intents(config: ReleaseConfig) -> list[dict[str, Any]]:
    """Return the phases that began and neither ended nor failed, oldest first."""
    begun: dict[tuple[str, str], dict[str, Any]] = {}
    for line in read_lines(config.state_dir / "journal.jsonl"):
        key = (line["deploy"], line["phase"])
        if line["event"] == "begin":
            begun[key] = line
        elif line["event"] in ("done", "failed", "abandoned"):
            begun.pop(key, None)
    return list(begun.values())
