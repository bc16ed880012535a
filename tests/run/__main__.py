"""Command line of the test runner: python -m tests.run [STAGE ...]."""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from tests.run.report import Counts, closing_line, failures, step_counts, summary
from tests.run.runner import Runner, StepResult
from tests.run.stages import DEFAULT_STAGES, RESULTS, ROOT, STAGES, Stage

OWN_LABS = range(100, 120)


def say(line: str) -> None:
    """Print a line at once, also into a pipe."""
    print(line, flush=True)


def report_stage(stage: Stage, results: Sequence[StepResult]) -> tuple[dict[str, Any], Counts]:
    """Say how a stage ended; returns its summary (`ok` tells whether all is well) and its counts."""
    if not stage.steps:
        say(f"  {stage.name}: FAILED: found nothing to run: {stage.missing or 'no test files'}")
        return {"stage": stage.name, "ok": False, "seconds": 0}, Counts(failed=1)
    counts = sum((step_counts(result, RESULTS / "junit") for result in results), Counts())
    if counts.skipped:
        say(f"  {stage.name}: FAILED: {counts.skipped} tests were skipped; every test runs or is removed")
    ok = not counts.skipped and not any(result.problem for result in results)
    failed = failures(results, RESULTS / "junit")
    seconds = round(max(end.began + end.seconds for end in results) - min(end.began for end in results), 1)
    say(f"{stage.name}: {'ok' if ok else 'FAILED'} ({seconds:.0f} s)")
    entry: dict[str, Any] = {"stage": stage.name, "ok": ok, "seconds": seconds, "passed": counts.passed}
    if failed:
        entry["failures"] = failed
    return entry, counts


def remove_own_labs() -> None:
    """Remove what an interrupted run left of the labs that belong to this program."""
    labs = ROOT / "module_utils"
    for number in OWN_LABS:
        command = ["/usr/bin/python3", "-m", "pasargad_lab", "down", "--lab", str(number)]
        subprocess.run(command, env={**os.environ, "PYTHONPATH": str(labs)}, check=True, capture_output=True)


def interrupted(number: int, frame: object) -> None:
    """Turn a termination signal into an exception."""
    raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the named stages, or everything."""
    parser = argparse.ArgumentParser(prog="tests.run", description=__doc__)
    parser.add_argument(
        "stages", nargs="*", metavar="STAGE", help=f"{', '.join(STAGES)} (default: {', '.join(DEFAULT_STAGES)})"
    )
    names = parser.parse_args(arguments).stages or list(DEFAULT_STAGES)
    unknown = [name for name in names if name not in STAGES]
    if unknown:
        parser.error(f"no stage {', '.join(unknown)}; stages are {', '.join(STAGES)}")
    (ROOT / ".cache").mkdir(exist_ok=True)
    with (ROOT / ".cache/test.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("tests.run: another run is under way in this tree; wait for it to end.")
            return 1
        return run_all(names)


def run_all(names: Sequence[str]) -> int:
    """Run stages in order; a failed one does not stop the next."""
    signal.signal(signal.SIGTERM, interrupted)
    needs_labs = bool({"hosts", "lab", "molecule", "e2e"} & set(names))
    if needs_labs and os.geteuid() != 0:
        say("tests.run: hosts, lab, molecule and e2e boot hosts on this machine: run them as root.")
        return 1
    shutil.rmtree(RESULTS, ignore_errors=True)
    (RESULTS / "junit").mkdir(parents=True)
    runner, started = Runner(say), time.monotonic()
    entries: list[dict[str, Any]] = []
    total, all_ok = Counts(), True

    def stage_done(stage: Stage, results: Sequence[StepResult]) -> None:
        nonlocal total, all_ok
        entry, counts = report_stage(stage, results)
        entries.append(entry)
        total, all_ok = total + counts, all_ok and entry["ok"]

    try:
        if needs_labs:
            remove_own_labs()
        stages = [STAGES[name]() for name in names]
        say(", ".join(f"{stage.name}: {len(stage.steps)} steps" for stage in stages))
        runner.run(stages, stage_done)
    except KeyboardInterrupt:
        runner.stop()
        say("tests.run: interrupted")
        all_ok = False
    finally:
        if needs_labs:
            remove_own_labs()
    seconds = time.monotonic() - started
    for entry in entries:
        for failure in entry.pop("failures", []):
            say(f"FAILED {entry['stage']}: {failure}")
    line = summary(entries, total, seconds, ok=all_ok)
    (RESULTS / "summary.json").write_text(line + "\n")
    say(closing_line(total, seconds))
    say(line)
    return 0 if all_ok else 1


if __name__ == "__main__":
    sys.exit(main())
