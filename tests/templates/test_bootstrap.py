"""playbooks/bootstrap.yml makes environments, and keeps what it made."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.environments import ISSUED, ROOT, Environments, said

DEFAULTS = yaml.safe_load((ROOT / "roles/secrets_bootstrap/defaults/main.yml").read_text())
SECRETS = [secret["name"] for secret in DEFAULTS["secrets_bootstrap_secrets"]]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_secrets_that_are_made_are_those_that_the_store_reads() -> None:
    aliases = yaml.safe_load((ROOT / "group_vars/all/secrets.yml").read_text())
    assert aliases == {name.removeprefix("vault_"): f"{{{{ {name} }}}}" for name in SECRETS}


def test_a_new_lab_gets_every_secret_encrypted_for_its_owner_alone(environments: Environments) -> None:
    ran = environments.bootstrap("lab", "-vvv", "--diff")
    assert ran.returncode == 0, said(ran)
    vault = environments.vault("lab")
    assert vault.read_bytes().startswith(b"$ANSIBLE_VAULT;")
    assert (mode(vault), mode(environments.password_file)) == (0o600, 0o600)
    secrets = environments.secrets("lab")
    assert list(secrets) == SECRETS
    assert len(set(secrets.values())) == len(SECRETS)
    assert min(map(len, secrets.values())) >= 20
    password = environments.password_file.read_text().strip()
    assert len(password) >= 40
    assert [value for value in (*secrets.values(), password) if value in said(ran)] == []


def test_the_key_that_opens_backups_is_made_once_and_stays_out_of_the_vault(environments: Environments) -> None:
    environments.begin("lab")
    identity = environments.password_file.with_name("backup-identity-lab.txt")
    assert mode(identity) == 0o600
    public = subprocess.run(["age-keygen", "-y", str(identity)], capture_output=True, text=True, check=True).stdout
    assert environments.secrets("lab")["vault_pasargad_backup_recipient"] == public.strip()
    assert "AGE-SECRET-KEY" not in environments.decrypted("lab")
    before = identity.read_bytes()
    environments.vault("lab").unlink()
    assert environments.bootstrap("lab").returncode == 0
    assert identity.read_bytes() == before, "sets that were made for it could not be opened any more"


def test_two_environments_share_no_secret(environments: Environments) -> None:
    for name in ("lab", "second"):
        assert environments.bootstrap(name, "-e", "secrets_bootstrap_invent_issued=true").returncode == 0
    assert set(environments.secrets("lab").values()) & set(environments.secrets("second").values()) == set()


def test_a_second_run_changes_nothing(environments: Environments) -> None:
    environments.begin("lab")
    before = {path: path.read_bytes() for path in environments.root.rglob("*") if path.is_file()}
    again = environments.bootstrap("lab")
    assert "changed=0" in again.stdout
    assert {path: path.read_bytes() for path in before} == before


def test_a_vault_that_lacks_secrets_gains_those_and_keeps_every_line(environments: Environments) -> None:
    environments.begin("lab")
    vault = environments.vault("lab")
    lines = [line for line in environments.decrypted("lab").splitlines() if "metrics_token" not in line]
    lines += ["# A comment of the operator.", 'vault_of_mine: "a # b: {{ c }}"']
    vault.write_text("\n".join(lines) + "\n")
    assert environments.run("ansible-vault", "encrypt", str(vault)).returncode == 0
    assert environments.bootstrap("lab").returncode == 0
    after = environments.decrypted("lab").splitlines()
    assert after[: len(lines)] == lines
    assert len(environments.secrets("lab")["vault_pasargad_metrics_token"]) == 40


def test_a_vault_that_was_decrypted_in_place_is_closed_again(environments: Environments) -> None:
    environments.begin("lab")
    vault, text = environments.vault("lab"), environments.decrypted("lab")
    vault.write_text(text)
    assert "changed=1" in environments.bootstrap("lab").stdout
    assert vault.read_bytes().startswith(b"$ANSIBLE_VAULT;")
    assert environments.decrypted("lab") == text


def test_a_check_makes_nothing(environments: Environments) -> None:
    environments.begin("lab")
    vault = environments.vault("lab")
    vault.unlink()
    ran = environments.bootstrap("lab", "--check")
    assert ran.returncode == 0, said(ran)
    assert "changed=1" in ran.stdout
    assert not vault.exists()


def test_issued_secrets_are_taken_or_marked_and_never_made_up_for_real_environments(environments: Environments) -> None:
    given = {"vault_pasargad_stripe_secret_key": "sk_live_given"}
    ran = environments.bootstrap("shop-two", "-vvv", "--diff", variables=given)
    assert ran.returncode == 0, said(ran)
    secrets = environments.secrets("shop-two")
    assert secrets["vault_pasargad_stripe_secret_key"] == "sk_live_given"
    assert secrets["vault_pasargad_email_host_password"] == ""
    assert {name for name, value in secrets.items() if value == "CHANGEME"} == set(ISSUED) - {
        "vault_pasargad_stripe_secret_key", "vault_pasargad_email_host_password"
    }  # fmt: skip


def test_a_new_environment_gets_an_inventory_to_fill_in(environments: Environments) -> None:
    environments.bootstrap("shop-two", "-e", "pasargad_domain=two.example.com")
    settings = yaml.safe_load(environments.settings("shop-two").read_text())
    assert settings["pasargad_environment"] == "shop-two"
    assert settings["pasargad_domain"] == "two.example.com"
    hosts = yaml.safe_load((environments.root / "inventories/shop-two/hosts.yml").read_text())
    assert set(hosts["all"]["children"]["store"]["children"]) == {
        "store_web",
        "store_edge",
        "store_db",
        "store_monitor",
    }


def test_an_inventory_that_exists_is_kept(environments: Environments) -> None:
    environments.take("staging")
    before = environments.settings("staging").read_text()
    environments.bootstrap("staging", "-e", "pasargad_domain=other.example.com")
    assert environments.settings("staging").read_text() == before


def test_a_wrong_password_is_named_and_nothing_changes(environments: Environments) -> None:
    environments.begin("lab")
    before = environments.vault("lab").read_bytes()
    environments.password_file.write_text("not the password\n")
    ran = environments.bootstrap("lab")
    assert ran.returncode != 0
    assert f"the password in {environments.password_file} does not open" in ran.stdout.replace("\\n", " ")
    assert environments.vault("lab").read_bytes() == before


@pytest.mark.parametrize("name", ["../x", "Live", "a b", ""])
def test_a_name_that_is_no_directory_is_refused(environments: Environments, name: str) -> None:
    ran = environments.run(
        "ansible-playbook", "playbooks/bootstrap.yml", "-i", "localhost,", "-e",
        f'{{"pasargad_environment": "{name}", "secrets_bootstrap_inventories_dir": "{environments.root}/inventories"}}',
    )  # fmt: skip
    assert ran.returncode != 0
    assert "pasargad_environment is" in said(ran)
    assert not (environments.root / "inventories").exists()
