"""Latency at a fixed rate: requests begin when they are due, whether or not the ones before were answered.

A generator that waits for answers sends less while the shop is slow, and so hides the very waits that it should
count. Here each wait is counted from the moment the request was due (as wrk2 does).
"""

from __future__ import annotations

import http.client
import math
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from tests.shop import DOMAIN

WARM_SECONDS = 2.0


class Connects(Protocol):
    """What opens connections to a shop: tests.web.Web, for one."""

    def connection(self, host: str) -> http.client.HTTPConnection: ...


@dataclass(frozen=True)
class Waits:
    """Waits in milliseconds at `rate` requests a second; `bad` counts answers that were no 200 or never came."""

    rate: float
    p50_ms: float
    p99_ms: float
    requests: int
    bad: int


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the values does not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def waits_at(web: Connects, path: str, *, rate: float, seconds: float, connections: int) -> Waits:
    """Ask for the page `rate` times a second, each time past the cache, over connections that are kept."""
    due = [number / rate for number in range(int(rate * (WARM_SECONDS + seconds)))]
    found: list[tuple[float, float]] = []
    bad = 0
    turn, guard, start = iter(enumerate(due)), threading.Lock(), time.perf_counter() + 0.5
    mark = time.time_ns()

    def client() -> None:
        nonlocal bad
        connection = web.connection(DOMAIN)
        while True:
            with guard:
                number, moment = next(turn, (-1, 0.0))
            if number < 0:
                break
            time.sleep(max(0.0, start + moment - time.perf_counter()))
            try:
                connection.request("GET", f"{path}?bench={mark}-{number}")
                answer = connection.getresponse()
                answer.read()
                well = answer.status == 200
            except (OSError, http.client.HTTPException):
                connection.close()
                well = False
            with guard:
                bad += not well
                found.append((moment, (time.perf_counter() - start - moment) * 1000))
        connection.close()

    with ThreadPoolExecutor(connections) as pool:
        for ended in [pool.submit(client) for _ in range(connections)]:
            ended.result()
    counted = [wait for moment, wait in found if moment >= WARM_SECONDS]
    return Waits(rate, percentile(counted, 0.5), percentile(counted, 0.99), len(found), bad)
