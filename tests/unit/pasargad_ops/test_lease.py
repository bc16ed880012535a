"""Who holds the fleet, and when that somebody counts as dead."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pasargad_ops.config import ReleaseConfig
from pasargad_ops.lease import (
    Owner,
    acquire,
    heartbeat,
    is_dead,
    living_processes,
    owner_process,
    read_lease,
    release_lease,
    renew,
)
from pasargad_ops.lock import held, is_held
from pasargad_ops.outcome import Locked, OperationError, Refused
from pasargad_ops.rollback import break_lock

ALI = Owner("ali", "laptop", "machine-1", "boot-1", "pid:[1]", 4711, 100)
SARA = Owner("sara", "desk", "machine-2", "boot-2", "pid:[1]", 4711, 100)


@pytest.fixture
def config(tmp_path: Path) -> ReleaseConfig:
    return ReleaseConfig(
        "shop.test", "cp311", state_dir=tmp_path / "state", run_dir=tmp_path / "run", lock_file=tmp_path / "lock"
    )


def age(config: ReleaseConfig, seconds: float) -> None:
    """Let the lease look as if nobody had renewed it for a while."""
    from pasargad_ops.files import write_json
    from pasargad_ops.lease import lease_path

    lease = read_lease(config)
    assert lease is not None
    write_json(lease_path(config), dataclasses.asdict(dataclasses.replace(lease, renewed=time.time() - seconds)))


def test_a_living_owner_is_named_with_phase_age_and_the_way_out(config: ReleaseConfig) -> None:
    acquire(config, "d1", ALI)
    renew(config, "d1", "start")
    with pytest.raises(Locked, match=r"ali on laptop is deploying \(phase start, for 0 s") as caught:
        acquire(config, "d2", SARA)
    assert "pasargad-ops break-lock d1" in caught.value.hint
    assert caught.value.details["lock"]["owner"]["pid"] == 4711


def test_each_deploy_gets_a_higher_number_and_an_older_one_is_refused(config: ReleaseConfig) -> None:
    first, _ = acquire(config, "d1", ALI)
    release_lease(config, "d1")
    second, _ = acquire(config, "d2", SARA, last_fencing=first.fencing)
    assert second.fencing == first.fencing + 1
    release_lease(config, "d2")
    with pytest.raises(Locked, match="older"):
        acquire(config, "d1", ALI, fencing=first.fencing, last_fencing=second.fencing)
    third, _ = acquire(config, "d3", ALI, fencing=9, last_fencing=second.fencing)
    assert third.fencing == 9


def test_the_same_deploy_may_ask_again_and_keeps_its_number(config: ReleaseConfig) -> None:
    first, _ = acquire(config, "d1", ALI)
    again, dead = acquire(config, "d1", ALI, last_fencing=first.fencing)
    assert (again.fencing, again.acquired, dead) == (first.fencing, first.acquired, None)


@pytest.mark.parametrize(
    ("asker", "living", "silent", "dead"),
    [
        (ALI, ("4711.100",), 500, False),  # seen alive: silence proves nothing
        (ALI, ("1.1",), 0, True),  # same boot, process gone
        (ALI, ("4711.999",), 0, True),  # the number came again for another process
        (dataclasses.replace(ALI, boot_id="boot-9", pid=1), (), 0, True),  # the controller has booted since
        (dataclasses.replace(ALI, boot_id="boot-9", machine="machine-7"), (), 0, False),  # another one of that name
        (dataclasses.replace(ALI, pid_namespace="pid:[2]", machine=""), (), 0, False),  # a container sees not all
        (dataclasses.replace(ALI, pid_namespace="pid:[2]", machine=""), (), 91, True),
        (SARA, ("4711.100",), 89, False),
        (SARA, ("4711.100",), 91, True),
    ],
)
def test_when_an_owner_counts_as_dead(
    config: ReleaseConfig, asker: Owner, living: tuple[str, ...], silent: float, dead: bool
) -> None:
    lease, _ = acquire(config, "d1", ALI)
    assert is_dead(lease, asker, living, now=lease.renewed + silent, ttl_seconds=90) is dead


def test_a_killed_process_is_seen_as_dead_at_once(config: ReleaseConfig) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    me = owner_process("ali", os.getpid())
    acquire(config, "d1", owner_process("ali", child.pid))
    with pytest.raises(Locked):
        acquire(config, "d2", me, living=living_processes())
    child.kill()
    while owner_process("ali", child.pid).started:
        time.sleep(0.01)
    _, dead = acquire(config, "d2", me, living=living_processes())
    child.wait()
    assert dead is not None and dead.deploy_id == "d1"


def test_a_deploy_that_lost_the_lease_may_do_nothing_more(config: ReleaseConfig) -> None:
    acquire(config, "d1", ALI)
    age(config, 100)
    acquire(config, "d2", SARA)
    with pytest.raises(OperationError, match="sara took over"):
        renew(config, "d1", "switch")
    assert not release_lease(config, "d1")
    release_lease(config, "d2")
    with pytest.raises(OperationError, match="ended or was broken"):
        renew(config, "d1", "switch")


def test_the_heartbeat_shows_life_and_never_brings_a_lease_back(config: ReleaseConfig) -> None:
    config = dataclasses.replace(config, lease_ttl_seconds=0.0)
    acquire(config, "d1", ALI)
    age(config, 50)
    with heartbeat(config, "d1", "expand"):
        time.sleep(1.3)
        lease = read_lease(config)
        assert lease is not None and time.time() - lease.renewed < 2 and lease.phase == "expand"
        release_lease(config, "d1")
        time.sleep(1.3)
    assert read_lease(config) is None


def test_break_lock_refuses_the_living_and_frees_from_the_dead(config: ReleaseConfig) -> None:
    acquire(config, "d1", ALI)
    with pytest.raises(Refused, match="was active 0 s ago"):
        break_lock(config, "d1")
    with pytest.raises(Refused, match="held by d1, not d7"):
        break_lock(config, "d7")
    age(config, 60)
    with held(config.lock_file, doing="phase expand of deploy d1"), pytest.raises(Locked, match="phase expand"):
        break_lock(config, "d1")
    assert break_lock(config, "d1").changed
    assert read_lease(config) is None and not break_lock(config, "d1").changed


def test_the_host_lock_names_its_holder_and_is_free_when_the_holder_is_killed(config: ReleaseConfig) -> None:
    program = (
        "import sys, time; from pathlib import Path; from pasargad_ops.lock import held\n"
        "with held(Path(sys.argv[1]), doing='phase stage of deploy d1'): print('held', flush=True); time.sleep(60)"
    )
    env = {"PYTHONPATH": str(Path(__file__).parents[3] / "module_utils")}
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(config.lock_file)], env=env, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None and child.stdout.readline() == "held\n"
    with (
        pytest.raises(Locked, match=rf"phase stage of deploy d1 is still at work .*process {child.pid}"),
        held(config.lock_file, wait_seconds=0.1),
    ):
        pass
    child.kill()
    child.wait()
    assert not is_held(config.lock_file)
