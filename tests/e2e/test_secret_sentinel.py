"""Known secrets are planted in an environment; a run with -vvv and --diff shows them to nobody."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from pasargad_lab.lab import Lab
from tests.environments import ROOT, Environments, said
from tests.sentinel import Bystander, Executions, ExecutionWatcher, Sentinel, files_with_secrets

pytestmark = pytest.mark.lab
NUMBER = int(os.environ.get("PASARGAD_SENTINEL_LAB", "113"))
# Sent to every browser that pays.
PUBLIC = {"vault_pasargad_stripe_publishable_key"}
VERBOSE = ("-vvv", "--diff", "-e", f"pasargad_lab_number={NUMBER}")


@dataclass(frozen=True)
class Observed:
    """One run, and what was seen of it from outside."""

    code: int
    output: str
    executions: Executions
    seen_by_nobody: set[str]


@dataclass(frozen=True)
class Planted:
    """A lab of its own, whose secrets are known to the test."""

    lab: Lab
    environments: Environments
    sentinel: Sentinel

    def on(self, host: str, *command: str) -> list[str]:
        """Return the command that runs another one on a lab host."""
        lab = ["env", f"PYTHONPATH={ROOT}/module_utils", sys.executable, "-m", "pasargad_lab"]
        return [*lab, "exec", "--lab", str(NUMBER), host, "--", *command]

    def said_on(self, host: str, *command: str) -> str:
        return said(self.environments.execute(self.on(host, *command)))

    @property
    def log(self) -> Path:
        return self.environments.root / "ansible.log"

    def play(self, *words: str, callback: str = "default") -> Observed:
        """Run ansible-playbook while everybody watches."""
        self.log.unlink(missing_ok=True)
        environment = {"ANSIBLE_STDOUT_CALLBACK": callback, "ANSIBLE_LOG_PATH": str(self.log)}
        hosts = [host for host in self.lab.present() if self.lab.host(host).pid()]
        with ExitStack() as stack:
            watcher = stack.enter_context(ExecutionWatcher(self.sentinel))
            here = [Bystander(self.sentinel), *(Bystander(self.sentinel, self.on(host)) for host in hosts)]
            for bystander in here:
                stack.enter_context(bystander)
            inventory = str(self.environments.root / "inventories/lab")
            ran = self.environments.run("ansible-playbook", "-i", inventory, *VERBOSE, *words, env=environment)
            seen_by_nobody = set().union(*(bystander.look() | bystander.leaks for bystander in here))
        return Observed(ran.returncode, said(ran), watcher.result, seen_by_nobody)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    environments = Environments(tmp_path_factory.mktemp("planted"))
    environments.take("lab")
    ran = environments.bootstrap("lab")
    assert ran.returncode == 0, said(ran)
    secrets = {name: value for name, value in environments.secrets("lab").items() if name not in PUBLIC}
    secrets["the vault's password"] = environments.password_file.read_text().strip()
    lab = Lab(NUMBER)
    lab.down()
    lab.up(["store1"])
    yield Planted(lab, environments, Sentinel(secrets))
    lab.down()


def assert_unseen(planted: Planted, observed: Observed) -> None:
    """Nobody who looked on has seen a secret, and nothing that stays behind shows one."""
    sentinel = planted.sentinel
    assert sentinel.around(observed.output) == []
    assert sentinel.around(planted.log.read_text()) == []
    assert observed.executions.leaks == []
    assert observed.executions.missed <= observed.executions.seen // 20
    assert observed.seen_by_nobody == set()
    for host in planted.lab.present():
        assert sentinel.around(planted.said_on(host, "journalctl", "--all", "--no-pager", "--output=export")) == []
        assert sentinel.around(planted.said_on(host, "systemctl", "show", "--all", "*")) == []
        found = list(files_with_secrets(sentinel, planted.lab.host(host).upper))
        assert [finding.path for finding in found if finding.readable_by_all] == []
        left = ("var/log", "var/tmp", "tmp", "root/.ansible", "home")
        assert [finding.path for finding in found if finding.path.startswith(left)] == []
    remote = Path.home() / ".ansible"
    assert [finding.path for finding in files_with_secrets(sentinel, remote)] == []


@pytest.mark.parametrize("callback", ["default", "pasargad"])
def test_rendering_the_environment_shows_no_secret(planted: Planted, callback: str) -> None:
    planted.said_on("store1", "rm", "-rf", "/etc/pasargad")
    observed = planted.play(*planted.environments.role("app_env"), callback=callback)
    assert observed.code == 0, observed.output
    assert observed.executions.seen > 10
    assert_unseen(planted, observed)
    holders = list(files_with_secrets(planted.sentinel, planted.lab.host("store1").upper))
    assert {finding.path for finding in holders if finding.path.startswith("etc/pasargad/env/")}


def test_a_whole_deploy_shows_no_secret(planted: Planted) -> None:
    for playbook in ("playbooks/lab.yml", "deploy.yml"):
        observed = planted.play(playbook)
        assert observed.code == 0, observed.output[-6000:]
        assert_unseen(planted, observed)
    again = planted.play("deploy.yml", "-e", "pasargad_converge=full", callback="pasargad")
    assert again.code == 0, again.output[-6000:]
    assert_unseen(planted, again)


def test_the_sentinel_sees_what_a_careless_play_shows(planted: Planted) -> None:
    """The negative control: every way of leaking is taken once, and each is noticed."""
    secret = "{{ pasargad_metrics_token }}"
    tasks = [
        {"name": "Show it", "ansible.builtin.debug": {"msg": f"token {secret}"}},
        {"name": "Give it as an argument", "ansible.builtin.command": {"argv": ["/bin/sh", "-c", "sleep 3", secret]}},
        {"name": "Log it", "ansible.builtin.command": {"argv": ["logger", f"token {secret}"]}},
        {
            "name": "Leave it for all to read",
            "ansible.builtin.copy": {"content": secret, "dest": "/etc/leak", "mode": "0644"},
        },
    ]
    book = planted.environments.root / "careless.yml"
    book.write_text(yaml.safe_dump([{"name": "Be careless", "hosts": "store", "gather_facts": False, "tasks": tasks}]))
    observed = planted.play(str(book))
    assert observed.code == 0, observed.output
    token = "vault_pasargad_metrics_token"
    assert planted.sentinel.find(observed.output) == {token}
    assert planted.sentinel.find(planted.log.read_text()) == {token}
    assert token in {name for leak in observed.executions.leaks for name in leak["names"]}
    assert observed.seen_by_nobody == {token}
    journal = planted.said_on("store1", "journalctl", "--all", "--no-pager", "--output=export")
    assert planted.sentinel.find(journal) == {token}
    findings = files_with_secrets(planted.sentinel, planted.lab.host("store1").upper)
    assert [finding.path for finding in findings if finding.readable_by_all] == ["etc/leak"]
    planted.lab.down(["store1"])
    planted.lab.up(["store1"])
