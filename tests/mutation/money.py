"""Prove that the story of the books would notice: break the shop in every named way and tell stories until one fails.

    python3 -m tests.mutation.money [--sample] [--only TEXT] [--stories 300] [--lanes 2]

Each mutant is one change in a scratch copy of app/. Prints a line a mutant and one JSON object as its last line; exits
with 1 when a mutant survives. PostgreSQL and Redis are started for it, thrown away afterwards.
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
SEED = "20261"
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


def tell(directory: Path, lane: int, *, stories: int, steps: int, seed: str = SEED) -> tuple[bool, str]:
    """Tell stories until one fails; returns whether all ended well, and what was wrong."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "config.settings.test",
        "DB_NAME": f"mutants{lane}",
        "PASARGAD_STORIES": str(stories),
        "PASARGAD_STORY_STEPS": str(steps),
        "PASARGAD_STORY_SHRINK": "no",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-k", "ends_well"]
    command += ["--hypothesis-profile=default"]
    command += ["--reuse-db", "--show-capture=no"]
    command += [f"--hypothesis-seed={seed}", f"--rootdir={directory}", "-c", str(directory / "pyproject.toml"), STORY]
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return True, ""
    errors = re.findall(r"^E +(.*(?:Error|Exception|Refused|Illegal).*)$", done.stdout, re.MULTILINE)
    if done.returncode != 1 or not errors:
        raise NothingProven(f"{done.stdout[-2000:]}\n{done.stderr[-1000:]}")
    return False, (re.findall(r"oracle='(\w+)'", done.stdout) or errors)[0][:100]


def hunt(mutant: Mutant, lane: int, *, stories: int, steps: int) -> str:
    """Return what found a mutant out, or "" if it survives."""
    with tempfile.TemporaryDirectory(prefix="pasargad-mutant-") as name:
        directory = scratch(Path(name))
        apply(mutant, directory)
        well, found = tell(directory, lane, stories=stories, steps=steps)
    return "" if well else found


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.mutation.money", description="Break the shop and tell stories.")
    parser.add_argument("--sample", action="store_true", help="three mutants only")
    parser.add_argument("--only", default="", help="mutants whose name holds this text")
    parser.add_argument("--stories", type=int, default=400, help="how many stories a mutant may survive")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--lanes", type=int, default=2, help="how many mutants at once")
    options = parser.parse_args()
    chosen = [mutant for mutant in MUTANTS if options.only in mutant.name]
    if options.sample:
        chosen = [mutant for mutant in MUTANTS if mutant.name in SAMPLE]
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop_on_signal)
    began, lanes = time.monotonic(), queue.SimpleQueue[int]()
    survived: list[str] = []

    def run(mutant: Mutant) -> None:
        lane, started = lanes.get(), time.monotonic()
        try:
            found = hunt(mutant, lane, stories=options.stories, steps=options.steps)
        finally:
            lanes.put(lane)
        survived.extend([] if found else [mutant.name])
        words = f"killed by {found}" if found else "SURVIVED"
        print(f"{time.monotonic() - started:5.0f} s  {mutant.name:<60} {words}", flush=True)

    with services() as environment:
        os.environ.update(environment)
        for lane in range(options.lanes):
            lanes.put(lane)
        with ThreadPoolExecutor(options.lanes) as pool:
            list(pool.map(run, chosen))
    result = {
        "mutants": len(chosen),
        "killed": len(chosen) - len(survived),
        "survived": len(survived),
        "survivors": sorted(survived),
        "stories": options.stories,
        "seconds": round(time.monotonic() - began),
    }
    print(json.dumps(result))
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
