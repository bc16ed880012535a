"""Kill a rollback at every point of its journal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from pasargad_ops.lease import owner_process
from pasargad_ops.rollback import RollbackRequest, roll_back
from pasargad_ops.state import load_state
from tests.unit.pasargad_ops.fake_host import REPOSITORY, Artefact, Host, check_invariants, check_settled

POINTS = ["rollback:begin", "switch:decided", "switch:renamed", "switch:recorded", "rollback:done"]


def kill_rollback(host: Host, point: str) -> None:
    host.config.fault_file.write_text(json.dumps({"point": point, "action": "kill"}))
    done = subprocess.run(
        [sys.executable, "-m", "pasargad_ops", "--config", str(host.config.file), "rollback"],
        cwd=REPOSITORY,
        env={**os.environ, **host.environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, f"{point} was not reached: {done.stderr}"


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_a_killed_rollback_leaves_one_release_or_the_other(
    host: Host, release: Callable[..., Artefact], point: str
) -> None:
    one, two = release("one"), release("one-b")
    host.deploy(one)
    host.deploy(two)
    kill_rollback(host, point)
    check_invariants(host, served_before=False)
    back = load_state(host.config).active == "blue"
    assert back == (point not in ("rollback:begin",))
    if not back:
        roll_back(host.config, RollbackRequest(owner_process("ali", os.getpid())))
    host.deploy(one)
    check_settled(host, one)
