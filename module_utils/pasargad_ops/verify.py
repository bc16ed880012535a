"""Watch a release right after the switch, through the door the shoppers use."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException

from . import edge_log, http
from .config import ReleaseConfig
from .outcome import OperationError, Unhealthy
from .readiness import is_good, slot_log

SLOWER_FACTOR = 5.0
SLOW_FLOOR_MS = 1000.0
# With fewer requests than this, one bad answer would decide.
FEWEST_FOR_ERRORS = 20
FEWEST_FOR_TIMES = 50
LIVE = "/health/live"
# The proxy's own limit, which a busy machine's probes may meet, says nothing about the release.
TOO_MANY = 429


@dataclass(frozen=True)
class Watch:
    """Who is watched: the slot and its release, the slot before it, what was normal, and which pages to ask for.

    `closed` says that the environment closes the shop, so that 503 is what its pages should answer.
    """

    slot: str
    other_slot: str
    release: str
    paths: Sequence[str]
    normal: edge_log.Count
    since: edge_log.Position
    secrets: tuple[str, ...] = ()
    closed: bool = False


def verify_in_public(config: ReleaseConfig, watch: Watch) -> tuple[int, edge_log.Count]:
    """Probe the public path for `verify_seconds` and weigh the edge's own log; return the number of probes and what
    the edge saw.

    Raises Unhealthy with what was seen. A host that is no edge, or whose edge shows the maintenance page, is probed
    through its own live.sock.
    """
    began, wall, probes = time.monotonic(), time.time(), 0
    paths = [LIVE, *watch.paths]
    while True:
        problem = probe(config, paths[probes % len(paths)], watch)
        probes += 1
        seen = edge_log.count(edge_log.lines_since(config.access_log, watch.since), besides_slot=watch.other_slot)
        problem = problem or judge(judged(config, seen, watch), watch.normal, error_share=config.verify_error_share)
        if problem:
            raise Unhealthy(
                f"release {watch.release} misbehaves in public: {problem}",
                hint="mend the release as the lines above show, then run deploy.yml",
                details={"log": slot_log(watch.slot, since=wall - 5, secrets=watch.secrets)},
            )
        if time.monotonic() - began >= config.verify_seconds and probes > len(paths):
            return probes, seen
        time.sleep(min(0.1, config.verify_seconds / len(paths)))


def judged(config: ReleaseConfig, seen: edge_log.Count, watch: Watch) -> edge_log.Count:
    """Leave out what says nothing about the release: the 503 of a closed shop, and all that a shut edge answers."""
    if config.edge_is_shut:
        return edge_log.Count()
    return dataclasses.replace(seen, errors=0) if watch.closed else seen


def probe(config: ReleaseConfig, path: str, watch: Watch) -> str:
    """Ask for one page; return what is wrong with the answer, or an empty text."""
    in_public = config.edge and not config.edge_is_shut
    try:
        if in_public:
            answer = http.get_in_public(path, host=config.domain, certificate=config.certificate)
        else:
            answer = http.get_from_socket(config.live_socket, path, host=config.domain)
    except FileNotFoundError as error:
        raise OperationError(f"{error.filename} is missing", hint="run deploy.yml -e pasargad_converge=full") from error
    except (OSError, HTTPException) as error:
        return f"{path}: {error or type(error).__name__}"
    if in_public and answer.status == TOO_MANY:
        return ""
    if not is_good(answer.status, closed=watch.closed and path != LIVE):
        return f"{path} answers {answer.status}"
    return _who(answer, watch.release) if path == LIVE else ""


def _who(answer: http.Answer, release: str) -> str:
    try:
        found = json.loads(answer.body).get("release")
    except ValueError:
        return f"{LIVE} answers {answer.status} without JSON"
    return "" if found == release else f"release {found} answers instead"


def judge(seen: edge_log.Count, normal: edge_log.Count, *, error_share: float) -> str:
    """Compare what the edge saw with what was normal before; return what is clearly worse, or an empty text."""
    if seen.requests >= FEWEST_FOR_ERRORS and seen.bad_share > max(error_share, 2 * normal.bad_share):
        return f"{seen.errors + seen.lost} of {seen.requests} requests end in 5xx (before: {normal.bad_share:.1%})"
    if seen.requests >= FEWEST_FOR_TIMES and seen.p95_ms > max(SLOW_FLOOR_MS, SLOWER_FACTOR * normal.p95_ms):
        return f"95 % of its pages take up to {seen.p95_ms:.0f} ms (before: {normal.p95_ms:.0f} ms)"
    return ""
