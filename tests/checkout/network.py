"""Faults between shop and provider, and deaths of the shop's processes, each under the load of shoppers who buy."""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pasargad_lab.lab import Lab
from tests.checkout.buyers import Buyer, NotServed
from tests.checkout.lab import MoneyLab
from tests.shop import run

PROXY_PORT, PROVIDER_PORT = 8443, 8101
PROXY = "/root/fault_proxy.py"
# So many orders each scenario must bring to the provider, or it proved nothing.
ENOUGH = 8
REDIRECT = """
table ip pasargad_faults {{
    chain pre {{
        type nat hook prerouting priority -100
        ip saddr {address} tcp dport 443 redirect to :{port}
    }}
}}
"""
NETWORK_PLANS: dict[str, dict[str, float]] = {
    "resets before the provider hears": {"reset_before": 0.3},
    "resets after the provider did it": {"reset_after": 0.3},
    "time-outs": {"timeout_before": 0.06, "timeout_after": 0.06},
    "server errors": {"error_before": 0.15, "error_after": 0.15},
    "a slow provider": {"slow": 0.5},
    "everything at once": {
        "reset_before": 0.1,
        "reset_after": 0.1,
        "error_after": 0.1,
        "timeout_after": 0.03,
        "slow": 0.2,
    },
}
WEBHOOK_PLANS: dict[str, dict[str, Any]] = {
    "doubled messages": {"effect": "duplicate", "copies": 3, "seconds": 0.2},
    "disordered messages": {"effect": "reorder", "times": 60, "seconds": 0.05},
    "lost messages": {"effect": "drop"},
    "late messages": {"effect": "delay", "seconds": 5},
}


@contextmanager
def fault_proxy(lab: MoneyLab) -> Iterator[Callable[..., dict[str, Any]]]:
    """Put the proxy between the shop and its provider; yields what sets its plan, or tells it when called without."""
    outside = Lab(lab.shop.lab).host("outside")
    source = (Path(__file__).parent / "fault_proxy.py").read_text()
    lab.shop.on("outside", f"cat > {PROXY} <<'END'\n{source}END").require()
    start = f"systemd-run --unit=fault-proxy --collect python3 {PROXY} {PROXY_PORT} {PROVIDER_PORT}"
    lab.shop.on("outside", f"{start} /etc/outside/tls.crt /etc/outside/tls.key").require()
    table = REDIRECT.format(address=lab.shop.address, port=PROXY_PORT)
    inside = ["nsenter", f"--net=/proc/{outside.pid()}/ns/net", "nft"]

    def plan(wanted: dict[str, float] | None = None) -> dict[str, Any]:
        put = "" if wanted is None else f"-X PUT -d '{json.dumps(wanted)}'"
        return json.loads(
            lab.shop.on("outside", f"curl -sk {put} https://127.0.0.1:{PROXY_PORT}/__plan").require().output
        )

    try:
        run([*inside, "-f", "-"], stdin=table).require()
        deadline = time.monotonic() + 15
        while lab.shop.on("outside", f"curl -sk https://127.0.0.1:{PROXY_PORT}/__plan").code:
            assert time.monotonic() < deadline, "the fault proxy does not answer"
            time.sleep(0.3)
        yield plan
    finally:
        run([*inside, "delete table ip pasargad_faults"])
        lab.shop.on("outside", "systemctl stop fault-proxy")


class Crowd:
    """Shoppers who buy one order after the other while the block runs; some cancel, some come back to pay."""

    def __init__(self, lab: MoneyLab, *, shoppers: int = 6) -> None:
        self.lab, self.shoppers = lab, shoppers
        self.skus = lab.goods(500, 500)
        self.bought = Counter[str]()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._shop, args=(number,)) for number in range(shoppers)]

    def __enter__(self) -> Crowd:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(180)

    def _shop(self, number: int) -> None:
        dice = random.Random(number)
        while not self._stop.is_set():
            buyer = Buyer(self.lab.web)
            goods = [(sku, dice.randint(1, 2)) for sku in dice.sample(self.skus, dice.randint(1, 2))]
            try:
                paid = buyer.buy(goods)
                if not paid and buyer.order_page and dice.random() < 0.5:
                    buyer.ask(f"{buyer.order_page}cancel/", {})
                self.bought["paid" if paid else "not paid"] += 1
                time.sleep(0 if paid else 0.3)
            except (OSError, NotServed, KeyError, Exception) as error:
                self.bought[type(error).__name__] += 1
                time.sleep(0.3)


