"""Decide whether a slot is fit for shoppers: ready several times in a row, then warm."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from . import http, units
from .config import ReleaseConfig
from .manage import database_hint, last_exception
from .outcome import NotReady


@dataclass(frozen=True)
class Readiness:
    """One look at a slot: whether it is ready for `release`, and the words if not."""

    ready: bool
    release: str
    detail: str


def look(config: ReleaseConfig, slot: str, *, timeout: float = 5) -> Readiness:
    """Ask the slot's own socket for /health/ready once."""
    try:
        answer = http.get_from_socket(config.slot_socket(slot), "/health/ready", host=config.domain, timeout=timeout)
    except OSError as error:
        return Readiness(False, "", f"no answer on {config.slot_socket(slot)}: {error}")
    except Exception as error:
        return Readiness(False, "", f"broken answer: {error}")
    try:
        health = json.loads(answer.body)
    except ValueError:
        return Readiness(False, "", f"/health/ready answers {answer.status} without JSON")
    failing = [
        f"{name}: {check.get('detail', '')}" for name, check in health.get("checks", {}).items() if not check["ok"]
    ]
    detail = "; ".join(failing) or f"status {answer.status}"
    return Readiness(answer.status == 200, str(health.get("release", "")), detail)


def wait_until_ready(config: ReleaseConfig, slot: str, release: str) -> float:
    """Wait for `ready_passes` good answers in a row; return the seconds it took.

    Raises NotReady after `ready_timeout_seconds`, or at once when the unit has failed, with the unit's last journal
    lines.
    """
    began, wall = time.monotonic(), time.time()
    passes, last = 0, Readiness(False, "", "not asked yet")
    while time.monotonic() - began < config.ready_timeout_seconds:
        last = look(config, slot)
        passes = passes + 1 if last.ready and last.release == release else 0
        if passes >= config.ready_passes:
            return time.monotonic() - began
        if units.restarts(units.web(slot)) or not units.is_active(units.web(slot)):
            raise crash(slot, release, since=wall)
        time.sleep(0.1)
    if last.ready:
        last = Readiness(False, last.release, f"it answers as release {last.release}")
    raise NotReady(
        f"{slot} did not become ready with release {release} within {time.monotonic() - began:.0f} s: {last.detail}",
        hint=database_hint(last.detail)
        or "mend the release, or give it longer: app_service_ready_timeout_seconds; "
        f"on the host: journalctl -u {units.web(slot)} -e",
        details={"log": units.journal_tail(units.web(slot), since=wall - 5)},
    )


def crash(slot: str, release: str, *, since: float) -> NotReady:
    """Describe a release whose server ended while it started: the exception, and the last lines of its journal."""
    log = units.journal_tail(units.web(slot), since=since - 5)
    output = "\n".join(log)
    return NotReady(
        f"release {release} crashes at start on {slot}: {last_exception(log) or 'the server ended'}",
        hint=database_hint(output)
        or f"mend the release, then run deploy.yml; on the host: journalctl -u {units.web(slot)} -e",
        details={"log": log},
    )


def warm(config: ReleaseConfig, slot: str, paths: list[str]) -> dict[str, float | int]:
    """Ask every path until the slot answers within its budget; return p95 in milliseconds, requests and rounds.

    A page that answers 5xx, or a p95 above `warm_budget_ms` in the last round, raises NotReady.
    """
    asked, p95 = 0, 0.0
    for _ in range(config.warm_rounds):
        times = []
        for path in paths:
            try:
                answer = http.get_from_socket(config.slot_socket(slot), path, host=config.domain, timeout=20)
            except OSError as error:
                raise NotReady(
                    f"{slot} does not answer {path}: {error}", hint=f"journalctl -u {units.web(slot)} -e"
                ) from error
            if answer.status >= 500:
                raise NotReady(
                    f"{slot} answers {path} with {answer.status}",
                    hint=f"journalctl -u {units.web(slot)} -e",
                    details={"log": units.journal_tail(units.web(slot), since=time.time() - 60)},
                )
            times.append(answer.milliseconds)
            asked += 1
        p95 = sorted(times)[int(len(times) * 0.95)] if times else 0.0
    if p95 > config.warm_budget_ms:
        raise NotReady(
            f"{slot} is too slow when warm: p95 {p95:.0f} ms, budget {config.warm_budget_ms:.0f} ms",
            hint="compare with the last release, or raise app_service_warm_budget_ms",
        )
    return {"p95_ms": round(p95, 1), "requests": asked, "rounds": config.warm_rounds}
