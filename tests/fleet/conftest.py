"""One deployed fleet for all its tests, and the figures they leave behind."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fleet.fleet import Fleet
from tests.shop import REPOSITORY, machine
from tests.web import write_authorities

LAB = int(os.environ.get("PASARGAD_FLEET_LAB", "103"))
FIGURES = REPOSITORY / "test-results" / "fleet.json"


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    """Two web hosts and a database host, deployed by the operator's own commands; PASARGAD_FLEET_KEEP leaves them."""
    deployed = Fleet(LAB)
    with deployed.for_a_while(keep=bool(os.environ.get("PASARGAD_FLEET_KEEP"))):
        yield deployed


@pytest.fixture(scope="session")
def authorities(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the authorities that signed the lab's certificates."""
    return write_authorities(fleet, tmp_path_factory.mktemp("authorities") / "ca.pem")


@pytest.fixture(scope="session")
def figures() -> Iterator[dict[str, Any]]:
    """Collect what the tests measured; `make test-fleet` prints it as its last line."""
    found: dict[str, Any] = {"test": "fleet", "command": "make test-fleet", "machine": machine()}
    FIGURES.unlink(missing_ok=True)
    yield found
    FIGURES.parent.mkdir(exist_ok=True)
    FIGURES.write_text(json.dumps(found, sort_keys=True) + "\n")
