"""Prove that the tests of money would notice: break the shop in every named way, and see who finds it out.

    python3 -m tests.mutation.money [--sample] [--only TEXT] [--from NAME] [--stories 100] [--lanes 2]

Each mutant is one change in a scratch copy of app/. The tests of the app that was broken are asked first, then those of
the other apps that hold money, then made-up stories, until one fails. Before all that the unbroken shop must pass them
in every lane at once. Prints a line a mutant and one JSON object as its last line; exits with 1 when a mutant survives.
PostgreSQL and Redis are started for it, thrown away afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutation.mutants import MUTANTS, Mutant
from tests.services import services, stop_on_signal

ROOT = Path(__file__).resolve().parents[2]
STORY = "app/pasargad/books/tests/test_model.py"
APPS = ("payments", "orders", "promotions", "shipments", "books", "catalog")
# What has servers of its own, what ends processes, and what other runs tell: left to `make test`.
LEFT_OUT = ("payments/tests/test_second_opinion.py", "books/tests/test_crashes.py", "books/tests/test_model.py")
LONGEST = 1800
SEED = "20261"
STEPS, WHOLE_STORIES = 30, 25
# One of payments, one of stock, one of the ledger: found out soonest.
SAMPLE = ("every start asks for a new payment", "goods are not held", "what was promised is not booked")


class NothingProven(Exception):
    """The stories did not run, or the unbroken shop does not pass them."""


def scratch(directory: Path) -> Path:
    """Return a copy of app/ beside links to what its tests use of the repository."""
    shutil.copytree(ROOT / "app", directory / "app", ignore=shutil.ignore_patterns("__pycache__", "static"))
    for name in ("pyproject.toml", "roles", "module_utils", "tests"):
        (directory / name).symlink_to(ROOT / name)
    (directory / "app" / "static").symlink_to(ROOT / "app" / "static")
    return directory


def apply(mutant: Mutant, directory: Path) -> None:
    """Write a mutant into a scratch copy; raises NothingProven when its text is not there, or twice."""
    path = directory / "app" / "pasargad" / mutant.file
    text = path.read_text()
    if text.count(mutant.old) != 1:
        raise NothingProven(f"{mutant.name}: its text stands {text.count(mutant.old)} times in {mutant.file}")
    path.write_text(text.replace(mutant.old, mutant.new))


def own_redis(lane: int) -> dict[str, str]:
    """Return the addresses of Redis with databases of this lane's own: its tests count and clear."""
    names = ("REDIS_URL", "CACHE_URL", "SESSION_REDIS_URL", "LIMITS_REDIS_URL")
    return {
        name: re.sub(r"db=(\d+)$", lambda found: f"db={int(found[1]) + 3 * lane}", os.environ[name]) for name in names
    }


