"""Plays that everybody watches: what was shown of the shop's secrets, and what of them stays behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import yaml

from pasargad_lab.lab import Lab
from tests.sentinel import Bystander, Executions, ExecutionWatcher, Finding, Sentinel, files_with_secrets
from tests.shop import REPOSITORY, Run, Shop, run

# Sent to every browser that pays; and the half of a key with which anybody may encrypt.
PUBLIC = {"vault_pasargad_stripe_publishable_key", "vault_pasargad_backup_recipient"}
VERBOSE = ("-vvv", "--diff")
ENTER = ("env", f"PYTHONPATH={REPOSITORY}/module_utils")
# Where a file that holds a secret has no business at all, whoever may read it.
CONTROL_NODE = "control-node"
LEFT_BEHIND = ("var/log", "var/tmp", "tmp", "root/.ansible", "home", CONTROL_NODE)


def secrets_of(shop: Shop) -> dict[str, str]:
    """Return the secrets of a bootstrapped shop, and the password of its vault, by name."""
    vault = shop.checkout / shop.inventory / "group_vars/store/vault.yml"
    shown = run([str(shop.bin / "ansible-vault"), "view", str(vault)], env=shop.environment).require().output
    secrets = {name: value for name, value in yaml.safe_load(shown).items() if name not in PUBLIC and value}
    return {**secrets, "the vault's password": (shop.checkout / ".secrets/vault-password").read_text().strip()}


@dataclass(frozen=True)
class Observed:
    """One run, what was seen of it from outside, and what it left on the hosts."""

    run: Run
    log: str
    executions: Executions
    seen_by_nobody: set[str]
    journals: dict[str, str]
    findings: list[Finding]

    def problems(self, sentinel: Sentinel) -> list[str]:
        """Return where a secret was shown, or stays for others to find; none after a discreet run."""
        missed = self.executions.missed > self.executions.seen // 20
        return [
            *(f"shown: {text}" for text in sentinel.around(self.run.output)),
            *(f"log: {text}" for text in sentinel.around(self.log)),
            *(f"argument: {leak}" for leak in self.executions.leaks),
            *([f"{self.executions.missed} of {self.executions.seen} programs were not seen"] if missed else []),
            *(f"seen by nobody: {name}" for name in sorted(self.seen_by_nobody)),
            *(f"{about}: {text}" for about, said in self.journals.items() for text in sentinel.around(said)),
            *(f"for all to read: {found.path}" for found in self.findings if found.readable_by_all),
            *(f"left behind: {found.path}" for found in self.findings if found.path.startswith(LEFT_BEHIND)),
        ]


@dataclass(frozen=True)
class Watched:
    """A shop whose secrets are known to the test."""

    shop: Shop
    sentinel: Sentinel
    home: Path

    def play(self, playbook: str, *words: str, callback: str = "default") -> Observed:
        """Run a playbook while everybody watches."""
        log = self.home / "ansible.log"
        log.unlink(missing_ok=True)
        environment = {
            "ANSIBLE_STDOUT_CALLBACK": callback,
            "ANSIBLE_LOG_PATH": str(log),
            "ANSIBLE_NOCOLOR": "1",
            # Apart from other plays that run beside this one with the same secrets.
            "ANSIBLE_HOME": str(self.home / "ansible"),
        }
        with ExitStack() as stack:
            watcher = stack.enter_context(ExecutionWatcher(self.sentinel))
            there = [[*ENTER, *self.shop.lab_command("exec", host, "--")] for host in self.running()]
            here = [Bystander(self.sentinel, command) for command in ([], *there)]
            for bystander in here:
                stack.enter_context(bystander)
            ran = self.shop.playbook(playbook, *VERBOSE, *words, env=environment)
            seen_by_nobody = set().union(*(bystander.look() | bystander.leaks for bystander in here))
        journals = dict(self.journals())
        return Observed(ran, log.read_text(), watcher.result, seen_by_nobody, journals, list(self.findings()))

    def running(self) -> list[str]:
        """Return the hosts of the lab that run."""
        lab = Lab(self.shop.lab)
        return [host for host in lab.present() if lab.host(host).pid()]

    def journals(self) -> Iterator[tuple[str, str]]:
        """Yield what the services of each host have said, and what they are."""
        for host in self.running():
            for command in ("journalctl --all --no-pager --output=export", "systemctl show --all '*'"):
                yield f"{host}: {command}", self.shop.on(host, command).output

    def findings(self) -> Iterator[Finding]:
        """Yield the files with secrets on each host, and those of Ansible here."""
        lab = Lab(self.shop.lab)
        for host in self.running():
            yield from files_with_secrets(self.sentinel, lab.host(host).upper)
        for found in files_with_secrets(self.sentinel, self.home / "ansible"):
            yield Finding(f"{CONTROL_NODE}/{found.path}", found.names, found.readable_by_all)