def under_network_faults(
    lab: MoneyLab, plan: Callable[..., dict[str, Any]], wanted: dict[str, float], *, seconds: float
) -> list[str]:
    """Let a crowd buy while the network breaks in a named way."""
    plan(wanted)
    with Crowd(lab) as crowd:
        time.sleep(seconds)
    struck = plan()["struck"]
    plan({})
    lab.say(f"    bought: {dict(crowd.bought)}; requests: {struck}")
    missed = [name for name in wanted if not struck.get(name)]
    return ([f"no request met: {missed}"] if missed else []) + too_few(crowd)


def through_proxy(lab: MoneyLab, wanted: dict[str, float], *, seconds: float) -> list[str]:
    """The same, with a proxy of its own."""
    with fault_proxy(lab) as plan:
        return under_network_faults(lab, plan, wanted, seconds=seconds)


def under_webhook_faults(lab: MoneyLab, wanted: dict[str, Any], *, seconds: float) -> list[str]:
    """Let a crowd buy while the provider's messages come wrong."""
    lab.control("POST", "faults", {"target": "webhook", "match": "*", "times": None, **wanted})
    try:
        with Crowd(lab) as crowd:
            time.sleep(seconds)
    finally:
        lab.control("DELETE", "faults")
    lab.say(f"    bought: {dict(crowd.bought)}")
    return too_few(crowd)


def under_deaths(lab: MoneyLab, *, seconds: float) -> list[str]:
    """Kill web and background workers at random, without a goodbye, while a crowd buys."""
    slot, dice, killed = str(lab.shop.status()["active"]), random.Random(7), Counter[str]()
    units = itertools.cycle(["web", "worker", "web"])
    with Crowd(lab) as crowd:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            unit = next(units)
            # One of the unit's processes; the manager of the web workers too, now and then.
            command = f"systemctl show -p ControlGroup --value pasargad-{unit}@{slot}"
            done = lab.shop.on("store1", f"kill -9 $(shuf -n1 /sys/fs/cgroup$({command})/cgroup.procs)")
            killed[unit] += done.code == 0
            # A killed manager takes some seconds to be back; without any shop, nothing is under way that could be lost.
            time.sleep(dice.uniform(2.0, 5.0))
    lab.say(f"    bought: {dict(crowd.bought)}; killed: {dict(killed)}")
    return too_few(crowd) + ([f"killed only {dict(killed)}"] if not (killed["web"] and killed["worker"]) else [])


def at_a_crash_point(lab: MoneyLab, point: str, *, seconds: float) -> list[str]:
    """Let the shop's processes die at a labelled point, each time they come to it, while a crowd buys."""
    slot = str(lab.shop.status()["active"])
    for unit in ("web", "worker"):
        drop_in = f"/run/systemd/system/pasargad-{unit}@{slot}.service.d"
        text = f"[Service]\\nEnvironment=PASARGAD_FAULT={point}:5 PASARGAD_FAULTS_ALLOWED=yes\\n"
        lab.shop.on("store1", f"mkdir -p {drop_in}; printf '{text}' > {drop_in}/fault.conf").require()
    lab.shop.on("store1", "systemctl daemon-reload").require()
    try:
        lab.restart(slot)
        since = lab.shop.on("store1", "date +%s").require().output.strip()
        with Crowd(lab) as crowd:
            time.sleep(seconds)
        journal = f"journalctl --since @{since} --no-pager | grep -c 'killed by a planned fault'"
        deaths = int(lab.shop.on("store1", journal).output.splitlines()[-1])
    finally:
        lab.shop.on("store1", f"rm -rf /run/systemd/system/pasargad-*@{slot}.service.d; systemctl daemon-reload")
        lab.restart(slot)
    lab.say(f"    bought: {dict(crowd.bought)}; died {deaths} times at {point}")
    return too_few(crowd) + ([] if deaths else [f"no process died at {point}"])


def too_few(crowd: Crowd) -> list[str]:
    return (
        [] if crowd.bought["paid"] >= ENOUGH else [f"only {crowd.bought['paid']} orders were paid: nothing is proven"]
    )
