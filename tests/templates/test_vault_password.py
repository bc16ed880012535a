"""bin/vault-password serves every Ansible command, and says how to mend a vault that stays closed."""

from __future__ import annotations

from tests.environments import Environments, said


def test_a_play_that_needs_no_vault_runs_without_a_password(environments: Environments) -> None:
    environments.take("staging")
    ran = environments.run("ansible", "-i", f"{environments.root}/inventories/staging", "localhost", "-m", "ping")
    assert ran.returncode == 0, ran.stderr
    assert "vault" not in said(ran)


def test_a_wrong_password_names_the_vault_and_the_file_to_mend(environments: Environments) -> None:
    environments.complete("staging")
    right = environments.password_file.read_text().strip()
    environments.password_file.write_text("wrong\n")
    ran = environments.play("staging", "inventory_check")
    assert ran.returncode != 0
    assert f"{environments.vault('staging')} is encrypted" in said(ran)
    assert f"the password in {environments.password_file} does not open it" in said(ran)
    assert right not in said(ran)


def test_no_password_names_the_file_to_make_and_the_setting_to_choose_another(environments: Environments) -> None:
    environments.complete("staging")
    environments.password_file.unlink()
    ran = environments.play("staging", "inventory_check")
    assert ran.returncode != 0
    assert f"there is no password file {environments.password_file}" in said(ran)
    assert "PASARGAD_VAULT_PASSWORD_FILE" in said(ran)
    assert "playbooks/bootstrap.yml -e pasargad_environment=staging" in said(ran)


def test_an_empty_password_file_is_refused(environments: Environments) -> None:
    environments.password_file.write_text("\n")
    ran = environments.run("ansible", "localhost", "-m", "ping")
    assert ran.returncode != 0
    assert f"{environments.password_file} is empty" in said(ran)


def test_a_password_given_by_hand_needs_no_file(environments: Environments) -> None:
    environments.complete("staging")
    elsewhere = environments.root / "elsewhere"
    environments.password_file.rename(elsewhere)
    ran = environments.play("staging", "inventory_check", "--vault-password-file", str(elsewhere))
    assert ran.returncode == 0, ran.stderr
    assert "bin/vault-password:" not in said(ran)


def test_nothing_is_ever_encrypted_with_a_made_up_password(environments: Environments) -> None:
    plain = environments.root / "plain.yml"
    plain.write_text("a: 1\n")
    ran = environments.run("ansible-vault", "encrypt", str(plain))
    assert ran.returncode != 0
    assert "there is no vault password file" in said(ran)
    assert plain.read_text() == "a: 1\n"
