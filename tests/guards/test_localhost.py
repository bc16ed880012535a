"""The machine that deploys is not a host of the store: no inventory and no play makes it run anything as root."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.environments import ROOT, Environments, said

INVENTORIES = sorted(path.parent.name for path in ROOT.glob("inventories/*/hosts.yml"))
# How a host is logged in to, and how Ansible becomes root there.
OF_HOSTS = ("ansible_user", "ansible_become", "ansible_become_user", "ansible_become_method", "ansible_remote_user")
PLAY = [
    {
        "name": "Look",
        "hosts": "localhost",
        "gather_facts": False,
        "tasks": [
            {
                "name": "Show what binds this machine",
                "ansible.builtin.debug": {
                    "msg": "{{ query('ansible.builtin.varnames', '^ansible_(user|become|remote_user)') }}"
                },
            }
        ],
    }
]


def binding(environments: Environments, name: str) -> list[str]:
    """Return the variables of an inventory that bind localhost."""
    look = environments.root / "look.yml"
    look.write_text(yaml.safe_dump(PLAY))
    inventory = str(environments.root / "inventories" / name)
    lines = {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.jsonl"}
    ran = environments.run("ansible-playbook", "-i", inventory, str(look), env=lines)
    assert ran.returncode == 0, said(ran)
    events = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
    shown = [event["hosts"]["localhost"]["msg"] for event in events if event.get("_event") == "v2_runner_on_ok"]
    assert len(shown) == 1
    assert isinstance(shown[0], list)
    return [variable for variable in shown[0] if variable in OF_HOSTS]


@pytest.mark.parametrize("name", INVENTORIES)
def test_no_inventory_binds_the_machine_that_deploys(name: str, tmp_path: Path) -> None:
    environments = Environments(tmp_path)
    environments.take(name)
    assert binding(environments, name) == []


def test_the_guard_sees_a_variable_of_all_hosts(tmp_path: Path) -> None:
    environments = Environments(tmp_path)
    environments.take("staging")
    hosts = tmp_path / "inventories/staging/hosts.yml"
    hosts.write_text(hosts.read_text().replace("all:\n", "all:\n  vars:\n    ansible_become: true\n", 1))
    assert binding(environments, "staging") == ["ansible_become"]


def test_plays_of_this_machine_never_become_root() -> None:
    found = []
    for path in [ROOT / "deploy.yml", *ROOT.glob("playbooks/*.yml")]:
        plays = [play for play in yaml.safe_load(path.read_text()) if play.get("hosts") == "localhost"]
        found += [f"{path.name}: {play['name']}" for play in plays if play.get("become") is not False]
    assert found == []
