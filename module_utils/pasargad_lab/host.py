"""One lab host: an overlay over a base tree, booted by systemd-nspawn."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import processes
from .errors import LabError
from .names import LabNames, with_block
from .network import close_shared_connections, resolver_text
from .paths import LabPaths
from .shell import run, wait_until, write_atomically

BOOT_SECONDS = 90
ARCHIVES = "var/cache/apt/archives"
CA_FILE = "usr/local/share/ca-certificates/pasargad-lab.crt"
ENVIRONMENT = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8")


@dataclass(frozen=True)
class Host:
    """A host of a lab; all state is in its directory and in the process table."""

    paths: LabPaths
    names: LabNames
    name: str

    @property
    def directory(self) -> Path:
        """Where everything of this host lies."""
        return self.paths.host(self.names.number, self.name)

    @property
    def upper(self) -> Path:
        """What the host has changed over its lower layers."""
        return self.directory / "upper"

    @property
    def root(self) -> Path:
        """The host's / as mounted on the control node."""
        return self.directory / "root"

    @property
    def console(self) -> Path:
        """The console of the current boot."""
        return self.directory / "console.log"

    @property
    def machine(self) -> str:
        """The systemd-nspawn machine name."""
        return self.names.machine(self.name)

    @property
    def address(self) -> str:
        """The host's IPv4 address."""
        return self.names.address(self.name)

    def exists(self) -> bool:
        """Whether the host has a disk."""
        return (self.directory / "state.json").exists()

    def state(self) -> dict[str, object]:
        """What `create` recorded: release, layer, lower directories (uppermost first)."""
        return dict(json.loads((self.directory / "state.json").read_text()))

    def pid(self) -> int | None:
        """The host's PID 1 on this machine, None while it is off."""
        return processes.leader(self.upper)

    def create(self, release: str, layer: str | None, lower: Sequence[Path]) -> None:
        """Give the host an empty disk over `lower`; what an interrupted removal left is removed first."""
        if self.directory.exists():
            self._release_disk()
        for name in ("upper", "work", "root"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        state = {"release": release, "layer": layer, "lower": [str(path) for path in lower]}
        write_atomically(self.directory / "state.json", json.dumps(state))

    def start(self, present: Sequence[str]) -> None:
        """Mount the disk, write what the lab decides and boot; a host that is on stays untouched."""
        if self.pid() is not None:
            self.write_hosts(present)
            return
        processes.power_cut(self.machine, self.upper)
        if not self.root.is_mount():
            self._share_packages()
            self._mount()
        self._write_identity()
        self.write_hosts(present)
        self._trust_ca()
        close_shared_connections(self.address)
        processes.spawn(self.machine, self.root, self.names.bridge, self.console)

    def _mount(self) -> None:
        lower = [Path(str(path)) for path in self.state()["lower"]]  # type: ignore[attr-defined]
        gone = [str(path) for path in lower if not path.is_dir()]
        if gone:
            raise LabError(
                f"{self.name} stands on {', '.join(gone)}, which is gone.", hint="Remove the host and make it again."
            )
        options = f"lowerdir={':'.join(map(str, lower))},upperdir={self.upper},workdir={self.directory / 'work'}"
        run(
            [
                "mount",
                "-t",
                "overlay",
                "-o",
                f"{options},redirect_dir=off,index=off,metacopy=off",
                self.machine,
                str(self.root),
            ]
        )

    def _write_identity(self) -> None:
        """Name, address, resolver, keys: what a real machine gets from its installer."""
        root = self.root
        write_atomically(root / "etc/hostname", f"{self.name}\n")
        write_atomically(root / "etc/systemd/network/10-host0.network", self.names.network_file(self.name))
        (root / "etc/resolv.conf").unlink(missing_ok=True)
        write_atomically(root / "etc/resolv.conf", resolver_text())
        machine_id = root / "etc/machine-id"
        if not machine_id.exists() or not machine_id.read_text().strip():
            write_atomically(machine_id, f"{uuid.uuid4().hex}\n", mode=0o444)
        keys = self.paths.ssh
        write_atomically(root / "etc/ssh/ssh_host_ed25519_key", (keys / "host_ed25519").read_text(), mode=0o600)
        write_atomically(root / "etc/ssh/ssh_host_ed25519_key.pub", (keys / "host_ed25519.pub").read_text())
        (root / "root/.ssh").mkdir(mode=0o700, exist_ok=True)
        write_atomically(root / "root/.ssh/authorized_keys", (keys / "id_ed25519.pub").read_text(), mode=0o600)

    def write_hosts(self, present: Sequence[str]) -> None:
        """Keep the lab's block in /etc/hosts; other lines belong to the host."""
        path = self.root / "etc/hosts"
        head = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"
        text = path.read_text() if path.exists() else head
        write_atomically(path, with_block(text, self.names.hosts_block(present)))

    def _trust_ca(self) -> None:
        certificate = (self.paths.ca(self.names.number) / "ca.crt").read_text()
        if write_atomically(self.root / CA_FILE, certificate):
            run(["chroot", str(self.root), "update-ca-certificates", "--fresh"])

    def _share_packages(self) -> None:
        """Offer downloaded Debian packages of all hosts to this one, as hard links in its own cache; call unmounted."""
        archives = self.upper / ARCHIVES
        archives.mkdir(parents=True, exist_ok=True)
        for package in self.paths.packages(str(self.state()["release"])).glob("*.deb"):
            link_once(package, archives / package.name)

    def collect_packages(self) -> None:
        """Keep the Debian packages that this host has downloaded for the next host."""
        shared = self.paths.packages(str(self.state()["release"]))
        shared.mkdir(parents=True, exist_ok=True)
        for package in (self.upper / ARCHIVES).glob("*.deb"):
            link_once(package, shared / package.name)

    def wait_ready(self, seconds: float = BOOT_SECONDS) -> str:
        """Wait for systemd and SSH; return systemd's word for it (running or degraded)."""
        deadline = time.monotonic() + seconds
        seen_off = 0
        while time.monotonic() < deadline:
            alive = bool(self.pid() or processes.supervisors(self.machine))
            seen_off = 0 if alive else seen_off + 1
            if seen_off > 3:
                raise self._boot_error("ended while it booted")
            if self.pid():
                word = self._system_word()
                if word in ("running", "degraded") and self._answers_ssh():
                    return word
            time.sleep(0.15)
        raise self._boot_error(f"was not ready after {seconds:.0f} s")

    def _system_word(self) -> str:
        """What systemctl is-system-running says; empty while nobody answers."""
        try:
            return self.execute(["timeout", "5", "systemctl", "is-system-running"], capture=True).stdout.strip()
        except LabError:
            return ""

    def _answers_ssh(self) -> bool:
        try:
            with socket.create_connection((self.address, 22), timeout=1) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def _boot_error(self, what: str) -> LabError:
        text = self.console.read_text(errors="replace") if self.console.exists() else ""
        tail = "\n".join(text.strip().splitlines()[-15:]) or "(empty)"
        return LabError(
            f"Host {self.name} ({self.machine}) {what}. Last lines of its console:\n{tail}\n",
            hint=f"All of it: {self.console}",
        )

    def execute(self, command: Sequence[str], *, capture: bool = False) -> subprocess.CompletedProcess[str]:
        """Run a command inside the running host as root, without SSH."""
        pid = self.pid()
        if pid is None:
            raise LabError(
                f"Host {self.name} of lab {self.names.number} is off.",
                hint=f"Start it: up --lab {self.names.number} {self.name}",
            )
        enter = [
            "nsenter",
            f"--target={pid}",
            *(f"--{kind}" for kind in ("mount", "uts", "ipc", "net", "pid", "cgroup")),
            "--root",
            "--wd",
        ]
        argv = [*enter, "env", "-i", *ENVIRONMENT, f"TERM={os.environ.get('TERM', 'dumb')}", *command]
        return subprocess.run(argv, capture_output=capture, text=True, check=False)

    def stop(self) -> None:
        """Shut down in order."""
        if self.pid() is not None:
            processes.power_off(self.machine, self.upper)
        close_shared_connections(self.address)

    def cut_power(self) -> None:
        """End every process of the host without warning; the disk stays."""
        processes.power_cut(self.machine, self.upper)
        close_shared_connections(self.address)

    def remove(self, say: Callable[[str], None]) -> None:
        """Remove the host with its disk, whatever state it is in."""
        self.cut_power()
        if self.exists():
            self.collect_packages()
        if not self._release_disk():
            say(f"{self.name}: the disk was in use; it goes with its last user")

    def _release_disk(self) -> bool:
        """Unmount and delete; False when somebody on the control node still held the disk."""
        free = True
        if self.root.is_mount():
            free = wait_until(lambda: run(["umount", str(self.root)], check=False).returncode == 0, 5)
            if not free:
                run(["umount", "--lazy", str(self.root)])
        # Without its state the host does not exist, even if this is interrupted.
        (self.directory / "state.json").unlink(missing_ok=True)
        shutil.rmtree(self.directory)
        return free


def link_once(source: Path, target: Path) -> None:
    """Hard-link a file unless the target exists; two labs may do so at once."""
    with contextlib.suppress(FileExistsError):
        os.link(source, target)
