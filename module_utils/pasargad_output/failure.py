"""Reads from a failed task's result what an operator needs: the cause, the last log lines, the next command."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LAST_LOG_LINES = 30
LAST_TRACEBACK_LINES = 6
LAST_CAUSE_LINES = 8
HIDDEN = "the task handles secrets, so its output is hidden (no_log); its name says what it did"
AGAIN = "mend the cause, then run the same command again: it goes on where this run stopped"
UNREACHABLE = "ssh to the host with the address and user of the inventory; then run the same command again"


@dataclass(frozen=True)
class Failure:
    """One host's failure in one task."""

    phase: str
    host: str
    task: str
    path: str
    cause: str
    log: list[str] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    hint: str = AGAIN


def read_failure(
    result: Mapping[str, Any], *, phase: str, host: str, task: str, path: str, unreachable: bool
) -> Failure:
    """Return what a failed task's result says, from our own keys (pasargad, hint) or from what any module returns."""
    report = _mapping(result.get("pasargad"))
    details = _mapping(report.get("details")) or _mapping(result.get("details"))
    hint = result.get("hint") or report.get("hint") or details.get("hint")
    return Failure(
        phase=str(report.get("phase") or phase),
        host=host,
        task=task,
        path=path,
        cause=_cause(result),
        log=_log(result, details),
        facts=_facts(result, details),
        hint=str(hint) if hint else UNREACHABLE if unreachable else AGAIN,
    )


def _cause(result: Mapping[str, Any]) -> str:
    if "censored" in result:
        return HIDDEN
    # A command's own last words say more than that it failed.
    if result.get("msg") == "non-zero return code" and (words := str(result.get("stderr") or "").strip()):
        return "\n".join(words.splitlines()[-LAST_CAUSE_LINES:])
    for key in ("msg", "message", "reason"):
        if text := result.get(key):
            return "\n".join(str(line) for line in text) if isinstance(text, list) else str(text)
    return f"exit code {result['rc']}" if "rc" in result else "the module gave no reason; -vvv shows its whole result"


def _log(result: Mapping[str, Any], details: Mapping[str, Any]) -> list[str]:
    for source in (details, result):
        for key in ("log", "log_tail", "journal"):
            if source.get(key):
                return _lines(source[key])[-LAST_LOG_LINES:]
    lines = [line for key in ("stdout", "module_stdout", "stderr", "module_stderr") for line in _lines(result.get(key))]
    return lines[-LAST_LOG_LINES:]


def _facts(result: Mapping[str, Any], details: Mapping[str, Any]) -> dict[str, str]:
    facts: dict[str, str] = {}
    if result.get("cmd") and result.get("rc") is not None:
        command = result["cmd"]
        facts["command"] = " ".join(map(str, command)) if isinstance(command, list) else str(command)
        facts["exit"] = str(result["rc"])
    for key in ("traffic", "rollback"):
        if details.get(key):
            facts[key] = str(details[key])
    return facts


def _lines(value: Any) -> list[str]:
    lines = [str(line) for line in value] if isinstance(value, list | tuple) else str(value or "").splitlines()
    return [shown for line in lines for shown in _readable(line)]


def _readable(line: str) -> list[str]:
    """Return a log line of JSON as people read it, with the end of its traceback; any other line as it is."""
    try:
        record = json.loads(line) if line.startswith("{") else None
    except ValueError:
        record = None
    if not isinstance(record, dict) or "message" not in record:
        return [line]
    values = [str(record.get(key, "")) for key in ("time", "level", "logger", "message", "method", "path", "status")]
    return [" ".join(filter(None, values)), *str(record.get("exception") or "").splitlines()[-LAST_TRACEBACK_LINES:]]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
