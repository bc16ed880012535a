"""An inventory that is not filled in is refused with one message that names everything to mend."""

from __future__ import annotations

import re

import pytest
import yaml

from tests.environments import ROOT, Environments, said

SECRETS = [f"vault_{name}" for name in yaml.safe_load((ROOT / "group_vars/all/secrets.yml").read_text())]


def test_a_new_environment_hears_of_every_setting_at_once_with_its_file(environments: Environments) -> None:
    environments.begin("mine")
    ran = environments.play("mine", "inventory_check")
    assert ran.returncode != 0
    message = said(ran)
    assert "inventories/mine is not complete" in message
    defaults = yaml.safe_load((ROOT / "roles/inventory_check/defaults/main.yml").read_text())
    written = environments.settings("mine").read_text() + (environments.root / "inventories/mine/hosts.yml").read_text()
    unfilled = [line.split(":")[0].strip() for line in written.splitlines() if line.endswith("CHANGEME")]
    assert set(unfilled) < {setting["name"] for setting in defaults["inventory_check_required"]}
    assert len(unfilled) > 8
    assert [name for name in unfilled if f"{name} is still CHANGEME: " not in message] == []
    for file in ("hosts.yml", "group_vars/store/main.yml", "group_vars/store/vault.yml"):
        assert f"In {environments.root}/inventories/mine/{file}:" in message
    assert f"ansible-vault edit {environments.vault('mine')}" in message


def test_a_missing_vault_lists_every_secret_and_the_command_that_makes_them(environments: Environments) -> None:
    environments.take("production")
    ran = environments.play("production", "inventory_check")
    assert ran.returncode != 0
    assert [name for name in SECRETS if f"{name} is not set" not in said(ran)] == []
    assert "ansible-playbook playbooks/bootstrap.yml -e pasargad_environment=production" in said(ran)


def test_a_misspelt_setting_is_recognised(environments: Environments) -> None:
    environments.complete("staging")
    settings = environments.settings("staging")
    settings.write_text(settings.read_text().replace("pasargad_mail_host:", "pasargad_mail_hots:"))
    ran = environments.play("staging", "inventory_check")
    assert "pasargad_mail_host is not set (did you mean it by pasargad_mail_hots?)" in said(ran)


def test_a_setting_of_one_host_alone_names_that_host(environments: Environments) -> None:
    environments.complete("production", "live")
    hosts = environments.root / "inventories/production/hosts.yml"
    hosts.write_text(hosts.read_text().replace("203.0.113.12", "CHANGEME"))
    ran = environments.play("production", "inventory_check")
    assert "ansible_host is still CHANGEME for web2: " in said(ran)
    assert set(re.findall(r"(\w+) is still CHANGEME", said(ran))) == {"ansible_host"}


def test_several_web_hosts_have_to_share_their_uploads(environments: Environments) -> None:
    environments.complete("production", "live")
    settings = environments.settings("production")
    settings.write_text(settings.read_text().replace("pasargad_s3_media_bucket:", "# pasargad_s3_media_bucket:"))
    said_of_two = said(environments.play("production", "inventory_check"))
    assert "pasargad_s3_media_bucket is empty: several web hosts share their uploads in it" in said_of_two


def test_a_group_without_hosts_is_named(environments: Environments) -> None:
    environments.complete("staging")
    hosts = environments.root / "inventories/staging/hosts.yml"
    inventory = yaml.safe_load(hosts.read_text())
    inventory["all"]["children"]["store"]["children"]["store_edge"] = {}
    hosts.write_text(yaml.safe_dump(inventory))
    assert "group store_edge holds no host" in said(environments.play("staging", "inventory_check"))


@pytest.mark.parametrize(
    ("group", "hosts", "words"),
    [
        (
            "store_edge",
            ["web1"],
            "must hold the same hosts (only in store_web: web2): nginx reaches the shop by a socket",
        ),
        ("store_edge", ["web1", "web2", "db1"], "must hold the same hosts (only in store_edge: db1)"),
        ("store_db", ["db1", "web1"], "group store_db holds db1, web1 and must hold one host: there is no replication"),
    ],
)
def test_a_shape_that_is_not_supported_is_refused(
    environments: Environments, group: str, hosts: list[str], words: str
) -> None:
    environments.take("production")
    file = environments.root / "inventories/production/hosts.yml"
    inventory = yaml.safe_load(file.read_text())
    inventory["all"]["children"]["store"]["children"][group] = {"hosts": dict.fromkeys(hosts)}
    file.write_text(yaml.safe_dump(inventory))
    ran = environments.play("production", "inventory_check")
    assert ran.returncode != 0
    assert words in said(ran)
    assert "inventories/production/hosts.yml:" in said(ran)


def test_the_examples_are_complete_and_no_secret_is_shown(filled: Environments) -> None:
    for name in ("staging", "production"):
        ran = filled.play(name, "inventory_check", "-vvv")
        assert ran.returncode == 0, said(ran)
        shown = [secret for secret in filled.secrets(name).values() if secret and secret in said(ran)]
        assert shown == []


def test_hosts_that_do_not_answer_are_all_named_before_anything_is_done(filled: Environments) -> None:
    nowhere = ["-e", "ansible_connection=ssh", "-e", "ansible_host=127.0.0.1", "-e", "ansible_port=1"]
    ran = filled.play("production", "inventory_check", *nowhere)
    assert ran.returncode != 0
    assert "3 of 3 hosts cannot be reached. Nothing was changed." in said(ran)
    for host in ("web1", "web2", "db1"):
        assert f"{host} at 127.0.0.1: Failed to connect to the host via ssh: " in said(ran)
    assert "inventories/production/hosts.yml (ansible_host, ansible_user," in said(ran)
