"""Fixtures of the operations: a fake host and releases for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.pasargad_ops.fake_host import Artefact, Host, build


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """A host without a release; its processes end with the test."""
    root = tmp_path / "h"
    root.mkdir()
    found = Host(root)
    for name, value in found.environment.items():
        monkeypatch.setenv(name, value)
    yield found
    found.end()


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
