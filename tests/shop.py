"""Drive a deployed shop on lab hosts: the one door of end-to-end tests and benchmarks to playbooks and hosts.

`Shop(lab=N)` stands for lab N with the hosts store1 and outside. Its methods run the very commands an operator types,
measured from Enter to prompt. As a program it deploys a lab (`python3 -m tests.shop up --lab N`) or removes it.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
LAB_ROOT = Path("/var/lib/pasargad-lab")
DOMAIN = "shop.pasargad.test"


class CommandFailed(AssertionError):
    """A command ended with another exit code than asked for; the text holds its last lines."""


@dataclass(frozen=True)
class Run:
    """One finished command: exit code, both streams, wall time in seconds."""

    command: tuple[str, ...]
    code: int
    output: str
    seconds: float

    def require(self, code: int = 0) -> Run:
        """Return self, or raise CommandFailed when the exit code differs."""
        if self.code != code:
            tail = "\n".join(self.output.splitlines()[-60:])
            raise CommandFailed(f"{' '.join(self.command)}: exit {self.code}, wanted {code}\n{tail}")
        return self


def run(
    command: list[str],
    *,
    timeout: float = 900,
    env: dict[str, str] | None = None,
    stdin: str | None = None,
    directory: Path = REPOSITORY,
) -> Run:
    """Run a command with both streams joined; never raises on a non-zero exit."""
    started = time.monotonic()
    finished = subprocess.run(
        command,
        cwd=directory,
        env={**os.environ, **(env or {})},
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
    )
    return Run(tuple(command), finished.returncode, finished.stdout, time.monotonic() - started)


def machine() -> dict[str, object]:
    """Describe the machine a figure was measured on."""
    model = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": model.group(1) if model else "unknown",
        "cores": os.cpu_count(),
        "memory_gib": round(memory_bytes / 2**30, 1),
        "kernel": os.uname().release,
    }


def copy_checkout(target: Path) -> Path:
    """Copy what git tracks or does not ignore, and the lab's secrets: a second version, to be changed and deployed."""
    listed = run(["git", "ls-files", "-co", "--exclude-standard", "-z"]).require().output
    names = [name for name in listed.split("\0") if name] + [".secrets", "inventories/lab/group_vars/store/vault.yml"]
    for name in names:
        source, destination = REPOSITORY / name, target / name
        if not source.exists() and not source.is_symlink():
            continue
        destination.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir() and not source.is_symlink():
            shutil.copytree(source, destination, symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copy2(source, destination, follow_symlinks=False)
    for shared in (".venv", ".build", ".cache", ".git"):
        # A copy of a copy has brought the link along.
        if (REPOSITORY / shared).exists() and not (target / shared).is_symlink():
            (target / shared).symlink_to(REPOSITORY / shared)
    target.chmod(0o755)
    return target


class Shop:
    """A lab of the simplest shape (store1 and outside), reached as an operator reaches it."""

    def __init__(
        self,
        lab: int,
        *,
        release: str = "bookworm",
        inventory: str = "inventories/lab",
        checkout: Path = REPOSITORY,
        variables: dict[str, object] | None = None,
    ) -> None:
        self.lab, self.release, self.inventory, self.checkout = lab, release, inventory, checkout
        # Every playbook gets the same variables, or the host would be provisioned anew by the one that lacks them.
        self.variables = {"pasargad_lab_number": lab, **(variables or {})}
        self.network = f"10.231.{lab}"
        self.bin = REPOSITORY / ".venv" / "bin"

    @property
    def environment(self) -> dict[str, str]:
        """What playbooks see beside the caller's environment, which may name another checkout's ansible.cfg."""
        return {"ANSIBLE_CONFIG": str(self.checkout / "ansible.cfg")}

    @property
    def address(self) -> str:
        return f"{self.network}.11"

    @property
    def ca_file(self) -> Path:
        """The lab's own authority, which signed the certificates of the services outside."""
        return LAB_ROOT / "labs" / str(self.lab) / "ca" / "ca.crt"

    def lab_command(self, *arguments: str) -> list[str]:
        verb, *rest = arguments
        return [str(self.bin / "python3"), "-m", "pasargad_lab", verb, "--lab", str(self.lab), *rest]

    def lab_run(self, *arguments: str, timeout: float = 600) -> Run:
        return run(self.lab_command(*arguments), timeout=timeout, env={"PYTHONPATH": str(REPOSITORY / "module_utils")})

    def playbook_command(self, playbook: str, *arguments: str) -> list[str]:
        return [
            str(self.bin / "ansible-playbook"),
            "-i",
            self.inventory,
            playbook,
            "-e",
            json.dumps(self.variables),
            *arguments,
        ]

    def playbook(self, playbook: str, *arguments: str, timeout: float = 1200, env: dict[str, str] | None = None) -> Run:
        command = self.playbook_command(playbook, *arguments)
        return run(command, timeout=timeout, env={**self.environment, **(env or {})}, directory=self.checkout)

    def begin(self, playbook: str, *arguments: str, **options: Any) -> subprocess.Popen[Any]:
        """Start a playbook beside the caller; its streams are what `options` say."""
        return subprocess.Popen(
            self.playbook_command(playbook, *arguments),
            cwd=self.checkout,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            **options,
        )

    def deploy(self, *arguments: str, timeout: float = 1200) -> Run:
        return self.playbook("deploy.yml", *arguments, timeout=timeout)

    def paths_to_warm(self, host: str = "store1") -> list[str]:
        """Return the paths that the release which serves on a web host calls worth warming."""
        ask = (
            f"curl -sf --unix-socket /run/pasargad/live.sock -H 'X-Forwarded-Proto: https' http://{DOMAIN}/health/warm"
        )
        return [str(path) for path in json.loads(self.on(host, ask).require().output)["paths"]]

    def on(self, host: str, command: str, *, timeout: float = 120) -> Run:
        """Run a shell command on a lab host as root."""
        return self.lab_run("exec", host, "--", "sh", "-c", command, timeout=timeout)

    def status(self) -> dict[str, object]:
        """Return what `pasargad-ops status --json` says on the store host."""
        return json.loads(self.on("store1", "pasargad-ops status --json").require().output)

    def bare(self) -> None:
        """Create the hosts and the secrets, and leave the hosts as Debian makes them; does nothing twice."""
        self.lab_run("up", "store1", "outside", "--release", self.release).require()
        (REPOSITORY / ".cache").mkdir(exist_ok=True)
        # All labs of a checkout have the same secrets: of two shops made at once only one may write them.
        with (REPOSITORY / ".cache/secrets.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.playbook("playbooks/bootstrap.yml", "-e", "pasargad_environment=lab").require()

    def up(self) -> None:
        """Create the hosts, the secrets and the world outside, and deploy; does nothing twice."""
        self.bare()
        self.playbook("playbooks/lab.yml").require()
        self.deploy().require()

    def down(self) -> None:
        self.lab_run("down").require()

    @contextmanager
    def for_a_while(self, *, keep: bool = False) -> Iterator[Shop]:
        """Deploy, and remove the hosts at the end, also of a failure, unless they are to be kept."""
        try:
            self.up()
            yield self
        finally:
            if not keep:
                self.down()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("verb", choices=("up", "down"))
    parser.add_argument("--lab", type=int, required=True)
    parser.add_argument("--release", default="bookworm", choices=("bookworm", "trixie"))
    options = parser.parse_args()
    shop = Shop(options.lab, release=options.release)
    shop.up() if options.verb == "up" else shop.down()
    return 0


if __name__ == "__main__":
    sys.exit(main())
