"""What guard tests share: the repository's files as git knows them, and a way to run Ansible as an operator does."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def files() -> list[Path]:
    """Every file that is, or is about to be, in the repository; symbolic links are left out."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    paths = [ROOT / name for name in listing.split("\0") if name]
    return [path for path in paths if path.is_file() and not path.is_symlink()]


@pytest.fixture(scope="session")
def ansible() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run an Ansible program in a directory with nothing but the repository's own configuration."""

    def run(*argv: str, directory: Path = ROOT) -> subprocess.CompletedProcess[str]:
        kept = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
        path = f"{ROOT / '.venv/bin'}:/usr/sbin:/usr/bin:/sbin:/bin"
        environment = {**kept, "PATH": path, "ANSIBLE_STDOUT_CALLBACK": "default", "ANSIBLE_NOCOLOR": "1"}
        return subprocess.run(argv, cwd=directory, env=environment, capture_output=True, text=True, check=False)

    return run
