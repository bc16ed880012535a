"""Decide whether a slot is fit for shoppers: ready several times in a row, then warm."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException

from . import http, units
from .config import ReleaseConfig
from .manage import database_hint, last_exception
from .masking import mask
from .outcome import NotReady

WARM_AT_ONCE = 4
WORKER_HEADER = "x-pasargad-worker"
LOG_LINES = 30
# Enough for the tracebacks of all workers of a server.
CRASH_LINES = 400


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
        health = json.loads(answer.body)
    except ValueError:
        return Readiness(False, "", f"/health/ready answers {answer.status} without JSON")
    except (OSError, HTTPException) as error:
        return Readiness(False, "", f"no answer on {config.slot_socket(slot)}: {error or type(error).__name__}")
    checks = health.get("checks", {})
    failing = [f"{name}: {check.get('detail', '')}" for name, check in checks.items() if not check.get("ok")]
    detail = "; ".join(failing) or f"status {answer.status}"
    return Readiness(answer.status == 200, str(health.get("release", "")), detail)


class CrashWatch:
    """Notices the first crash of a starting unit; systemd itself would start it again and again."""

    def __init__(self) -> None:
        self._began = False
        self._restarts: int | None = None

    def seen(self, about: dict[str, str], seconds: float) -> bool:
        """Take one look at the unit, `seconds` after its start was asked for; tell whether it has crashed."""
        restarts = int(about["NRestarts"] or 0)
        # The counter of an earlier run may still be shown for a moment, so only growth counts.
        grown = self._restarts is not None and restarts > self._restarts
        self._restarts = min(restarts, restarts if self._restarts is None else self._restarts)
        self._began = self._began or about["ActiveState"] in ("activating", "active")
        ended = about["ActiveState"] == "failed" or (
            about["ActiveState"] == "inactive" and (self._began or seconds > 5)
        )
        return grown or ended


def start_until_ready(config: ReleaseConfig, slot: str, release: str, secrets: tuple[str, ...]) -> float:
    """Start a slot and wait for `ready_passes` good answers in a row; return the seconds it took.

    Raises NotReady after `ready_timeout_seconds`, or at once when the unit has failed, with the unit's last journal
    lines.
    """
    began, wall = time.monotonic(), time.time()
    passes, last = 0, Readiness(False, "", "it never answered")
    crash = CrashWatch()
    units.start_later(units.web(slot))
    while time.monotonic() - began < config.ready_timeout_seconds:
        last = look(config, slot)
        passes = passes + 1 if last.ready and last.release == release else 0
        if passes >= config.ready_passes:
            return time.monotonic() - began
        if crash.seen(units.show(units.web(slot), "ActiveState", "NRestarts"), time.monotonic() - began):
            raise crashed(slot, release, slot_log(slot, since=wall - 1, secrets=secrets, lines=CRASH_LINES))
        time.sleep(0.1)
    if last.ready:
        last = Readiness(False, last.release, f"it answers as release {last.release or 'without a name'}")
    raise NotReady(
        f"release {release} did not become ready on {slot} within {time.monotonic() - began:.0f} s: "
        f"{mask(last.detail, secrets)}",
        hint=database_hint(last.detail)
        or "mend the release, or raise app_service_ready_timeout_seconds; on the host: "
        f"journalctl -u {units.web(slot)} -e",
        details={"log": slot_log(slot, since=wall - 1, secrets=secrets)},
    )


def crashed(slot: str, release: str, log: list[str]) -> NotReady:
    """Describe a release whose server ended while it started: the exception, and the lines of its journal up to it.

    Several workers crash at once, and the server ends with the first: the journal's very end is often the middle of
    another one's traceback.
    """
    cause = last_exception(log)
    if cause:
        log = log[: len(log) - log[::-1].index(cause)]
    return NotReady(
        f"release {release} crashes at start on {slot}: {cause or 'the server ended'}",
        hint=database_hint("\n".join(log))
        or f"mend the release, then run deploy.yml; on the host: journalctl -u {units.web(slot)} -e",
        details={"log": log[-LOG_LINES:]},
    )


def slot_log(slot: str, *, since: float, secrets: tuple[str, ...], lines: int = LOG_LINES) -> list[str]:
    """Return the last lines of a slot's journal with secrets masked."""
    return [mask(line, secrets) for line in units.journal_tail(units.web(slot), since=since, lines=lines)]


