"""Write down how each deploy ended: exactly one line a deploy on a host, for people and programs that come later."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from .config import ReleaseConfig
from .files import append_line, read_lines
from .lock import held


def audit_path(config: ReleaseConfig) -> Path:
    return config.state_dir / "audit.jsonl"


def ended(config: ReleaseConfig, deploy_id: str) -> bool:
    """Tell whether the deploy has its line."""
    return any(line["deploy"] == deploy_id for line in read_lines(audit_path(config)))


def record_end(config: ReleaseConfig, deploy_id: str, result: str, **details: Any) -> bool:
    """Append the one line of a deploy; return False when it already has one.

    `result` is success, failed, reverted, "rolled back", kept (nobody confirmed the switch, but the slot before it is
    dead), restored (the database was put back) or abandoned (its owner died and somebody else found it).
    """
    with held(config.state_dir / "audit.lock", wait_seconds=15):
        if ended(config, deploy_id):
            return False
        append_line(audit_path(config), {"at": time.time(), "deploy": deploy_id, "result": result, **details})
    return True
