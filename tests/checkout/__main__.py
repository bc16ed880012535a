"""Prove on a deployed shop that money is never wrong.

    python3 -m tests.checkout [--lab 124] [--only TEXT] [--seconds 45] [--keep]

Runs each scenario, lets everything settle, and compares the shop's books with the provider's. Prints a line a scenario
and one JSON object as its last line; exits with 1 when anything was wrong, or when a negative control saw nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Any

from tests.checkout import network, races
from tests.checkout.controls import CONTROLS, Control, control
from tests.checkout.lab import Figures, MoneyLab
from tests.shop import Shop, machine
from tests.web import Web, write_authorities

Scenario = Callable[[MoneyLab], list[str]]
CRASH_POINTS = ("payments.start.answered", "payments.settle.noted", "payments.webhook.applied", "orders.place.written")


def race_scenarios() -> dict[str, Scenario]:
    found: dict[str, Scenario] = {
        f"the last {stock} pieces, 50 shoppers": partial(races.last_pieces, stock=stock) for stock in (1, 3, 10)
    }
    return found | {
        "the same goods in opposite orders": races.opposite_orders,
        "a coupon for five": races.coupon_limit,
        "one customer's coupon": races.one_customer_once,
        "the same key from 20 clients": races.same_key,
        "ten clicks on pay": races.double_pay,
        "cancelled while being paid": races.cancel_against_pay,
        "expired while being paid": races.expire_against_pay,
        "refunded ten times at once": races.refund_against_refund,
    }


def fault_scenarios(seconds: float) -> dict[str, Scenario]:
    found: dict[str, Scenario] = {}
    for name, plan in network.WEBHOOK_PLANS.items():
        found[name] = partial(network.under_webhook_faults, wanted=plan, seconds=seconds)
    for name, shares in network.NETWORK_PLANS.items():
        found[name] = partial(network.through_proxy, wanted=shares, seconds=seconds)
    found["workers killed at random"] = partial(network.under_deaths, seconds=seconds)
    for point in CRASH_POINTS:
        found[f"dying at {point}"] = partial(network.at_a_crash_point, point=point, seconds=seconds)
    return found


@dataclass
class Record:
    """What all scenarios together showed."""

    scenarios: int = 0
    worst: Figures = field(default_factory=Figures)
    wrong: dict[str, list[str]] = field(default_factory=dict)
    controls: list[str] = field(default_factory=list)
    blind: list[str] = field(default_factory=list)

    def note(self, name: str, problems: list[str], figures: Figures) -> None:
        self.scenarios += 1
        self.worst.orders = max(self.worst.orders, figures.orders)
        for key in ("oversold", "double_charged", "lost_paid", "ledger_difference_minor"):
            setattr(self.worst, key, max(getattr(self.worst, key), getattr(figures, key)))
        if found := problems + figures.wrong:
            self.wrong[name] = found


def run(lab: MoneyLab, scenarios: dict[str, Scenario], record: Record) -> None:
    for name, scenario in scenarios.items():
        began = time.monotonic()
        try:
            problems = scenario(lab)
        except (AssertionError, OSError, LookupError, ValueError, TimeoutExpired) as error:
            problems = [f"nothing was proven: {type(error).__name__} {error}"]
        settling = time.monotonic()
        record.note(name, problems, lab.settle())
        words = "WRONG: " + "; ".join(record.wrong[name])[:600] if name in record.wrong else "ok"
        lab.say(f"{settling - began:5.0f} s + {time.monotonic() - settling:3.0f} s  {name:<36} {words}")


def run_controls(lab: MoneyLab, controls: list[Control], record: Record) -> None:
    for wanted in controls:
        try:
            seen = control(lab, wanted)
        except (AssertionError, OSError, LookupError, ValueError, TimeoutExpired) as error:
            lab.say(f"nothing was proven: {type(error).__name__} {error}")
            seen = []
        (record.controls if seen else record.blind).append(wanted.name)
        lab.say(f"      control  {wanted.name:<52} {'seen: ' + '; '.join(seen)[:200] if seen else 'NOT SEEN'}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.checkout", description="Prove that money is never wrong.")
    parser.add_argument("--lab", type=int, default=124, help="lab number to deploy to")
    parser.add_argument("--keep", action="store_true", help="leave the lab running")
    parser.add_argument("--deployed", action="store_true", help="the lab stands and is deployed already; it is kept")
    parser.add_argument("--only", default=[""], nargs="+", help="scenarios and controls whose names hold such a text")
    parser.add_argument("--seconds", type=float, default=45, help="how long a crowd buys under each fault")
    options = parser.parse_args()

    def chosen(name: str) -> bool:
        return any(text in name for text in options.only)

    shop, began, record = Shop(options.lab), time.monotonic(), Record()
    with tempfile.TemporaryDirectory(prefix="pasargad-checkout-") as name:
        try:
            if not options.deployed:
                shop.up()
            web = Web(shop.network, write_authorities(shop, Path(name) / "ca.pem"))
            lab = MoneyLab(shop, web, lambda line: print(line, flush=True))
            every = race_scenarios() | fault_scenarios(options.seconds)
            run(lab, {name: each for name, each in every.items() if chosen(name)}, record)
            run_controls(lab, [each for each in CONTROLS if chosen(each.name)], record)
            # The controls broke the books on purpose: they must be whole again.
            if left := lab.settle().wrong:
                record.wrong["after the controls"] = left
        finally:
            if not (options.keep or options.deployed):
                shop.down()
    result: dict[str, Any] = asdict(record.worst)
    del result["findings"]
    result |= {
        "scenarios": record.scenarios,
        "negative_controls_seen": len(record.controls),
        "negative_controls_blind": record.blind,
        "wrong": record.wrong,
        "seconds": round(time.monotonic() - began),
        "machine": machine(),
    }
    print(json.dumps(result))
    return 1 if record.wrong or record.blind else 0


if __name__ == "__main__":
    sys.exit(main())
