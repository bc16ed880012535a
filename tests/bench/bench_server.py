"""Choose the application server and its workers by measurement: the deployed release, in turn under each candidate.

Candidates take turns, each alone on the host, round after round, and are compared by medians, because the machine's
speed drifts (tests/bench/server_room.py says how they run). Each is loaded with two pages through a private nginx, and
then with slow clients who dribble their bodies into its socket while fast ones are timed: in production the proxy takes
slow bodies in, so this shows what happens to the others when something slow does get through.

`chosen` is what the deployed slot runs; `best` is the fastest candidate of this run with which no fast client had to
wait for a slow one. The last line of the output is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.bench_store import REPORT, UNIQUE, Rate
from tests.bench.load import REQUEST_TIMEOUT_SECONDS, Kind, percentile
from tests.bench.server_room import PORT, WHEELS, Candidate, Room, candidates
from tests.bench.slow_clients import DRIBBLE_SECONDS, answers, load, shoppers
from tests.services import stop_on_signal
from tests.shop import DOMAIN, Shop, machine
from tests.shop_load import pages

# A fast client who waits for a good part of a slow body waits for the slow client, not for the machine.
SLOW_BUDGET_MS = DRIBBLE_SECONDS * 1000 / 4
WARM_SECONDS = 2


@dataclass
class Figures:
    """What one candidate showed, round by round; `slow_lost` counts requests of slow and fast clients together."""

    listing: list[Rate] = field(default_factory=list)
    product: list[Rate] = field(default_factory=list)
    slow_p50_ms: list[float] = field(default_factory=list)
    slow_p99_ms: list[float] = field(default_factory=list)
    slow_lost: int = 0
    rss_mb: list[float] = field(default_factory=list)
    pss_mb: list[float] = field(default_factory=list)

    @property
    def bad(self) -> int:
        return sum(rate.bad for rate in [*self.listing, *self.product])

    @property
    def speed(self) -> float:
        """Geometric mean of both pages' rates, so that the faster page does not weigh more."""
        rates = [statistics.median(rate.rps for rate in page) for page in (self.listing, self.product)]
        return statistics.geometric_mean([max(rate, 0.001) for rate in rates])

    @property
    def endures_slow_clients(self) -> bool:
        return statistics.median(self.slow_p99_ms) < SLOW_BUDGET_MS

    def summary(self) -> dict[str, float]:
        return {
            "list_rps": round(statistics.median(rate.rps for rate in self.listing), 1),
            "list_p95_ms": round(statistics.median(rate.p95_ms for rate in self.listing), 1),
            "product_rps": round(statistics.median(rate.rps for rate in self.product), 1),
            "product_p95_ms": round(statistics.median(rate.p95_ms for rate in self.product), 1),
            "slow_clients_p50_ms": round(statistics.median(self.slow_p50_ms), 1),
            "slow_clients_p99_ms": round(statistics.median(self.slow_p99_ms), 1),
            "rss_mb": round(statistics.median(self.rss_mb), 1),
            "pss_mb": round(statistics.median(self.pss_mb), 1),
            "bad": self.bad,
            "slow_lost": self.slow_lost,
        }


