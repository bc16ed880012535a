"""What can be done with a lab: one function per command, each safe to repeat."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .base import ensure_base
from .errors import LabError
from .host import ARCHIVES, CA_FILE, Host
from .kernel import ensure_inotify_instances
from .keys import ensure_ca, ensure_ssh_keys
from .names import OCTETS, LabNames, checked_host, checked_layer, release_for
from .network import ensure_network, remove_network
from .paths import LabPaths
from .shell import locked, require_tools, run


def say_to_stderr(line: str) -> None:
    """Print a line of progress."""
    print(f"lab: {line}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Lab:
    """Lab `number` of this machine."""

    number: int
    paths: LabPaths = field(default_factory=LabPaths)
    say: Callable[[str], None] = say_to_stderr

    @property
    def names(self) -> LabNames:
        """Names and addresses that follow from the number."""
        return LabNames(self.number)

    def host(self, name: str) -> Host:
        """A host of this lab, whether it exists or not."""
        return Host(self.paths, self.names, checked_host(name))

    def present(self) -> list[str]:
        """Names of the hosts that have a disk, in the order of their addresses."""
        return [name for name in OCTETS if self.host(name).exists()]

    def up(self, hosts: Sequence[str], *, release: str | None = None, layer: str | None = None) -> bool:
        """Make and start hosts, and wait until SSH answers; True when anything had to be done."""
        require_tools()
        wanted = [self.host(name) for name in hosts]
        with self._locked():
            ensure_ssh_keys(self.paths)
            ensure_ca(self.paths, self.number)
            ensure_inotify_instances()
            changed = [self._ensure_disk(host, release, layer) for host in wanted]
            changed.append(ensure_network(self.names))
            changed.extend(self._start(wanted))
        return any(changed)

    def would_change(self, hosts: Sequence[str], *, present: bool) -> bool:
        """Whether `up` (or `down`) of these hosts would have something to do."""
        chosen = [self.host(name) for name in hosts]
        if present:
            return any(host.pid() is None for host in chosen)
        return any(host.directory.exists() for host in chosen)

    def _ensure_disk(self, host: Host, release: str | None, layer: str | None) -> bool:
        if host.exists():
            self._check_disk(host, release, layer)
            return False
        chosen = release_for(host.name, release)
        base, _ = ensure_base(self.paths, chosen, self.say)
        lower = [base]
        if layer is not None:
            meta = self._layer_meta(layer)
            if meta["release"] != chosen:
                raise LabError(
                    f"Layer {layer} is {meta['release']}, host {host.name} is to be {chosen}.",
                    hint="Name a layer of the same release.",
                )
            lower = [Path(str(path)) for path in meta["lower"]]  # type: ignore[attr-defined]
        host.create(chosen, layer, lower)
        return True

    def _check_disk(self, host: Host, release: str | None, layer: str | None) -> None:
        state = host.state()
        for word, wanted in (("release", release and release_for(host.name, release)), ("layer", layer)):
            if wanted and state[word] != wanted:
                hint = f"Remove it first: down --lab {self.number} {host.name}"
                raise LabError(f"Host {host.name} exists with {word} {state[word] or 'none'}, not {wanted}.", hint=hint)

    def _start(self, hosts: Sequence[Host]) -> list[bool]:
        present = self.present()
        off = [host for host in hosts if host.pid() is None]
        for host in hosts:
            host.start(present)
        for name in present:
            other = self.host(name)
            if other.root.is_mount():
                other.write_hosts(present)
        for host in hosts:
            word = host.wait_ready()
            if host in off:
                self.say(f"{host.name} is up at {host.address} ({host.state()['release']}, {word})")
        return [host in off for host in hosts]

    def down(self, hosts: Sequence[str] = ()) -> bool:
        """Remove hosts with their disks (all of them unless named), and the lab itself with its last host."""
        chosen = [self.host(name) for name in hosts or OCTETS]
        changed = False
        with self._locked():
            for host in chosen:
                if host.directory.exists() or host.pid() is not None:
                    host.remove(self.say)
                    self.say(f"{host.name} is removed")
                    changed = True
            if not self.present():
                remove_network(self.names)
                if self.paths.lab(self.number).exists():
                    shutil.rmtree(self.paths.lab(self.number))
                    changed = True
        return changed

    def stop(self, hosts: Sequence[str]) -> None:
        """Shut hosts down in order; they keep their disks."""
        with self._locked():
            for host in self._existing(hosts):
                host.stop()
                host.collect_packages()

    def kill(self, hosts: Sequence[str]) -> None:
        """Cut the power of hosts; they keep their disks."""
        with self._locked():
            for host in self._existing(hosts):
                host.cut_power()

    def start(self, hosts: Sequence[str]) -> bool:
        """Start hosts that exist."""
        self._existing(hosts)
        return self.up(hosts)

    def restart(self, hosts: Sequence[str]) -> None:
        """Shut hosts down in order and start them again."""
        self.stop(hosts)
        self.up(hosts)

    def snapshot(self, host_name: str, layer: str, *, replace: bool = False) -> None:
        """Save what a host has on its disk as a layer for new hosts; the host is stopped meanwhile."""
        (host,) = self._existing([host_name])
        target = self.paths.layers / checked_layer(layer)
        with self._locked():
            if target.exists() and not replace:
                raise LabError(f"Layer {layer} exists.", hint="Add --replace to make it anew.")
            if target.exists():
                self._check_unused(target)
            running = host.pid() is not None
            host.stop()
            host.collect_packages()
            with locked(self.paths.lock("layers")):
                self._save_layer(host, target)
            if running:
                self._start([host])

    def remove_layer(self, layer: str) -> None:
        """Delete a saved layer that no host stands on."""
        self._layer_meta(layer)
        target = self.paths.layers / layer
        self._check_unused(target)
        shutil.rmtree(target)

    def _save_layer(self, host: Host, target: Path) -> None:
        temporary = target.with_name(f"{target.name}.tmp")
        for stale in (temporary, target):
            if stale.exists():
                shutil.rmtree(stale)
        temporary.mkdir(parents=True)
        run(["cp", "--archive", "--reflink=auto", str(host.upper), str(temporary / "upper")])
        for private in (ARCHIVES, CA_FILE, "etc/machine-id", "etc/hosts", "etc/hostname", "var/log/journal"):
            path = temporary / "upper" / private
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        state = host.state()
        lower = [str(target / "upper"), *state["lower"]]  # type: ignore[misc]
        (temporary / "layer.json").write_text(json.dumps({"release": state["release"], "lower": lower}))
        temporary.rename(target)

    def _check_unused(self, target: Path) -> None:
        for state in self.paths.root.glob("labs/*/hosts/*/state.json"):
            if str(target / "upper") in json.loads(state.read_text())["lower"]:
                raise LabError(f"Layer {target.name} carries a host: {state.parent}.", hint="Remove that host first.")

    def _layer_meta(self, layer: str) -> dict[str, object]:
        path = self.paths.layers / checked_layer(layer) / "layer.json"
        if not path.exists():
            known = sorted(found.parent.name for found in self.paths.layers.glob("*/layer.json"))
            raise LabError(
                f"There is no layer '{layer}'.",
                hint=f"Layers: {', '.join(known) or 'none yet; make one with snapshot'}.",
            )
        return dict(json.loads(path.read_text()))

    def status(self) -> list[dict[str, object]]:
        """One entry per host with a disk."""
        entries: list[dict[str, object]] = []
        for name in self.present():
            host = self.host(name)
            state = host.state()
            word = "on" if host.pid() is not None else "off"
            entries.append({"lab": self.number, "host": name, "address": host.address, "power": word, **state})
        return entries

    def _existing(self, hosts: Sequence[str]) -> list[Host]:
        found = [self.host(name) for name in hosts]
        for host in found:
            if not host.exists():
                raise LabError(
                    f"Lab {self.number} has no host {host.name}.", hint=f"Make it: up --lab {self.number} {host.name}"
                )
        return found

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Only one operation at a time changes a lab."""
        with locked(self.paths.lock(f"lab-{self.number}")):
            yield


def all_labs(paths: LabPaths) -> list[Lab]:
    """Every lab that has a directory."""
    numbers = sorted(int(path.name) for path in (paths.root / "labs").glob("*") if path.name.isdigit())
    return [Lab(number, paths) for number in numbers]
