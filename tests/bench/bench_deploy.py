"""Measure what a deploy costs the shoppers, beside the two common ways of doing it.

Under constant mixed load (kept-alive GET, POST with a body, slow bodies) it deploys a new release, rolls back,
deploys again and deploys with nothing to do. Then, on the same host under the same load, it does what others do:
restart in place, and rewrite the proxy's upstream and reload. The last line of its output is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.shop import DOMAIN, REPOSITORY, Run, Shop, copy_checkout, machine

PEER_ROUNDS = 5
SETTLE_SECONDS = 3.0


@dataclass(frozen=True)
class Window:
    """One measured stretch of time: what ran in it and which requests it answered and lost."""

    name: str
    seconds: float
    answered: int
    lost: int


class Load:
    """The load generator as a process of its own, so that a busy playbook cannot hide a lost request."""

    def __init__(self, shop: Shop, directory: Path, kinds: list[dict[str, object]]) -> None:
        self.timeline = directory / "timeline.jsonl"
        kinds_file = directory / "kinds.json"
        kinds_file.write_text(json.dumps(kinds))
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.bench.load",
                "--address",
                shop.address,
                "--host",
                DOMAIN,
                "--kinds",
                str(kinds_file),
                "--timeline",
                str(self.timeline),
            ],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.windows: list[Window] = []

    def during(self, name: str, act: Callable[[], Run | None]) -> tuple[Run | None, Window]:
        """Run `act` under the load, with a settling time around it; return its result and what the load saw
        meanwhile."""
        time.sleep(SETTLE_SECONDS)
        begin = time.time()
        result = act()
        seconds = time.time() - begin
        time.sleep(SETTLE_SECONDS)
        answered, lost = self.count(begin, time.time())
        window = Window(name, round(seconds, 2), answered, lost)
        self.windows.append(window)
        print(f"{name:<28} {seconds:7.2f} s   answered {answered:6d}   lost {lost}", file=sys.stderr, flush=True)
        return result, window

    def count(self, begin: float, end: float) -> tuple[int, int]:
        lines = [json.loads(line) for line in self.timeline.read_text().splitlines()] if self.timeline.exists() else []
        within = [line for line in lines if int(begin) <= line["second"] <= int(end)]
        return sum(line["answered"] for line in within), sum(line["lost"] for line in within)

    def stop(self) -> dict[str, object]:
        """End the load, let requests in flight finish, and return its summary."""
        self.process.send_signal(signal.SIGTERM)
        output, _ = self.process.communicate(timeout=60)
        return json.loads(output.splitlines()[-1])


def shop_load(shop: Shop, *, clients: int) -> list[dict[str, object]]:
    """Return the mix: two thirds page reads, the rest carts filled by POST, some of them by slow phones."""
    paths = json.loads(shop.on("store1", "pasargad-ops manage warm_urls").require().output.splitlines()[-1])
    pages = [["GET", path, ""] for path in paths]
    # A query string of its own makes the cache miss, so that pages reach the application and not only the proxy.
    uncached = [["GET", f"{path}?bench={number}", ""] for number in range(200) for path in paths[:5]]
    sku = variant_of(shop, paths)
    origin = {"Origin": f"https://{DOMAIN}", "Referer": f"https://{DOMAIN}/"}
    add = [["POST", "/cart/add/", f"variant={sku}&quantity=1&note=" + "x" * 2000]]
    return [
        {"name": "get", "clients": clients // 2, "requests": pages, "pause_seconds": 0.02},
        {"name": "get_uncached", "clients": clients // 4, "requests": uncached, "pause_seconds": 0.05},
        {"name": "post", "clients": clients // 8, "requests": add, "headers": origin, "pause_seconds": 0.05},
        {"name": "slow", "clients": clients // 8, "requests": add, "headers": origin, "slow": True},
    ]


def variant_of(shop: Shop, paths: list[str]) -> str:
    """Find a variant that the product pages offer for sale."""
    for path in paths:
        page = shop.on("store1", f"curl -sk --resolve {DOMAIN}:443:127.0.0.1 https://{DOMAIN}{path}").output
        if found := re.search(r'name="variant"[^>]*value="([^"]+)"|value="([^"]+)"[^>]*name="variant"', page):
            return found.group(1) or found.group(2)
    raise SystemExit("bench-deploy: no product page offers a variant; seed the catalogue: manage.py seed_demo")


def second_version(directory: Path) -> Path:
    """Make a checkout whose shop differs by one visible line."""
    checkout = copy_checkout(directory / "checkout")
    module = checkout / "app" / "pasargad" / "__init__.py"
    text = module.read_text() if module.exists() else ""
    module.write_text(f'{text}\nBENCH_MARK = "{time.time_ns()}"\n')
    return checkout


def switch_milliseconds(shop: Shop) -> float:
    """Return the duration of the newest switch as the host itself measured it."""
    status = shop.status()
    return float(status["last_switch_ms"])  # type: ignore[arg-type]


def restart_in_place(shop: Shop) -> Run | None:
    slot = shop.status()["active"]
    shop.on("store1", f"systemctl restart pasargad-web@{slot}").require()
    time.sleep(SETTLE_SECONDS)
    return None


def rewrite_and_reload(shop: Shop) -> Run | None:
    """Point the proxy's upstream at one slot, then the other, by rewriting its configuration and reloading it."""
    site = "$(readlink -f /etc/nginx/sites-enabled/pasargad.conf)"
    for slot in ("green", "blue") * (PEER_ROUNDS // 2 + 1):
        socket = rf"unix:/run/pasargad/{slot}/web.sock"
        rewrite = f"sed -i -E 's#unix:/run/pasargad/[a-z/.]+sock#{socket}#' {site}"
        shop.on("store1", f"{rewrite} && nginx -t -q && systemctl reload nginx").require()
        time.sleep(2.5)
    return None


def peers(shop: Shop, load: Load) -> dict[str, dict[str, object]]:
    """Do what others do, under the same load, and put everything back."""
    figures: dict[str, dict[str, object]] = {}
    windows = [load.during(f"peer: restart in place {i + 1}", lambda: restart_in_place(shop))[1] for i in range(2)]
    figures["restart_in_place"] = {
        "lost": sum(window.lost for window in windows),
        "answered": sum(window.answered for window in windows),
        "switches": len(windows),
    }
    site = "$(readlink -f /etc/nginx/sites-enabled/pasargad.conf)"
    # Both slots must serve; the one that is not active may have been retired meanwhile.
    both = "systemctl start pasargad-web@blue pasargad-web@green"
    shop.on("store1", f"{both} && cp {site} /root/pasargad.conf.bench").require()
    try:
        _, window = load.during("peer: rewrite and reload", lambda: rewrite_and_reload(shop))
    finally:
        shop.on("store1", f"cp /root/pasargad.conf.bench {site} && nginx -t -q && systemctl reload nginx").require()
    figures["rewrite_and_reload"] = {
        "lost": window.lost,
        "answered": window.answered,
        "switches": 2 * (PEER_ROUNDS // 2 + 1),
    }
    return figures


def measure(shop: Shop, *, clients: int, least_requests: int) -> dict[str, object]:
    shop.up()
    with tempfile.TemporaryDirectory(prefix="pasargad-bench-") as temporary:
        directory = Path(temporary)
        checkout = second_version(directory)
        newer = Shop(shop.lab, checkout=checkout)
        # The artefact is built first: the bar for a code-only deploy is the wall time beside the build.
        build = newer.playbook("playbooks/build.yml").require()
        load = Load(shop, directory, shop_load(shop, clients=clients))
        switches = []
        deploy, _ = load.during("deploy of a new release", lambda: newer.deploy().require())
        switches.append(switch_milliseconds(shop))
        rollback, _ = load.during("rollback", lambda: shop.playbook("playbooks/rollback.yml").require())
        switches.append(switch_milliseconds(shop))
        again, _ = load.during("deploy again", lambda: newer.deploy().require())
        switches.append(switch_milliseconds(shop))
        noop, _ = load.during("deploy with nothing to do", lambda: newer.deploy().require())
        while sum(load.count(0, time.time())) < least_requests:
            time.sleep(1)
        ours = list(load.windows)
        ours_answered, ours_lost = load.count(0, time.time())
        others = peers(shop, load)
        summary = load.stop()
    assert deploy and rollback and again and noop
    return {
        "bench": "deploy",
        "command": "make bench-deploy",
        "machine": machine(),
        "clients": clients,
        "requests_total": ours_answered + ours_lost,
        "requests_lost": ours_lost,
        "switch_ms": max(switches),
        "rollback_s": round(rollback.seconds, 2),
        "deploy_s": round(statistics.median([deploy.seconds, again.seconds]), 2),
        "deploy_all_s": [round(deploy.seconds, 2), round(again.seconds, 2)],
        "noop_s": round(noop.seconds, 2),
        "build_s": round(build.seconds, 2),
        "windows": [vars(window) for window in ours],
        "peers": others,
        "load": {key: summary[key] for key in ("answered_by_kind", "lost_by_kind", "reasons", "statuses", "p95_ms")},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lab", type=int, default=120, help="lab number to deploy to; the lab is left running")
    parser.add_argument("--clients", type=int, default=24)
    parser.add_argument("--least-requests", type=int, default=20_000)
    options = parser.parse_args()
    figures = measure(Shop(options.lab), clients=options.clients, least_requests=options.least_requests)
    print(json.dumps(figures))
    return 0 if figures["requests_lost"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
