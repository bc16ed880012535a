"""Counts tests from JUnit files and writes the closing lines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tests.run.runner import StepResult


@dataclass(frozen=True)
class Counts:
    """Tests of one or more steps."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)


def junit_counts(path: Path) -> Counts:
    """Counts of one JUnit file; none when the step wrote none."""
    if not path.exists():
        return Counts()
    total = failed = skipped = 0
    for suite in ElementTree.parse(path).getroot().iter("testsuite"):  # noqa: S314 - written by our own pytest
        total += int(suite.get("tests", 0))
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped += int(suite.get("skipped", 0))
    return Counts(total - failed - skipped, failed, skipped)


def step_counts(result: StepResult, junit: Path) -> Counts:
    """Counts of a step: its tests, or the step itself where it is one check (a linter)."""
    if not result.step.counts_tests:
        return Counts(failed=1) if result.problem else Counts(passed=1)
    counts = junit_counts(junit / f"{result.step.name}.xml")
    # A step can fail without a failed test: it did not start, it hung, or a scenario broke before its tests.
    return counts + Counts(failed=1) if result.problem and not counts.failed else counts


def failures(results: Sequence[StepResult], junit: Path) -> list[str]:
    """A line for each failed test, or for a step that failed without one: what to look for in its log."""
    lines = []
    for result in (result for result in results if result.problem):
        named = [f"{result.step.name}: {name}" for name in _failed_tests(junit / f"{result.step.name}.xml")]
        lines += named or [f"{result.step.name}: {result.problem}"]
    return lines


def _failed_tests(path: Path) -> list[str]:
    if not path.exists():
        return []
    found = []
    for case in ElementTree.parse(path).getroot().iter("testcase"):  # noqa: S314 - written by our own pytest
        for problem in (*case.iter("failure"), *case.iter("error")):
            message = (problem.get("message") or "").partition("\n")[0]
            found.append(f"{case.get('classname')}::{case.get('name')}: {message[:200]}")
    return found


def closing_line(counts: Counts, seconds: float) -> str:
    """The line that pytest ends with."""
    words = [f"{number} {word}" for number, word in ((counts.failed, "failed"), (counts.passed, "passed")) if number]
    if counts.skipped:
        words.append(f"{counts.skipped} skipped")
    return f" {', '.join(words) or 'no tests ran'} in {seconds:.2f}s ".center(100, "=")


def summary(stages: Sequence[dict[str, Any]], counts: Counts, seconds: float, *, ok: bool) -> str:
    """The JSON object on the last line."""
    return json.dumps(
        {
            "ok": ok,
            "passed": counts.passed,
            "failed": counts.failed,
            "skipped": counts.skipped,
            "seconds": round(seconds, 1),
            "stages": list(stages),
        }
    )
