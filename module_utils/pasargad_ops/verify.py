"""Watch a release right after the switch, through the door the shoppers use."""

from __future__ import annotations

import time
from typing import Any

from . import edge_log, http, units
from .config import ReleaseConfig
from .outcome import Unhealthy

SLOWER_FACTOR = 5.0
SLOW_FLOOR_MS = 1000.0


def verify_in_public(
    config: ReleaseConfig, slot: str, release: str, paths: list[str], baseline: dict[str, Any]
) -> dict[str, Any]:
    """Probe the public path for `verify_seconds` and weigh the edge's own log; raises Unhealthy with what was seen.

    A host that is no edge is probed over the slot's socket only.
    """
    start, began = edge_log.end_of(config.access_log), time.monotonic()
    probes = 0
    while True:
        for path in paths or ["/"]:
            problem = _probe(config, slot, path)
            if problem:
                raise Unhealthy(
                    f"{release} misbehaves in public: {problem}",
                    hint=f"journalctl -u {units.web(slot)} -e; mend the release, then run deploy.yml",
                    details={"log": units.journal_tail(units.web(slot), since=time.time() - 60)},
                )
            probes += 1
            if time.monotonic() - began >= config.verify_seconds:
                break
            time.sleep(0.1)
        seen = edge_log.count(edge_log.lines_since(config.access_log, start), slot=slot)
        judge(config, release, slot, seen, baseline)
        if time.monotonic() - began >= config.verify_seconds:
            return {"probes": probes, "requests": seen.requests, "errors": seen.errors, "p95_ms": seen.p95_ms}


def _probe(config: ReleaseConfig, slot: str, path: str) -> str:
    """Ask for one page; return what is wrong with the answer, or an empty text."""
    try:
        if config.edge:
            answer = http.get_in_public(path, host=config.domain, certificate=config.certificate)
        else:
            answer = http.get_from_socket(config.slot_socket(slot), path, host=config.domain)
    except OSError as error:
        return f"{path}: {error}"
    return f"{path} answers {answer.status}" if answer.status >= 500 else ""


def judge(config: ReleaseConfig, release: str, slot: str, seen: edge_log.Count, baseline: dict[str, Any]) -> None:
    """Compare what the edge saw with what was normal before; raises Unhealthy when it is clearly worse."""
    bad = seen.errors + seen.lost
    normal = (baseline.get("errors", 0) + baseline.get("lost", 0)) / max(1, baseline.get("requests", 0))
    if seen.requests >= 20 and bad / seen.requests > max(config.verify_error_share, 2 * normal):
        raise Unhealthy(
            f"{release} answers {bad} of {seen.requests} requests with 5xx (before: {normal:.1%})",
            hint=f"journalctl -u {units.web(slot)} -e; mend the release, then run deploy.yml",
            details={"log": units.journal_tail(units.web(slot), since=time.time() - 60)},
        )
    usual = float(baseline.get("p95_ms", 0.0))
    if seen.requests >= 50 and seen.p95_ms > max(SLOW_FLOOR_MS, SLOWER_FACTOR * usual):
        raise Unhealthy(
            f"{release} is slow in public: p95 {seen.p95_ms:.0f} ms (before: {usual:.0f} ms)",
            hint="compare the two releases' pages; mend, then run deploy.yml",
        )
