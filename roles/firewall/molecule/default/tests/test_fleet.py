"""Who reaches what in a fleet, seen from the web host and from a stranger on the same network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from testinfra.host import Host

testinfra_hosts = ["ansible://node12"]

REPOSITORY = Path(__file__).resolve().parents[5]


def other(host: Host, name: str) -> Host:
    (found,) = Host.get_hosts([f"ansible://{name}"], ansible_inventory=host.backend.ansible_inventory)
    return found


@pytest.fixture
def web(host: Host) -> Host:
    return other(host, "node13")


@pytest.fixture
def stranger(host: Host) -> Host:
    return other(host, "spare1")


def reaches(client: Host, port: int, server: str = "node12") -> bool:
    return client.run(f"timeout 2 bash -c 'exec 3<>/dev/tcp/{server}/{port}'").rc == 0


@pytest.mark.parametrize("port", [5432, 6379])
def test_the_data_stores_answer_the_web_host_alone(host: Host, web: Host, stranger: Host, port: int) -> None:
    assert host.socket(f"tcp://{host.check_output('hostname -I').split()[0]}:{port}").is_listening
    assert reaches(web, port)
    assert not reaches(stranger, port)


def test_ssh_is_open(stranger: Host) -> None:
    assert reaches(stranger, 22)


def test_any_other_port_is_closed_although_somebody_listens(host: Host, web: Host, stranger: Host) -> None:
    host.check_output("systemd-run --unit=listener python3 -m http.server 8080; sleep 0.7")
    try:
        assert reaches(host, 8080, "localhost")
        assert not reaches(web, 8080)
        assert not reaches(stranger, 8080)
    finally:
        host.check_output("systemctl stop listener")


def test_http_and_https_are_open(host: Host, stranger: Host) -> None:
    host.check_output("systemd-run --unit=edge80 python3 -m http.server 80; sleep 0.7")
    try:
        assert reaches(stranger, 80)
    finally:
        host.check_output("systemctl stop edge80")


def test_the_policy_is_to_drop_for_both_families(host: Host) -> None:
    rules = json.loads(host.check_output("nft -j list table inet pasargad"))["nftables"]
    chain = next(item["chain"] for item in rules if item.get("chain", {}).get("name") == "input")
    assert (chain["hook"], chain["policy"]) == ("input", "drop")


def test_tables_of_others_are_left_alone(host: Host) -> None:
    host.check_output("nft add table inet somebody_else; nft -f /etc/nftables.conf")
    assert "somebody_else" in host.check_output("nft list tables")
    host.check_output("nft delete table inet somebody_else")


def test_the_rules_come_back_at_boot(host: Host) -> None:
    assert host.service("nftables").is_enabled
    host.check_output("nft delete table inet pasargad; systemctl restart nftables")
    assert "policy drop" in host.check_output("nft list chain inet pasargad input")


def test_rules_that_shut_the_operator_out_are_taken_back(host: Host, stranger: Host, tmp_path: Path) -> None:
    """A play with a wrong firewall_ssh_sources fails, and the host itself brings the old rules back."""
    before = host.check_output("nft list table inet pasargad")
    play = tmp_path / "play.yml"
    play.write_text("- hosts: node12\n  gather_facts: false\n  roles: [firewall]\n")
    wrong = {"firewall_ssh_sources": ["192.0.2.1"], "firewall_confirm_seconds": 16}
    shared = REPOSITORY / "molecule" / "inventory"
    inventories = ["-i", str(host.backend.ansible_inventory), "-i", str(shared)]
    environment = {"ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"), "ANSIBLE_STDOUT_CALLBACK": "default"}
    failed = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), *inventories, "-e", json.dumps(wrong), str(play)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert failed.returncode != 0
    assert "Prove that a new connection comes through" in failed.stdout, failed.stdout
    deadline = time.monotonic() + 20
    while not reaches(stranger, 22) and time.monotonic() < deadline:
        time.sleep(1)
    assert reaches(stranger, 22)
    assert host.check_output("nft list table inet pasargad") == before
    host.check_output("nft -c -f /etc/nftables.conf")


def test_the_pool_logs_in_by_scram_over_tls(host: Host, web: Host) -> None:
    query = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    psql = "PGPASSWORD=test-db-app psql -X -A -t -h 127.0.0.1 -p 6432 -U pasargad_app pasargad -c"
    assert web.check_output(f"{psql} %s", query) == "t"


def test_the_database_refuses_plain_connections_of_the_web_host(host: Host, web: Host) -> None:
    psql = (
        "PGPASSWORD=test-db-app psql -X -A -t 'host=node12 user=pasargad_app dbname=pasargad sslmode={}' -c 'SELECT 1'"
    )
    assert web.run(psql.format("disable")).rc == 2
    assert web.check_output(psql.format("require")) == "1"


def test_redis_knows_its_users_over_the_network(web: Host) -> None:
    script = """
import socket
with socket.create_connection(("node12", 6379), 3) as s:
    s.sendall(b"PING\\r\\nAUTH cache test-redis-cache\\r\\nPING\\r\\n")
    answers = b""
    while answers.count(b"\\r\\n") < 3:
        answers += s.recv(1000)
print(answers.decode().split("\\r\\n")[:3])
"""
    first, second, third = web.check_output("python3 -c %s", script).strip("[]").replace("'", "").split(", ")
    assert first.startswith("-NOAUTH")
    assert (second, third) == ("+OK", "+PONG")
