"""A lab host behaves like a machine of its own."""

from __future__ import annotations

import pytest
from testinfra.host import Host

RELEASES = {"node12": "12", "node13": "13"}


def test_release_follows_the_name(host: Host) -> None:
    assert host.system_info.release.startswith(RELEASES[host.check_output("hostname")])


def test_systemd_runs_and_nothing_failed(host: Host) -> None:
    assert host.check_output("cat /proc/1/comm") == "systemd"
    assert host.check_output("systemctl --failed --no-legend") == ""


def test_other_hosts_have_names(host: Host) -> None:
    address = host.check_output("getent ahostsv4 s3.outside.test | head -n 1")
    assert address.startswith("10.231.")
    assert ".50 " in address


def test_the_lab_authority_is_trusted(host: Host) -> None:
    bundle = host.file("/etc/ssl/certs/ca-certificates.crt").content_string
    assert host.file("/usr/local/share/ca-certificates/pasargad-lab.crt").content_string.strip() in bundle


def test_packages_come_from_debian(host: Host) -> None:
    result = host.run("apt-get update --quiet")
    assert result.rc == 0, result.stderr


@pytest.mark.parametrize("command", ["python3", "nft", "zstd"])
def test_base_tools_are_there(host: Host, command: str) -> None:
    assert host.exists(command)


def test_converge_saw_the_shared_variables(host: Host) -> None:
    name = host.check_output("hostname")
    assert host.file("/etc/pasargad-molecule").content_string == f"{name}.pasargad.test\n"
