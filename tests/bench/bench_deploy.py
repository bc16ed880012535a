"""Measure what a deploy costs the shoppers, beside the two common ways of doing it.

Under constant mixed load (kept-alive GET, POST with a body, slow bodies) it deploys a new release, rolls back,
deploys again and deploys with nothing to do. Then, on the same host under the same load, it does what others do:
restart in place, and rewrite the proxy's upstream and reload. The last line of its output is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.shop import Run, Shop, copy_checkout, machine
from tests.shop_load import Load, kinds

PEER_ROUNDS = 5
SETTLE_SECONDS = 3.0


@dataclass(frozen=True)
class Window:
    """One measured stretch of time: what ran in it and which requests it answered and lost."""

    name: str
    seconds: float
    answered: int
    lost: int


@dataclass
class Watch:
    """Measures stretches of time under the load."""

    load: Load
    windows: list[Window] = field(default_factory=list)

    def during(self, name: str, act: Callable[[], Run | None]) -> tuple[Run | None, Window]:
        """Run `act` with a settling time around it; return its result and what the load saw meanwhile."""
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
        """Return how many requests were answered and lost between two moments."""
        within = [second for second in self.load.seconds() if int(begin) <= second["second"] <= int(end)]
        return sum(second["answered"] for second in within), sum(second["lost"] for second in within)


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


def peers(shop: Shop, watch: Watch) -> dict[str, dict[str, object]]:
    """Do what others do, under the same load, and put everything back."""
    figures: dict[str, dict[str, object]] = {}
    windows = [watch.during(f"peer: restart in place {i + 1}", lambda: restart_in_place(shop))[1] for i in range(2)]
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
        _, window = watch.during("peer: rewrite and reload", lambda: rewrite_and_reload(shop))
    finally:
        shop.on("store1", f"cp /root/pasargad.conf.bench {site} && nginx -t -q && systemctl reload nginx").require()
    figures["rewrite_and_reload"] = {
        "lost": window.lost,
        "answered": window.answered,
        "switches": 2 * (PEER_ROUNDS // 2 + 1),
    }
    return figures


def measure(shop: Shop, *, clients: int, least_requests: int) -> dict[str, object]:
    """Deploy, roll back, deploy again and deploy nothing under load; then let the peers try."""
    shop.up()
    with tempfile.TemporaryDirectory(prefix="pasargad-bench-") as temporary:
        directory = Path(temporary)
        newer = Shop(shop.lab, checkout=second_version(directory), variables=shop.variables)
        # The artefact is built first: the bar for a code-only deploy is the wall time beside the build.
        build = newer.playbook("playbooks/build.yml").require()
        with Load(shop, directory, kinds(shop, clients=clients)) as load:
            watch, switches = Watch(load), []
            deploy, _ = watch.during("deploy of a new release", lambda: newer.deploy().require())
            switches.append(switch_milliseconds(shop))
            rollback, _ = watch.during("rollback", lambda: shop.playbook("playbooks/rollback.yml").require())
            switches.append(switch_milliseconds(shop))
            again, _ = watch.during("deploy again", lambda: newer.deploy().require())
            switches.append(switch_milliseconds(shop))
            noop, _ = watch.during("deploy with nothing to do", lambda: newer.deploy().require())
            while sum(watch.count(0, time.time())) < least_requests:
                time.sleep(1)
            ours = list(watch.windows)
            ours_answered, ours_lost = watch.count(0, time.time())
            others = peers(shop, watch)
        summary = load.summary
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
    shop = Shop(options.lab, variables={"web_proxy_unlimited_networks": [f"10.231.{options.lab}.0/24"]})
    figures = measure(shop, clients=options.clients, least_requests=options.least_requests)
    print(json.dumps(figures))
    return 0 if figures["requests_lost"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
