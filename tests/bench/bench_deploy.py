"""Measure what a deploy costs the shoppers, beside the two common ways of doing it.

Under constant mixed load (kept-alive GET, POST with a body, slow bodies) it deploys a new release, rolls back,
deploys another one and deploys with nothing to do, in rounds until enough requests have met an operation. Then, on the
same host under the same load, it does what others do: restart in place, and rewrite the proxy's upstream and reload.
The last line of its output is one JSON object.
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
# A round has three switches. The clients leave room for the deploy, so one round is too short for all requests.
MOST_ROUNDS = 4


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


def another_version(directory: Path) -> Path:
    """Make a checkout whose shop differs by one visible line."""
    checkout = copy_checkout(directory)
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


def newer_shop(shop: Shop, directory: Path, number: int) -> tuple[Shop, float]:
    """Return the same lab, deployed to from a checkout with a version of its own, and how long its artefact took.

    The artefact is built beside the measurement: the bar for a code-only deploy is the wall time without the build.
    """
    newer = Shop(shop.lab, checkout=another_version(directory / str(number)), variables=shop.variables)
    return newer, newer.playbook("playbooks/build.yml").require().seconds


@dataclass
class Times:
    """Wall seconds from Enter to prompt, and what the host measured of each switch."""

    deploy: list[float] = field(default_factory=list)
    rollback: list[float] = field(default_factory=list)
    nothing: list[float] = field(default_factory=list)
    switch_ms: list[float] = field(default_factory=list)


def measure_round(first: Shop, second: Shop, watch: Watch, times: Times) -> None:
    """Deploy a version, go back, deploy another one, and deploy that again: the slot is started anew for each."""

    def timed(name: str, seconds: list[float], act: Callable[[], Run]) -> None:
        run, _ = watch.during(name, lambda: act().require())
        assert run
        seconds.append(run.seconds)

    timed("deploy of a new release", times.deploy, first.deploy)
    times.switch_ms.append(switch_milliseconds(first))
    timed("rollback", times.rollback, lambda: first.playbook("playbooks/rollback.yml"))
    times.switch_ms.append(switch_milliseconds(first))
    timed("deploy of another one", times.deploy, second.deploy)
    times.switch_ms.append(switch_milliseconds(first))
    timed("deploy with nothing to do", times.nothing, second.deploy)


def measure(shop: Shop, *, clients: int, least_requests: int) -> dict[str, object]:
    """Deploy and roll back under load until enough requests have met an operation; then let the peers try."""
    with tempfile.TemporaryDirectory(prefix="pasargad-bench-") as temporary:
        directory = Path(temporary)
        versions = [newer_shop(shop, directory, number) for number in range(2 * MOST_ROUNDS)]
        with Load(shop, directory, kinds(shop, clients=clients)) as load:
            watch, times, rounds = Watch(load), Times(), 0
            while rounds < MOST_ROUNDS and sum(window.answered for window in watch.windows) < least_requests:
                (first, _), (second, _) = versions[2 * rounds : 2 * rounds + 2]
                measure_round(first, second, watch, times)
                rounds += 1
            ours = list(watch.windows)
            answered, lost = watch.count(0, time.time())
            others = peers(shop, watch)
        summary = load.summary
    return {
        "bench": "deploy",
        "command": "make bench-deploy",
        "machine": machine(),
        "clients": clients,
        "rounds": rounds,
        "requests_total": answered + lost,
        "requests_lost": lost,
        "switch_ms": max(times.switch_ms),
        "rollback_s": round(statistics.median(times.rollback), 2),
        "deploy_s": round(statistics.median(times.deploy), 2),
        "noop_s": round(statistics.median(times.nothing), 2),
        "all_s": {
            name: [round(each, 2) for each in getattr(times, name)] for name in ("deploy", "rollback", "nothing")
        },
        "build_s": round(statistics.median(seconds for _, seconds in versions), 2),
        "windows": [vars(window) for window in ours],
        "peers": others,
        "load": {key: summary[key] for key in ("answered_by_kind", "lost_by_kind", "reasons", "statuses", "p95_ms")},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lab", type=int, default=120, help="lab number to deploy to")
    parser.add_argument("--keep", action="store_true", help="leave the lab's hosts running")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--least-requests", type=int, default=20_000)
    options = parser.parse_args()
    shop = Shop(options.lab, variables={"web_proxy_unlimited_networks": [f"10.231.{options.lab}.0/24"]})
    with shop.for_a_while(keep=options.keep):
        figures = measure(shop, clients=options.clients, least_requests=options.least_requests)
    print(json.dumps(figures))
    return 0 if figures["requests_lost"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
