"""Inventories in a directory of the test's own, bootstrapped and used through the real playbooks on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
ANSIBLE = ROOT / ".venv/bin"
# What providers issue; in shape only.
ISSUED = {
    "vault_pasargad_stripe_secret_key": "sk_{}_" + "S" * 24,
    "vault_pasargad_stripe_publishable_key": "pk_{}_" + "P" * 24,
    "vault_pasargad_stripe_webhook_secret": "whsec_" + "W" * 24,
    "vault_pasargad_email_host_password": "mail-" + "M" * 20,
    "vault_pasargad_s3_access_key_id": "AK" + "I" * 18,
    "vault_pasargad_s3_secret_access_key": "K" * 40,
}


def said(ran: subprocess.CompletedProcess[str]) -> str:
    """Return all that a command said, on either stream."""
    return ran.stdout + ran.stderr


@dataclass(frozen=True)
class Environments:
    """A directory with inventories/, playbooks of the test and a vault password.

    What `begin` and `complete` make is kept below `kept`, if given, and copied from there the next time.
    """

    root: Path
    kept: Path | None = None

    @property
    def password_file(self) -> Path:
        return self.root / "vault-password"

    def vault(self, name: str) -> Path:
        return self.root / "inventories" / name / "group_vars/store/vault.yml"

    def settings(self, name: str) -> Path:
        return self.root / "inventories" / name / "group_vars/store/main.yml"

    def take(self, name: str) -> None:
        """Copy an inventory of the repository, without its vault."""
        target = self.root / "inventories" / name
        shutil.copytree(ROOT / "inventories" / name, target, symlinks=True, ignore=shutil.ignore_patterns("vault.yml"))

    def run(self, *words: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run an Ansible command with the repository's configuration, without a terminal."""
        environment = {
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_STDOUT_CALLBACK": "default",
            "ANSIBLE_NOCOLOR": "1",
            "PASARGAD_VAULT_PASSWORD_FILE": str(self.password_file),
            **(env or {}),
        }
        return self.execute([str(ANSIBLE / words[0]), *words[1:]], environment)

    def execute(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run any command in the repository, without a terminal."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "module_utils"), **(env or {})}
        # Journals hold bytes that are no text.
        return subprocess.run(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            errors="surrogateescape", check=False,
        )  # fmt: skip

    def bootstrap(
        self, name: str, *more: str, variables: Mapping[str, Any] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the bootstrap playbook for one environment."""
        given = self.root / "given.yml"
        given.write_text(yaml.safe_dump(dict(variables or {})))
        return self.run(
            "ansible-playbook", "playbooks/bootstrap.yml", "-i", "localhost,", "-e", f"pasargad_environment={name}",
            "-e", f"secrets_bootstrap_inventories_dir={self.root}/inventories", "-e", f"@{given}", *more,
        )  # fmt: skip

    def begin(self, name: str) -> None:
        """Bootstrap an environment that nobody has filled in."""
        self._keep_and_copy(name, "new", lambda place: place.bootstrap(name))

    def complete(self, name: str, mode: str = "test") -> None:
        """Take an inventory and give it a vault, with issued secrets for Stripe's test or live mode."""

        def make(place: Environments) -> subprocess.CompletedProcess[str]:
            place.take(name)
            return place.bootstrap(name, variables={secret: value.format(mode) for secret, value in ISSUED.items()})

        self._keep_and_copy(name, mode, make)

    def _keep_and_copy(
        self, name: str, kind: str, make: Callable[[Environments], subprocess.CompletedProcess[str]]
    ) -> None:
        # The environments of one directory have one password: the second one is made with the password of the first.
        place = Environments(self.kept / f"{name}-{kind}") if self.kept and not self.password_file.exists() else self
        if place is self or not place.root.exists():
            place.root.mkdir(parents=True, exist_ok=True)
            ran = make(place)
            assert ran.returncode == 0, said(ran)
        if place is not self:
            shutil.copytree(place.root, self.root, symlinks=True, dirs_exist_ok=True)

    def secrets(self, name: str) -> dict[str, str]:
        """Return the decrypted vault."""
        return yaml.safe_load(self.decrypted(name))

    def decrypted(self, name: str) -> str:
        ran = self.run("ansible-vault", "view", str(self.vault(name)))
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def role(self, role: str, hosts: str = "store") -> list[str]:
        """Write a play for one role, beside the repository's shared variables, and return what runs it."""
        shared = self.root / "group_vars"
        if not shared.is_symlink():
            shared.symlink_to(ROOT / "group_vars")
        play = {"name": f"Run {role}", "hosts": hosts, "gather_facts": False, "roles": [{"role": role}]}
        book = self.root / f"{role}.yml"
        book.write_text(yaml.safe_dump([play], sort_keys=False))
        return [str(book)]

    def play(self, name: str, role: str, *more: str, hosts: str = "store") -> subprocess.CompletedProcess[str]:
        """Run one role on this machine for each host of an environment."""
        return self.run(
            "ansible-playbook", *self.role(role, hosts), "-i", f"{self.root}/inventories/{name}",
            "-e", "ansible_connection=local", "-e", "ansible_become=false", *more,
        )  # fmt: skip
