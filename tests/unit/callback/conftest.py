"""Runs small plays on the control node itself, with the repository's configuration."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

REPO = Path(__file__).resolve().parents[3]
ANSIBLE = Path(sys.executable).parent / "ansible-playbook"

Run = Callable[..., subprocess.CompletedProcess[str]]


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a run: the repository's settings, and nothing of the caller's taste."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "NO_COLOR"))}
    return {**kept, "ANSIBLE_CONFIG": str(REPO / "ansible.cfg"), "ANSIBLE_LOCALHOST_WARNING": "False", **more}


def run_book(book: Path, *words: str, hosts: str = "localhost,", **env: str) -> subprocess.CompletedProcess[str]:
    """Run a playbook with the repository's configuration and return what came out."""
    return subprocess.run(
        [ANSIBLE, "-i", hosts, *words, book],
        env=environment(**env),
        cwd=book.parent,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def play(tmp_path: Path) -> Run:
    """Run tasks as a play on localhost and return what came out."""

    def run(
        tasks: list[dict[str, object]],
        *words: str,
        hosts: str = "localhost,",
        env: dict[str, str] | None = None,
        **keys: object,
    ) -> subprocess.CompletedProcess[str]:
        book = tmp_path / "try.yml"
        content = {"name": "Try", "hosts": "all", "connection": "local", "gather_facts": False, "tasks": tasks, **keys}
        book.write_text(yaml.safe_dump([content], sort_keys=False))
        return run_book(book, *words, hosts=hosts, **(env or {}))

    return run
