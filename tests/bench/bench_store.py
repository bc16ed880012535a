"""Measure how fast the deployed shop serves its catalogue, beside the proxy serving a static file of the same size.

All rates are taken in one run, in rounds (static, cached, uncached, product, and again), and compared within a round,
because the machine's speed drifts. CPU and SQL of each page are counted inside the shop's own process, with
the demo's few products and again with many. The last line of the output is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.bench.open_loop import Waits, waits_at
from tests.bench.store_costs import checkout_costs, fill_catalogue, page_costs
from tests.shop import DOMAIN, Shop, machine
from tests.shop_load import query
from tests.web import Web, write_authorities

HALF_LOAD_SECONDS = 20
HALF_LOAD_ROUNDS = 3

UNIQUE = """
local n = 0
local path = "%s"
request = function()
  n = n + 1
  return wrk.format("GET", path .. "?bench=" .. os.time() .. "-" .. n .. "-" .. tostring(math.random(1, 1000000000)))
end
init = function() math.randomseed(os.time()) end
"""


@dataclass(frozen=True)
class Rate:
    """One round of wrk against one path: requests a second, 95th percentile in milliseconds, answers that were no
    200."""

    rps: float
    p95_ms: float
    bad: int


def with_name(shop: Shop, command: list[str]) -> list[str]:
    """Return the command in a mount namespace of its own where the shop's name leads to the lab: wrk cannot be told an
    address beside the name, and the edge answers to nothing but its name."""
    hosts = f"echo '{shop.address} {DOMAIN}' > /mnt/hosts && mount --bind /mnt/hosts /etc/hosts"
    return ["unshare", "--mount", "sh", "-ec", f'mount -t tmpfs none /mnt; {hosts}; exec "$@"', "sh", *command]


def measure_rate(shop: Shop, path: str, *, seconds: int, connections: int, unique: bool) -> Rate:
    """Load one path for some seconds, each request with a query of its own when `unique`, so that no cache can
    answer."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write((UNIQUE % path if unique else "") + REPORT)
        script.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script.name, f"https://{DOMAIN}{path}"]
        done = subprocess.run(
            with_name(shop, command),
            capture_output=True,
            text=True,
            check=True,
            timeout=seconds + 60,
        )
    found = re.search(r"FIGURES (\S+) (\S+) (\S+)", done.stdout)
    if not found:
        raise SystemExit(f"bench-store: wrk printed no figures:\n{done.stdout}\n{done.stderr}")
    return Rate(float(found[1]), float(found[2]), int(float(found[3])))


REPORT = """
done = function(summary, latency)
  local bad = summary.errors.status + summary.errors.read + summary.errors.connect + summary.errors.timeout
  print("FIGURES " .. summary.requests / (summary.duration / 1e6) .. " " .. latency:percentile(95) / 1000 .. " " .. bad)
end
"""


def place_static_file(shop: Shop, size: int) -> str:
    """Put a file of the list page's size where the proxy serves hashed files, without a compressed copy; return its
    path."""
    shop.on(
        "store1", f"head -c {size} /dev/urandom | base64 -w0 | head -c {size} > /srv/pasargad/static/bench.txt"
    ).require()
    return "/static/bench.txt"