def paths_to_warm(config: ReleaseConfig, slot: str) -> tuple[str, ...]:
    """Ask the release itself which pages are worth warming: {"paths": [...]} at /health/warm."""
    try:
        answer = http.get_from_socket(config.slot_socket(slot), "/health/warm", host=config.domain, timeout=30)
        return tuple(str(path) for path in json.loads(answer.body)["paths"])
    except (OSError, HTTPException, ValueError, TypeError, KeyError) as error:
        raise NotReady(
            f"{slot} names no pages to warm at /health/warm: {error or type(error).__name__}",
            hint="mend that page of the release, then run deploy.yml again",
        ) from error


def is_good(status: int, *, closed: bool) -> bool:
    """Tell whether a page that the release itself has named answers as it should. Of a shop that its environment
    closes, shoppers get a friendly 503.
    """
    return status == 200 or (closed and status == 503)


def percentile95(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.95)] if values else 0.0


def warm(
    config: ReleaseConfig, slot: str, paths: list[str], secrets: tuple[str, ...] = (), *, closed: bool = False
) -> dict[str, float | int]:
    """Ask for pages until every worker has answered and they are quick; return p95 in milliseconds, requests, workers,
    rounds.

    Raises NotReady when a page does not answer as it should (`is_good`) or the 95th percentile is above
    `warm_budget_ms` in every round. A release that does not name its workers (header X-Pasargad-Worker) is warm after
    `warm_rounds`.
    """
    wall, wanted = time.time(), units.workers_of(units.web(slot))
    seen: set[str] = set()
    asked, p95 = 0, 0.0
    for number in range(1, 3 * config.warm_rounds + 1):
        with ThreadPoolExecutor(WARM_AT_ONCE) as pool:
            answers = list(pool.map(lambda path: _ask(config, slot, path), paths))
        for path, (answer, problem) in zip(paths, answers, strict=True):
            if answer is None or not is_good(answer.status, closed=closed):
                raise NotReady(
                    f"{slot} answers {path} with {answer.status if answer else problem}",
                    hint="mend the release as the lines above show, then run deploy.yml again",
                    details={"log": slot_log(slot, since=wall - 1, secrets=secrets)},
                )
        seen |= {answer.headers[WORKER_HEADER] for answer, _ in answers if answer and WORKER_HEADER in answer.headers}
        asked += len(answers)
        p95 = percentile95([answer.milliseconds for answer, _ in answers if answer])
        everyone = len(seen) >= wanted or not seen
        if number >= config.warm_rounds and everyone and p95 <= config.warm_budget_ms:
            return {"p95_ms": round(p95, 1), "requests": asked, "workers": len(seen), "rounds": number}
    if p95 <= config.warm_budget_ms:
        # A worker that got no request in all these rounds is idle because the others are quick enough.
        return {"p95_ms": round(p95, 1), "requests": asked, "workers": len(seen), "rounds": 3 * config.warm_rounds}
    raise NotReady(
        f"{slot} is too slow when warm: p95 {p95:.0f} ms, budget {config.warm_budget_ms:.0f} ms",
        hint="compare its pages with the last release's; if this is the new normal, raise app_service_warm_budget_ms",
    )


def _ask(config: ReleaseConfig, slot: str, path: str) -> tuple[http.Answer | None, str]:
    try:
        return http.get_from_socket(config.slot_socket(slot), path, host=config.domain, timeout=20), ""
    except (OSError, HTTPException) as error:
        return None, str(error) or type(error).__name__
