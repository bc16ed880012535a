"""Measure how fast the deployed shop serves its catalogue, beside the proxy serving a static file of the same size.

All rates are taken in one run, in rounds (static, cached, uncached, product, and again), and compared as ratios of
medians, because the machine's speed drifts. CPU and SQL for each page are counted inside the shop's own process,
without the proxy and the network. The last line of the output is one JSON object.
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

from tests.shop import DOMAIN, Shop, machine

UNIQUE = """
local n = 0
local path = "%s"
request = function()
  n = n + 1
  return wrk.format("GET", path .. "?bench=" .. os.time() .. "-" .. n .. "-" .. tostring(math.random(1, 1000000000)))
end
init = function() math.randomseed(os.time()) end
"""

# Runs inside the shop: SQL statements and CPU milliseconds of one uncached page, the median over many requests.
PAGE_COST = """
import json, statistics, time
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
client = Client(headers={'host': settings.ALLOWED_HOSTS[0], 'x-forwarded-proto': 'https'})
costs = {}
for name, path in json.loads(%r).items():
    for _ in range(5):
        assert client.get(path).status_code == 200, path
    with CaptureQueriesContext(connection) as queries:
        client.get(path)
    # Counted at once: the next request empties the log.
    sql = len(queries)
    times = []
    for _ in range(60):
        began = time.process_time()
        client.get(path)
        times.append((time.process_time() - began) * 1000)
    costs[name] = {'sql': sql, 'cpu_ms': round(statistics.median(times), 2)}
print(json.dumps(costs))
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


def page_costs(shop: Shop, pages: dict[str, str]) -> dict[str, dict[str, float]]:
    """Count SQL and CPU of each page inside the shop."""
    code = PAGE_COST % json.dumps(pages)
    quoted = code.replace("'", "'\\''")
    output = shop.on("store1", f"pasargad-ops manage shell -c '{quoted}'", timeout=300).require().output
    return json.loads(output.strip().splitlines()[-1])


def measure(shop: Shop, *, rounds: int, seconds: int, connections: int) -> dict[str, object]:
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
    costs = page_costs(shop, {"list": listing, "product": product})
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
        "cached_to_static": round(medians["list_cached"] / medians["static"], 3),
        "list_to_static": round(medians["list"] / medians["static"], 4),
        "list_cpu_ms": costs["list"]["cpu_ms"],
        "list_sql": costs["list"]["sql"],
        "product_cpu_ms": costs["product"]["cpu_ms"],
        "product_sql": costs["product"]["sql"],
        "bad": sum(rate.bad for rates in seen.values() for rate in rates),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lab", type=int, default=121, help="lab number to deploy to")
    parser.add_argument("--keep", action="store_true", help="leave the lab's hosts running")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=16)
    options = parser.parse_args()
    if not Path("/usr/bin/wrk").exists():
        raise SystemExit("bench-store: wrk is missing: apt-get install wrk")
    shop = Shop(options.lab, variables={"web_proxy_unlimited_networks": [f"10.231.{options.lab}.0/24"]})
    with shop.for_a_while(keep=options.keep):
        figures = measure(shop, rounds=options.rounds, seconds=options.seconds, connections=options.connections)
    print(json.dumps(figures))
    return 0 if figures["bad"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