def measure(shop: Shop, *, rounds: int, seconds: int, connections: int, products: int) -> dict[str, object]:
    """Measure rates, waits at half load, and costs, then the costs again with so many products on the shelves."""
    paths = shop.paths_to_warm()
    listing, product = "/shop/", next(path for path in paths if path.startswith("/p/"))
    size = int(
        shop.on(
            "store1",
            f"curl -sk -o /dev/null -w '%{{size_download}}' --resolve {DOMAIN}:443:127.0.0.1 https://{DOMAIN}{listing}",
        )
        .require()
        .output.strip()
    )
    static = place_static_file(shop, size)
    targets = {
        "static": (static, False),
        "list_cached": (listing, False),
        "list": (listing, True),
        "product": (product, True),
    }
    seen: dict[str, list[Rate]] = {name: [] for name in targets}
    for number in range(rounds):
        for name, (path, unique) in targets.items():
            rate = measure_rate(shop, path, seconds=seconds, connections=connections, unique=unique)
            seen[name].append(rate)
            print(
                f"round {number + 1}  {name:<12} {rate.rps:9.1f} rps  p95 {rate.p95_ms:8.1f} ms  bad {rate.bad}",
                file=sys.stderr,
            )
    shop.on("store1", f"rm -f /srv/pasargad{static}").require()
    medians = {name: statistics.median(rate.rps for rate in rates) for name, rates in seen.items()}
    half = waits(shop, listing, rate=medians["list"] / 2, connections=connections)
    few = int(query(shop, "SELECT count(*) FROM catalog_product WHERE state = 'published'")[0][0])
    checkout = checkout_costs(shop)
    costs = page_costs(shop, {"list": listing, "product": product})
    print(f"{few} products  {costs}; filling the shelves", file=sys.stderr)
    many = fill_catalogue(shop, products)
    costs_of_many = page_costs(shop, {"list": listing, "product": product})
    print(f"{many} products  {costs_of_many}", file=sys.stderr)
    return {
        "bench": "store",
        "command": "make bench-store",
        "machine": machine(),
        "rounds": rounds,
        "seconds": seconds,
        "connections": connections,
        "list_bytes": size,
        **{f"{name}_rps": round(value, 1) for name, value in medians.items()},
        **{
            f"{name}_p95_ms": round(statistics.median(rate.p95_ms for rate in rates), 1) for name, rates in seen.items()
        },
        "cached_to_static": round(ratio(seen, "list_cached"), 3),
        "list_to_static": round(ratio(seen, "list"), 4),
        "list_cpu_ms": costs["list"]["cpu_ms"],
        "list_sql": costs["list"]["sql"],
        "product_cpu_ms": costs["product"]["cpu_ms"],
        "product_sql": costs["product"]["sql"],
        "checkout_sql": checkout["place"],
        "checkout_request_sql": checkout["request"],
        "half_load_rps": round(half.rate, 1),
        "half_load_p50_ms": round(half.p50_ms, 1),
        "half_load_p99_ms": round(half.p99_ms, 1),
        "p99_to_p50": round(half.p99_ms / half.p50_ms, 2),
        "products": [few, many],
        "sql_at_100k": {page: cost["sql"] for page, cost in costs_of_many.items()},
        "cpu_ms_at_100k": {page: cost["cpu_ms"] for page, cost in costs_of_many.items()},
        "cpu_growth": {
            page: round(cost["cpu_ms"] / cost["loop_ms"] / (costs[page]["cpu_ms"] / costs[page]["loop_ms"]), 2)
            for page, cost in costs_of_many.items()
        },
        "wall_ms": {page: [costs[page]["ms"], cost["ms"]] for page, cost in costs_of_many.items()},
        "bad": half.bad + sum(rate.bad for rates in seen.values() for rate in rates),
    }


def ratio(seen: dict[str, list[Rate]], name: str) -> float:
    """Return the median of each round's rate beside the static file of the same round: the machine drifts between."""
    return statistics.median(rate.rps / static.rps for rate, static in zip(seen[name], seen["static"], strict=True))


def waits(shop: Shop, path: str, *, rate: float, connections: int) -> Waits:
    """Ask for the page at this rate, several times; returns the run in the middle by the ratio of its percentiles."""
    with tempfile.TemporaryDirectory() as directory:
        web = Web(shop.network, write_authorities(shop, Path(directory) / "ca.pem"))
        runs = [
            waits_at(web, path, rate=rate, seconds=HALF_LOAD_SECONDS, connections=connections)
            for _ in range(HALF_LOAD_ROUNDS)
        ]
    for run in runs:
        print(f"half load {run.rate:.1f} rps  p50 {run.p50_ms:.1f} ms  p99 {run.p99_ms:.1f} ms", file=sys.stderr)
    return sorted(runs, key=lambda run: run.p99_ms / run.p50_ms)[HALF_LOAD_ROUNDS // 2]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lab", type=int, default=121, help="lab number to deploy to")
    parser.add_argument("--keep", action="store_true", help="leave the lab's hosts running")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--products", type=int, default=100_000, help="how many the second count of costs has")
    options = parser.parse_args()
    if not Path("/usr/bin/wrk").exists():
        raise SystemExit("bench-store: wrk is missing: apt-get install wrk")
    shop = Shop(options.lab, variables={"web_proxy_unlimited_networks": [f"10.231.{options.lab}.0/24"]})
    with shop.for_a_while(keep=options.keep):
        figures = measure(
            shop,
            rounds=options.rounds,
            seconds=options.seconds,
            connections=options.connections,
            products=options.products,
        )
    print(json.dumps(figures))
    return 0 if figures["bad"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
