"""Facts about Ansible that were found by experiment and that this repository's layout depends on."""

from __future__ import annotations

import configparser
import json
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

Ansible = Callable[..., subprocess.CompletedProcess[str]]
ROOMS = {
    "inventory": "inventories/lab",
    "roles_path": "roles",
    "library": "library",
    "module_utils": "module_utils",
    "filter_plugins": "filter_plugins",
    "action_plugins": "action_plugins",
    "callback_plugins": "callback_plugins",
}
PLAY = """
- name: Look
  hosts: store
  connection: local
  gather_facts: false
  tasks:
    - name: Show what the play sees
      ansible.builtin.debug:
        msg: "srv={{ pasargad_srv_dir }} root={{ pasargad_repo_root }} environment={{ pasargad_environment }}"
"""


def test_ansible_cfg_names_every_room(root: Path) -> None:
    config = configparser.ConfigParser()
    config.read(root / "ansible.cfg")
    assert {name: config["defaults"].get(name) for name in ROOMS} == ROOMS
    for directory in ROOMS.values():
        assert (root / directory).is_dir(), f"ansible.cfg names {directory}, which is missing"


def test_ansible_cfg_is_loaded(root: Path, ansible: Ansible) -> None:
    """Ansible drops the file with only a warning when the directory is world-writable."""
    assert not root.stat().st_mode & stat.S_IWOTH, f"mend it with: chmod o-w {root}"
    assert f"config file = {root / 'ansible.cfg'}" in ansible("ansible", "--version").stdout


def test_playbooks_see_root_group_vars(root: Path) -> None:
    link = root / "playbooks/group_vars"
    assert link.is_symlink()
    assert str(link.readlink()) == "../group_vars"


@pytest.fixture
def checkout(tmp_path: Path, root: Path) -> Path:
    """A copy of the layout, with a tiny play where playbooks/deploy.yml would be."""
    for name in ("ansible.cfg", "deploy.yml"):
        shutil.copy(root / name, tmp_path / name)
    (tmp_path / "playbooks").mkdir()
    shutil.copytree(root / "group_vars", tmp_path / "group_vars")
    shutil.copytree(
        root / "inventories", tmp_path / "inventories", symlinks=True, ignore=shutil.ignore_patterns("vault.yml")
    )
    for name in ("callback_plugins", "filter_plugins"):
        shutil.copytree(root / name, tmp_path / name)
    (tmp_path / "bin").mkdir()
    shutil.copy(root / "bin/vault-password", tmp_path / "bin/vault-password")
    shutil.copy(root / "playbooks/group_vars", tmp_path / "playbooks/group_vars", follow_symlinks=False)
    (tmp_path / "playbooks/deploy.yml").write_text(PLAY)
    return tmp_path


@pytest.mark.parametrize("entry", ["deploy.yml", "playbooks/deploy.yml"])
@pytest.mark.parametrize("environment", ["lab", "staging", "production"])
def test_every_entry_sees_shared_and_own_variables(
    checkout: Path, ansible: Ansible, entry: str, environment: str
) -> None:
    ran = ansible("ansible-playbook", "-i", f"inventories/{environment}", entry, directory=checkout)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"srv=/srv/pasargad root={checkout} environment={environment}" in ran.stdout


def test_without_the_link_the_variables_are_lost(checkout: Path, ansible: Ansible) -> None:
    """The negative control: the link is what makes the test above pass."""
    (checkout / "playbooks/group_vars").unlink()
    ran = ansible("ansible-playbook", "-i", "inventories/lab", "deploy.yml", directory=checkout)
    assert ran.returncode != 0
    assert "pasargad_srv_dir" in ran.stdout + ran.stderr


def test_molecule_uses_our_configuration(root: Path) -> None:
    config = yaml.safe_load((root / ".config/molecule/config.yml").read_text())
    named = config["ansible"]["env"]["ANSIBLE_CONFIG"]
    for scenario in root.glob("roles/*/molecule/*/molecule.yml"):
        role = scenario.parents[2]
        resolved = Path(named.replace("${MOLECULE_PROJECT_DIRECTORY}", str(role))).resolve()
        assert resolved == root / "ansible.cfg"
        own = yaml.safe_load(scenario.read_text()) or {}
        assert "ANSIBLE_CONFIG" not in (own.get("ansible", {}).get("env") or {}), scenario


def collection_versions(ansible: Ansible) -> dict[str, str]:
    """Versions of the collections that the installed package `ansible` carries."""
    listing = json.loads(ansible("ansible-galaxy", "collection", "list", "--format", "json").stdout)
    return {name: entry["version"] for found in listing.values() for name, entry in found.items()}


def test_collection_ranges_hold_what_is_installed(root: Path, ansible: Ansible) -> None:
    installed = collection_versions(ansible)
    for wanted in yaml.safe_load((root / "requirements.yml").read_text())["collections"]:
        version = installed.get(wanted["name"], "0")
        assert SpecifierSet(wanted["version"]).contains(version), (
            f"{wanted['name']} {version} is not {wanted['version']}"
        )


def test_every_collection_in_use_has_a_range(root: Path, ansible: Ansible, files: list[Path]) -> None:
    listed = {entry["name"] for entry in yaml.safe_load((root / "requirements.yml").read_text())["collections"]}
    known = collection_versions(ansible)
    for path in files:
        if path.suffix == ".yml" and path.relative_to(root).parts[0] in ("roles", "playbooks", "molecule"):
            words = {word.strip(" \"'-:") for word in path.read_text().split()}
            used = {".".join(word.split(".")[:2]) for word in words if word.count(".") >= 2}
            assert used & set(known) <= listed, f"{path} uses a collection that requirements.yml does not name"
