"""Keep the journal of phases and the audit of deploys, both one JSON object a line.

Each phase writes its intent before it acts and its end after; a crash leaves an intent without an end, which the next
run sees. Tests hold or kill an operation at a journal point by a fault file; without that file nothing is looked up
but its absence.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .config import ReleaseConfig
from .files import append_line, read_json, read_lines

FAULT_FILE = Path("/run/pasargad-fault.json")


class Journal:
    """Writes what one deploy does on this host."""

    def __init__(self, config: ReleaseConfig, deploy_id: str) -> None:
        self.path = config.state_dir / "journal.jsonl"
        self.deploy_id = deploy_id

    def write(self, phase: str, event: str, **details: Any) -> None:
        append_line(self.path, {"at": time.time(), "deploy": self.deploy_id, "phase": phase, "event": event, **details})
        obey_fault(phase, event)

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


def obey_fault(phase: str, event: str) -> None:
    """Hold or die at the point that a test wrote into the fault file, once.

    The file is `{"point": "switch:renamed", "action": "hold" | "kill"}` and only root can write it. Before acting,
    the file is renamed to `.hit`, by which the test knows that the point was reached.
    """
    fault = read_json(FAULT_FILE)
    if not fault or fault["point"] != f"{phase}:{event}":
        return
    os.replace(FAULT_FILE, FAULT_FILE.with_suffix(".hit"))
    if fault["action"] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    while FAULT_FILE.with_suffix(".hit").exists():
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


def audit_path(config: ReleaseConfig) -> Path:
    return config.state_dir / "audit.jsonl"


def record_terminal(config: ReleaseConfig, deploy_id: str, result: str, **details: Any) -> bool:
    """Append the one terminal line of a deploy; return False when it already has one."""
    if any(line["deploy"] == deploy_id for line in read_lines(audit_path(config))):
        return False
    append_line(audit_path(config), {"at": time.time(), "deploy": deploy_id, "result": result, **details})
    return True
