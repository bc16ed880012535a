"""Boots, reboots, power-cuts, copies and removes real hosts. Needs root; takes about half a minute."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pasargad_lab import processes
from pasargad_lab.__main__ import ssh_argv
from pasargad_lab.errors import LabError
from pasargad_lab.lab import Lab
from pasargad_lab.shell import run, wait_until

pytestmark = pytest.mark.lab
NUMBER = int(os.environ.get("PASARGAD_LAB_TEST_NUMBER", "117"))


@pytest.fixture
def lab() -> Iterator[Lab]:
    lab = Lab(NUMBER)
    lab.down()
    yield lab
    lab.down()


def inside(lab: Lab, host: str, *command: str) -> str:
    """Run a command over SSH, as Ansible would, and return what it printed."""
    result = subprocess.run(ssh_argv(lab, host, list(command)), capture_output=True, text=True, check=True, timeout=60)
    return result.stdout.strip()


def traces(lab: Lab) -> list[str]:
    """Everything that the lab has on this machine."""
    found = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f"/labs/{lab.number}/" in line]
    found += [link.name for link in Path("/sys/class/net").iterdir() if f"pplab{lab.number}" == link.name]
    found += [link.name for link in Path("/sys/class/net").iterdir() if link.name.startswith(f"vb-pp{lab.number}-")]
    found += [
        line for line in run(["nft", "list", "tables"]).stdout.splitlines() if f"pplab{lab.number}" in line.split()
    ]
    found += [str(pid) for pid in processes.supervisors(lab.names.machine("store1"))]
    found += [str(path) for path in (lab.paths.lab(lab.number),) if path.exists()]
    return found


def test_a_host_lives_and_leaves_no_trace(lab: Lab) -> None:
    assert lab.up(["store1"])
    assert not lab.up(["store1"]), "a second `up` must find nothing to do"
    assert inside(lab, "store1", "cat", "/proc/1/comm") == "systemd"
    first_boot = inside(lab, "store1", "cat", "/proc/sys/kernel/random/boot_id")

    leader = lab.host("store1").pid()
    inside(lab, "store1", "systemd-run --quiet --on-active=100ms --timer-property=AccuracySec=1ms systemctl reboot")
    assert wait_until(lambda: lab.host("store1").pid() not in (leader, None), 30)
    lab.up(["store1"])
    assert inside(lab, "store1", "cat", "/proc/sys/kernel/random/boot_id") != first_boot

    assert traces(lab)
    assert lab.down()
    assert traces(lab) == []
    assert not lab.down(), "a second `down` must find nothing to do"


def test_power_loss_keeps_the_disk(lab: Lab) -> None:
    lab.up(["store1"])
    inside(lab, "store1", "echo kept >/root/file; sync; systemd-run --quiet --unit=witness sleep 1000")
    lab.kill(["store1"])
    assert lab.host("store1").pid() is None
    with pytest.raises(LabError, match="is off"):
        lab.host("store1").execute(["true"])
    lab.start(["store1"])
    assert inside(lab, "store1", "cat", "/root/file") == "kept"
    assert inside(lab, "store1", "systemctl is-active witness || true") == "inactive"


@pytest.mark.parametrize("victim", ["supervisors", "leader"])
def test_down_cleans_up_after_kill_9(lab: Lab, victim: str) -> None:
    lab.up(["store1"])
    host = lab.host("store1")
    pids = processes.supervisors(host.machine) if victim == "supervisors" else [host.pid()]
    assert pids
    for pid in pids:
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    lab.down()
    assert traces(lab) == []


def test_a_link_that_a_dead_host_left_is_in_nobodys_way(lab: Lab) -> None:
    link = processes.link_of(lab.host("store1").machine)
    lab.up(["store1"])
    lab.kill(["store1"])
    run(["ip", "link", "add", link, "type", "veth", "peer", "name", f"left{NUMBER}"])
    lab.start(["store1"])
    assert inside(lab, "store1", "hostname") == "store1"
    lab.kill(["store1"])
    assert traces(lab) != []
    lab.down()
    assert traces(lab) == []


def test_concurrent_ups_make_one_host(lab: Lab) -> None:
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: Lab(NUMBER).up(["store1"]), range(4)))
    assert sorted(results) == [False, False, False, True]
    assert inside(lab, "store1", "hostname") == "store1"


def test_hosts_reach_each_other_and_debian(lab: Lab) -> None:
    lab.up(["store1", "node13"])
    assert inside(lab, "store1", "getent", "hosts", "node13").startswith(f"10.231.{NUMBER}.62")
    banner = "exec 3<>/dev/tcp/node13/22; read -r line <&3; echo $line"
    assert inside(lab, "store1", f"bash -c '{banner}'").startswith("SSH-2.0")
    inside(lab, "node13", "apt-get", "update", "--quiet")


def test_a_layer_carries_new_hosts(lab: Lab) -> None:
    layer = f"test-{NUMBER}"
    lab.up(["store1"])
    inside(lab, "store1", "echo layered >/root/file; rm /etc/debian_version")
    lab.snapshot("store1", layer, replace=True)
    assert inside(lab, "store1", "cat", "/root/file") == "layered", "the host runs again after a snapshot"
    lab.up(["spare1"], layer=layer)
    assert inside(lab, "spare1", "cat", "/root/file") == "layered"
    assert inside(lab, "spare1", "ls /etc/debian_version 2>&1 || true").endswith("No such file or directory")
    assert inside(lab, "spare1", "cat", "/etc/machine-id") != inside(lab, "store1", "cat", "/etc/machine-id")
    with pytest.raises(LabError, match="carries a host"):
        lab.snapshot("store1", layer, replace=True)
    lab.down(["spare1"])
    lab.remove_layer(layer)


def test_a_host_that_cannot_boot_shows_its_console(lab: Lab) -> None:
    lab.up(["store1"])
    lab.stop(["store1"])
    host = lab.host("store1")
    (host.root / "lib/systemd/systemd").unlink()
    with pytest.raises(LabError, match=r"(?s)ended while it booted.*console"):
        lab.start(["store1"])
