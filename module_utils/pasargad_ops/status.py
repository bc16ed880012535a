"""Show an operator at 3 a.m. what serves, who deployed it, what is going on and what going back would cost."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from . import units
from .artefact import read_release
from .audit import audit_path
from .config import SLOTS, ReleaseConfig
from .files import read_lines
from .lease import read_lease
from .lock import holder, is_held
from .readiness import look
from .rollback import cost
from .state import load_state
from .switch import live_slot


def gather(config: ReleaseConfig) -> dict[str, Any]:
    """Collect the status as plain data; changes nothing and needs no lock."""
    state = load_state(config)
    slots = {}
    for slot in SLOTS:
        content = state.content(slot)
        release = read_release(config.releases / content.release) if content else None
        slots[slot] = {
            "release": content.release if content else "",
            "version": release.version if release else "",
            "env": content.env if content else "",
            "web": units.is_active(units.web(slot)),
            "worker": units.is_active(units.worker(slot)),
            "ready": bool(content) and look(config, slot, timeout=2).ready,
        }
    lease = read_lease(config)
    price = cost(config, state)
    return {
        "active": state.active,
        "live": live_slot(config),
        "slots": slots,
        "pending": dataclasses.asdict(state.pending) if state.pending else None,
        "confirmed": dataclasses.asdict(state.confirmed) if state.confirmed else None,
        "deployed": state.deployed,
        "bad": list(state.bad),
        "last_switch_ms": state.last_switch_ms,
        "fencing": state.fencing,
        "lock": dataclasses.asdict(lease) if lease else None,
        "previous": dataclasses.asdict(state.previous) if state.previous else None,
        "working": is_held(config.lock_file),
        "work": holder(config.lock_file) if is_held(config.lock_file) else {},
        "rollback": dataclasses.asdict(price),
        "audit": read_lines(audit_path(config))[-5:],
    }


def describe(status: dict[str, Any]) -> str:
    """Render the status as a few ordered lines."""
    lines = []
    for slot, about in status["slots"].items():
        mark = "->" if slot == status["active"] else "  "
        health = "ready" if about["ready"] else "not ready" if about["web"] else "stopped"
        worker = ", worker" if about["worker"] else ""
        lines.append(f"{mark} {slot:<6} {about['release'] or '-':<13} {about['version']:<22} {health}{worker}")
    if status["live"] != status["active"]:
        lines.append(f"!  live.sock names {status['live']}, the state says {status['active']}: run pasargad-ops repair")
    deployed = status["deployed"]
    if deployed:
        lines.append(f"deployed  {ago(deployed['at'])} ago by {deployed['by']} ({deployed['deploy']})")
    if status["pending"]:
        left = status["pending"]["deadline"] - time.time()
        lines.append(f"pending   switch to {status['pending']['to_slot']} is not confirmed; goes back in {left:.0f} s")
    if status["confirmed"]:
        lines.append(
            f"open      switch to {status['confirmed']['to_slot']} is confirmed here, its deploy has not ended"
        )
    lines += _lock_lines(status["lock"], status["work"])
    rollback = status["rollback"]
    lines.append(f"rollback  {rollback['words']}" + (f"; {rollback['way_back']}" if not rollback["possible"] else ""))
    if status["bad"]:
        lines.append(f"bad       {', '.join(status['bad'][-3:])}")
    for line in status["audit"]:
        lines.append(
            f"history   {ago(line['at'])} ago  {line['result']:<11} {line.get('release', ''):<13} {_note(line)}"
        )
    return "\n".join(lines)


def _note(line: dict[str, Any]) -> str:
    """Say in a few words how a deploy ended."""
    cause = line.get("error") or line.get("reason")
    if cause:
        return str(cause)
    if line["result"] == "abandoned":
        return f"its deploy died: {line.get('phase', '')}"
    if line["result"] == "restored":
        return f"the database, from {line.get('dump', 'its backups')} by {line['by']}"
    if line["result"] == "rolled back":
        return f"from {line['left']} by {line.get('by', '')}" if "left" in line else ""
    return f"{line.get('requests', 0)} requests, {line.get('lost', 0)} lost, by {line.get('by', '')}"


def _lock_lines(lock: dict[str, Any] | None, work: dict[str, Any]) -> list[str]:
    """Say who holds the host, and how to take it from somebody who has died."""
    lines = [f"at work   {work['doing']}, for {ago(work['since'])}"] if work else []
    if not lock:
        return [*lines, "lock      free"]
    owner = lock["owner"]
    held_by = f"{owner['name']} on {owner['controller']} (process {owner['pid']})"
    signs = f"since {ago(lock['acquired'])}, last sign {ago(lock['renewed'])} ago"
    lines.append(f"lock      {held_by}, phase {lock['phase']}, {signs}")
    return [
        *lines,
        f"          a dead one is taken over by itself; to break it: pasargad-ops break-lock {lock['deploy_id']}",
    ]


def ago(moment: float) -> str:
    """Say how long ago a moment was, in the unit that fits."""
    seconds = max(0.0, time.time() - moment)
    for limit, size, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"