def measure_rate(room: Room, path: str, *, seconds: int, connections: int) -> Rate:
    """Load one page through the private nginx, each request with a query of its own."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(UNIQUE % path + REPORT)
        script.flush()
        enter = ["nsenter", f"--target={room.leader}", "--net", "--"]
        wrk = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script.name, "-H", f"Host: {DOMAIN}"]
        command = [*enter, *wrk, f"http://127.0.0.1:{PORT}{path}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 60)
    found = re.search(r"FIGURES (\S+) (\S+) (\S+)", done.stdout)
    if not found:
        raise SystemExit(f"bench-server: wrk printed no figures:\n{done.stdout}\n{done.stderr}")
    return Rate(float(found[1]), float(found[2]), int(float(found[3])))


@dataclass(frozen=True)
class Plan:
    """What every candidate goes through in each round."""

    listing: str
    product: str
    fast: Kind
    slow: list[Kind]
    seconds: int
    connections: int

    @property
    def most_seconds(self) -> int:
        """The time after which the host ends a candidate that nobody ended."""
        return 300 + 4 * (self.seconds + 60)

    def measure(self, room: Room, candidate: Candidate, figures: Figures) -> None:
        """Run a candidate and add one round to its figures."""
        size = self.connections
        with room.running(candidate, lambda: asyncio.run(answers(room.socket)), most_seconds=self.most_seconds) as unit:
            for path in (self.listing, self.product):
                measure_rate(room, path, seconds=WARM_SECONDS, connections=size)
            figures.listing.append(measure_rate(room, self.listing, seconds=self.seconds, connections=size))
            figures.product.append(measure_rate(room, self.product, seconds=self.seconds, connections=size))
            least = max(self.seconds, DRIBBLE_SECONDS)
            tally = asyncio.run(load(room.socket, self.fast, self.slow, seconds=least))
            memory = room.processes(unit)
        # A fast request without an answer waited at least until its client gave up.
        waits = tally.latencies_ms["fast"] + [REQUEST_TIMEOUT_SECONDS * 1000] * tally.lost["fast"]
        figures.slow_p50_ms.append(percentile(waits, 0.5))
        figures.slow_p99_ms.append(percentile(waits, 0.99))
        figures.slow_lost += sum(tally.lost.values())
        figures.rss_mb.append(memory["rss_mb"])
        figures.pss_mb.append(memory["pss_mb"])


def measure(shop: Shop, *, rounds: int, seconds: int, connections: int, slow: int, only: str) -> dict[str, object]:
    """Let every candidate have its turn in each round, and compare."""
    room = Room(shop)
    shipped = room.shipped()
    entrants = list(dict.fromkeys([shipped, *candidates(os.cpu_count() or 1)]))
    entrants = [each for each in entrants if each == shipped or re.search(only, each.name)]
    product = next(path for path in pages(shop) if path.startswith("/p/"))
    plan = Plan("/shop/", product, *shoppers(shop, product, slow=slow), seconds, connections)
    seen = {candidate: Figures() for candidate in entrants}
    with room.kept(most_seconds=rounds * len(entrants) * plan.most_seconds):
        for number in range(rounds):
            for candidate, figures in seen.items():
                plan.measure(room, candidate, figures)
                print(
                    f"round {number + 1}  {candidate.name:<14} list {figures.listing[-1].rps:7.1f} rps  "
                    f"product {figures.product[-1].rps:7.1f} rps  slow clients p99 {figures.slow_p99_ms[-1]:8.1f} ms  "
                    f"{figures.rss_mb[-1]:6.1f} MB  bad {figures.bad}  lost {figures.slow_lost}",
                    file=sys.stderr,
                    flush=True,
                )
    whole = {candidate: figures for candidate, figures in seen.items() if not figures.bad}
    enduring = {candidate: figures for candidate, figures in whole.items() if figures.endures_slow_clients}
    best = max(enduring or whole or seen, key=lambda candidate: seen[candidate].speed)
    servers = {candidate.name: figures.summary() for candidate, figures in seen.items()}
    print(table(servers), file=sys.stderr)
    return {
        "bench": "server",
        "command": "make bench-server",
        "machine": machine(),
        "rounds": rounds,
        "seconds": seconds,
        "connections": connections,
        "slow_clients": slow,
        "slow_budget_ms": SLOW_BUDGET_MS,
        "wheels": sorted(WHEELS.values()),
        "servers": servers,
        "enduring": [candidate.name for candidate in enduring],
        "best": best.name,
        "chosen": shipped.name,
        "chosen_to_best": round(seen[shipped].speed / seen[best].speed, 3),
        "chosen_endures_slow_clients": shipped in enduring,
        "chosen_bad": seen[shipped].bad,
    }


def table(servers: dict[str, dict[str, float]]) -> str:
    """Return the figures as the rows of docs/decisions/application-server.md."""
    names = ("list_rps", "list_p95_ms", "product_rps", "slow_clients_p50_ms", "slow_clients_p99_ms", "rss_mb", "pss_mb")
    return "\n".join(
        f"| {' | '.join([server, *(f'{figures[name]:g}' for name in names)])} |" for server, figures in servers.items()
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lab", type=int, default=123, help="lab number to deploy to")
    parser.add_argument("--keep", action="store_true", help="leave the lab's hosts running")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--slow-clients", type=int, default=24)
    parser.add_argument("--only", default="", help="pattern of the candidates to measure besides what is deployed")
    options = parser.parse_args()
    if not Path("/usr/bin/wrk").exists():
        raise SystemExit("bench-server: wrk is missing: apt-get install wrk")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop_on_signal)
    with Shop(options.lab).for_a_while(keep=options.keep) as shop:
        figures = measure(
            shop,
            rounds=options.rounds,
            seconds=options.seconds,
            connections=options.connections,
            slow=options.slow_clients,
            only=options.only,
        )
    print(json.dumps(figures))
    return 0 if figures["chosen_bad"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
