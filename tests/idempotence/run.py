"""Prove that a deploy with nothing to do does nothing, and that --check tells the truth.

First a second `deploy.yml -e pasargad_converge=full`: no task may report a change, no service may be another run than
before. Then `--check` on a changed tree (settings of Redis, nginx and the shop, and a file of the shop): it must change
nothing on the host and name the very tasks that the real run changes. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.idempotence.plays import Changed, differing, files, play, restarted, services
from tests.shop import Shop, copy_checkout, machine

FULL = ("-e", "pasargad_converge=full")
CHANGED_SETTINGS = {
    "redis_memory_max_mb": 192,
    "web_proxy_requests_burst": 91,
    "app_env_log_level": "WARNING",
}
CHANGED_FILE = "app/static/css/shop.css"
SETTINGS_FILE = "inventories/lab/group_vars/store/main.yml"


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def second_run(shop: Shop) -> dict[str, Any]:
    """Converge a host that is as it should be, and account for what happened."""
    before = services(shop)
    done, changed = play(shop, "deploy.yml", *FULL)
    again = restarted(before, services(shop))
    say(f"second run: {done.seconds:.0f} s, {len(changed)} changed, {len(again)} of {len(before)} services restarted")
    for task in changed:
        say(f"  changed    {task}")
    for name in again:
        say(f"  restarted  {name}")
    return {
        "changed": len(changed),
        "changed_tasks": [str(task) for task in changed],
        "restarted": len(again),
        "restarted_services": again,
        "services": len(before),
        "second_run_s": round(done.seconds, 1),
    }


def changed_tree(directory: Path) -> Path:
    """Make a checkout that differs in settings of several roles and in a file of the shop."""
    checkout = copy_checkout(directory / "checkout")
    settings = checkout / SETTINGS_FILE
    present = yaml.safe_load(settings.read_text())
    assert not present.keys() & CHANGED_SETTINGS.keys(), f"{SETTINGS_FILE} sets what this program wants to change"
    settings.write_text(settings.read_text() + yaml.safe_dump(CHANGED_SETTINGS))
    style = checkout / CHANGED_FILE
    style.write_text(style.read_text() + "\n/* changed */\n")
    return checkout


def check_mode(shop: Shop, put_back: Callable[[], object] | None = None) -> dict[str, Any]:
    """Foretell a change, do it, and compare; a deploy of the tree as it was puts it back afterwards."""
    with tempfile.TemporaryDirectory(prefix="pasargad-check-") as temporary:
        changed = Shop(shop.lab, release=shop.release, checkout=changed_tree(Path(temporary)))
        before = files(shop), services(shop)
        _, foretold = play(changed, "deploy.yml", "--check")
        after = files(shop), services(shop)
        touched = [*differing(before[0], after[0]), *restarted(before[1], after[1])]
        _, real = play(changed, "deploy.yml")
    put_back() if put_back else shop.deploy().require()
    return compare(foretold, real, touched)


def compare(foretold: list[Changed], real: list[Changed], touched: list[str]) -> dict[str, Any]:
    """Set what was foretold beside what was done."""
    only_foretold, only_done = sorted(set(foretold) - set(real)), sorted(set(real) - set(foretold))
    say(f"check mode: foretold {len(set(foretold))}, done {len(set(real))}, touched by --check {len(touched)}")
    for task in only_foretold:
        say(f"  only foretold  {task}")
    for task in only_done:
        say(f"  only done      {task}")
    for path in touched:
        say(f"  touched        {path}")
    return {
        "check_mode_mismatches": len(only_foretold) + len(only_done) + len(touched),
        "foretold": len(set(foretold)),
        "done": len(set(real)),
        "only_foretold": [str(task) for task in only_foretold],
        "only_done": [str(task) for task in only_done],
        "touched_by_check": touched,
    }


def measure(shop: Shop) -> dict[str, Any]:
    """Prove both promises of a deployed shop."""
    figures = second_run(shop) | check_mode(shop)
    return {"test": "idempotence", **figures, "command": "make test-idempotence", "machine": machine()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lab", type=int, default=121, help="lab number to deploy to")
    parser.add_argument("--keep", action="store_true", help="leave the lab's hosts running")
    options = parser.parse_args()
    with Shop(options.lab).for_a_while(keep=options.keep) as shop:
        figures = measure(shop)
    print(json.dumps(figures))
    return 0 if not any(figures[key] for key in ("changed", "restarted", "check_mode_mismatches")) else 1


if __name__ == "__main__":
    sys.exit(main())
