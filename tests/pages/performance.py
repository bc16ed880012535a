"""Lighthouse as it judges phones: a slow network and a slow processor, simulated."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .findings import Finding
from .tools import CHROMIUM

CATEGORIES = ("performance", "accessibility", "best-practices", "seo")
LEAST = 95
RUN_SECONDS = 240
# A busy machine makes one run slow; three runs in a row are the page's own doing.
RUNS = 3


@dataclass(frozen=True)
class Score:
    """A page's points by category, out of 100, and the audits that took some."""

    page: str
    points: dict[str, int]
    failed: dict[str, list[str]]

    def findings(self) -> Iterator[Finding]:
        for name, points in self.points.items():
            if points < LEAST:
                why = "; ".join(self.failed[name])
                yield Finding(self.page, f"lighthouse {name}", f"{points} points, wanted {LEAST}: {why}")


def judge(page: str, url: str, *, port: int, lighthouse: Path, directory: Path, hidden: bool) -> Score:
    """Judge a page in the browser that listens on `port`; below the mark, the median of three runs counts.

    A page that is kept from search engines on purpose is not blamed for it.
    """
    more = [f"--port={port}", "--disable-storage-reset", *(["--skip-audits=is-crawlable"] if hidden else [])]
    runs = [run_once(page, url, more, lighthouse, directory)]
    while min(runs[-1].points.values()) < LEAST and len(runs) < RUNS:
        runs.append(run_once(page, url, more, lighthouse, directory))
    if len(runs) == RUNS:
        points = {name: int(statistics.median(run.points[name] for run in runs)) for name in CATEGORIES}
        return Score(page, points, runs[-1].failed)
    return runs[-1]


def run_once(page: str, url: str, more: list[str], lighthouse: Path, directory: Path) -> Score:
    """Run Lighthouse once; its whole report is left in the directory."""
    report = directory / f"lighthouse-{page}.json"
    command = [
        "node", str(lighthouse), url, "--output=json", f"--output-path={report}", "--quiet", "--form-factor=mobile",
        f"--only-categories={','.join(CATEGORIES)}", "--no-enable-error-reporting", *more,
    ]  # fmt: skip
    environment = {**os.environ, "CI": "1", "CHROME_PATH": str(CHROMIUM)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_SECONDS, check=False, env=environment)
    if done.returncode != 0:
        raise RuntimeError(f"Lighthouse failed on {url}:\n{(done.stdout + done.stderr)[-2000:]}")
    told: dict[str, Any] = json.loads(report.read_text())
    if told.get("runtimeError"):
        raise RuntimeError(f"Lighthouse failed on {url}: {told['runtimeError']}")
    points = {name: round(100 * (told["categories"][name]["score"] or 0)) for name in CATEGORIES}
    return Score(page, points, {name: _failed(told, name) for name in CATEGORIES})


def _failed(told: dict[str, Any], category: str) -> list[str]:
    found = []
    for reference in told["categories"][category]["auditRefs"]:
        audit = told["audits"][reference["id"]]
        if reference["weight"] and audit["score"] is not None and audit["score"] < 0.9:
            found.append(f"{audit['id']} {audit.get('displayValue', '')}".strip())
    return found