def noticed(directory: Path, lane: int, arguments: list[str], **told: str) -> str:
    """Run tests in a scratch copy until one fails; returns its name, or "" if none does. Raises NothingProven."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "config.settings.test",
        "DB_NAME": f"mutants{lane}",
        "PYTHONDONTWRITEBYTECODE": "1",
        **own_redis(lane),
        **told,
    }
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-rf", "-p", "no:cacheprovider", "--reuse-db"]
    command += ["--show-capture=no", "--hypothesis-profile=default", f"--hypothesis-seed={SEED}"]
    command += [f"--rootdir={directory}", "-c", str(directory / "pyproject.toml"), *arguments]
    try:
        done = subprocess.run(
            command, cwd=directory, env=environment, capture_output=True, text=True, check=False, timeout=LONGEST
        )
    except subprocess.TimeoutExpired as error:
        raise NothingProven(f"no end after {LONGEST} s: {' '.join(arguments)}") from error
    if done.returncode == 0:
        return ""
    failed = re.search(r"^FAILED .*?([\w/]+)\.py::(\S+)", done.stdout, re.MULTILINE)
    if done.returncode != 1 or failed is None:
        raise NothingProven(f"{done.stdout[-2000:]}\n{done.stderr[-1000:]}")
    oracle = re.search(r"oracle='(\w+)'", done.stdout)
    return f"{failed[1].rpartition('/')[2]}::{oracle[1] if oracle else failed[2]}"[:100]


def tested(directory: Path, lane: int, first: str) -> str:
    """Ask the tests of an app, then those of the others that hold money; returns who noticed."""
    apps = [first, *(app for app in APPS if app != first)]
    paths = [f"app/pasargad/{app}/tests" for app in apps]
    return noticed(directory, lane, [*paths, *(f"--ignore=app/pasargad/{path}" for path in LEFT_OUT)])


def told(directory: Path, lane: int, stories: int) -> str:
    """Tell stories; returns what noticed."""
    numbers = {"PASARGAD_STORIES": str(stories), "PASARGAD_STORY_STEPS": str(STEPS), "PASARGAD_STORY_SHRINK": "no"}
    return noticed(directory, lane, ["-k", "ends_well", STORY], **numbers)


def hunt(mutant: Mutant, lane: int, stories: int) -> tuple[str, str]:
    """Return which net caught a mutant (`tests` or `stories`) and what in it; "" twice if it survives."""
    with tempfile.TemporaryDirectory(prefix="pasargad-mutant-") as name:
        directory = scratch(Path(name))
        apply(mutant, directory)
        if found := tested(directory, lane, mutant.file.partition("/")[0]):
            return "tests", found
        found = told(directory, lane, stories)
        return ("stories" if found else ""), found


def whole(lane: int) -> None:
    """See that the unbroken shop passes in this lane; raises NothingProven."""
    with tempfile.TemporaryDirectory(prefix="pasargad-mutant-") as name:
        directory = scratch(Path(name))
        if found := tested(directory, lane, APPS[0]) or told(directory, lane, WHOLE_STORIES):
            raise NothingProven(f"the unbroken shop fails {found}")


def choose(only: str = "", first: str = "", sample: bool = False) -> list[Mutant]:
    """Return the mutants that are asked for; raises NothingProven when there are none."""
    names = [mutant.name for mutant in MUTANTS]
    if first and first not in names:
        raise NothingProven(f"no mutant is called {first!r}")
    begin = names.index(first) if first else 0
    chosen = [mutant for mutant in MUTANTS[begin:] if only in mutant.name and (not sample or mutant.name in SAMPLE)]
    if not chosen:
        raise NothingProven("no mutant is left of what was asked for")
    return chosen


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.mutation.money", description="Break the shop and see who notices.")
    parser.add_argument("--sample", action="store_true", help="three mutants only")
    parser.add_argument("--only", default="", help="mutants whose name holds this text")
    parser.add_argument(
        "--from", dest="first", default="", help="this mutant and those after it: a run cut off goes on"
    )
    parser.add_argument("--stories", type=int, default=100, help="how many stories a mutant may survive")
    parser.add_argument("--lanes", type=int, default=2, help="how many mutants at once")
    options = parser.parse_args()
    chosen = choose(options.only, options.first, options.sample)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop_on_signal)
    began, lanes = time.monotonic(), queue.SimpleQueue[int]()
    caught: dict[str, list[str]] = {"tests": [], "stories": [], "": []}

    def run(mutant: Mutant) -> None:
        lane, started = lanes.get(), time.monotonic()
        try:
            net, found = hunt(mutant, lane, options.stories)
        finally:
            lanes.put(lane)
        caught[net].append(mutant.name)
        words = f"killed by {found}" if found else "SURVIVED"
        print(f"{time.monotonic() - started:5.0f} s  {mutant.name:<72} {words}", flush=True)

    with services() as environment, ThreadPoolExecutor(options.lanes) as pool:
        os.environ.update(environment)
        list(pool.map(whole, range(options.lanes)))
        print(f"{time.monotonic() - began:5.0f} s  the unbroken shop passes in every lane", flush=True)
        for lane in range(options.lanes):
            lanes.put(lane)
        list(pool.map(run, chosen))
    result = {
        "mutants": len(chosen),
        "killed": len(caught["tests"]) + len(caught["stories"]),
        "by_tests": len(caught["tests"]),
        "by_stories": len(caught["stories"]),
        "survived": len(caught[""]),
        "survivors": sorted(caught[""]),
        "stories": options.stories,
        "seconds": round(time.monotonic() - began),
    }
    print(json.dumps(result))
    return 1 if caught[""] else 0


if __name__ == "__main__":
    sys.exit(main())
