"""Fixtures of the operations: fake hosts and releases for them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pasargad_ops import shell
from tests.unit.pasargad_ops import fake_host, fake_systemd
from tests.unit.pasargad_ops.fake_host import Artefact, Host, Standing, build

LONGEST_SLEEP_SECONDS = 0.02
# What serves a slot looks for this process.
os.environ["PASARGAD_TESTS_PID"] = str(os.getpid())


@pytest.fixture
def systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let operations of this process ask the fake systemd at once, and look again sooner than on a real host."""
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, LONGEST_SLEEP_SECONDS)))
    monkeypatch.setattr(shell, "run", fake_host.run)
    monkeypatch.setattr(fake_systemd, "become", fake_host.become)
    for name in ("PATH", "FAKE_SYSTEMD", "FAKE_CONFIG", "PYTHONPATH"):
        # Hosts set these as they are entered; here they are noted, to be put back at the end.
        monkeypatch.setenv(name, os.environ.get(name, ""))


@pytest.fixture
def new_host(systemd: None, tmp_path: Path) -> Iterator[Callable[[str], Host]]:
    """Make hosts without a release that share a database; their processes end with the test."""
    made: list[Host] = []

    def make(name: str) -> Host:
        root = tmp_path / name
        root.mkdir()
        made.append(Host(root, database=tmp_path / "tiny.db"))
        made[-1].enter()
        return made[-1]

    yield make
    for host in made:
        host.end()


@pytest.fixture
def host(new_host: Callable[[str], Host]) -> Host:
    """A host without a release."""
    return new_host("h")


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Artefact]:
    """Build tiny releases, each kind once a session."""
    where = tmp_path_factory.mktemp("releases")
    built: dict[str, Artefact] = {}

    def get(name: str, **about: Any) -> Artefact:
        if name not in built:
            built[name] = build(where, name, **about)
        return built[name]

    return get


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, release: Callable[..., Artefact]) -> Iterator[Standing]:
    """What the tests of a module hand on to each other."""
    standing = Standing(lambda: tmp_path_factory.mktemp("kept"), release)
    yield standing
    standing.end()


@pytest.fixture
def standing(systemd: None, kept: Standing) -> Standing:
    """A host that serves a release: the one that the test before has left settled, else a new one."""
    kept.take()
    return kept
