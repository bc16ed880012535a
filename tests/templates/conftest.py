"""Environments shared by the tests of this directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.environments import Environments


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where environments are kept that the real playbook made: most tests begin with a copy of one."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def environments(tmp_path: Path, kept: Path) -> Environments:
    """An empty place for environments."""
    return Environments(tmp_path, kept)


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory, kept: Path) -> Environments:
    """The lab, the staging and the production inventory with generated vaults; not to be changed."""
    made = Environments(tmp_path_factory.mktemp("environments"), kept)
    for name in ("lab", "staging"):
        made.complete(name)
    made.complete("production", "live")
    return made
