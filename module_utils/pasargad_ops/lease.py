"""Give the whole fleet to one deploy at a time: who deploys, since when, in which phase, with which fencing number.

A playbook is many processes, so no kernel lock spans it. The lease is a file on each web host; the first host hands
out the fencing number and the others accept none that is lower than the last they saw. A lease whose owner is proven
dead (its process is gone from the very machine that asks) or silent for longer than the time to live is taken over; no
human has to remove anything.
"""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .config import ReleaseConfig
from .files import read_json, write_json
from .outcome import Locked, OperationError

# The heartbeat and the phase itself write the lease from two threads of one process; processes exclude each other by
# the host lock.
_writing = threading.Lock()


@dataclass(frozen=True)
class Owner:
    """Who deploys: a person on a controller, and the process whose end proves that the deploy is dead.

    A process is only known within one boot and one namespace of process ids, and a number may come again: `started` is
    its start in clock ticks since that boot. `machine` tells two controllers of the same name apart; it may be empty.
    """

    name: str
    controller: str
    machine: str
    boot_id: str
    pid_namespace: str
    pid: int
    started: int

    @property
    def process(self) -> str:
        return f"{self.pid}.{self.started}"


@dataclass(frozen=True)
class Lease:
    """One deploy's hold on a host; times are seconds since the epoch."""

    deploy_id: str
    owner: Owner
    phase: str
    acquired: float
    renewed: float
    fencing: int

    def words(self, now: float) -> str:
        return (
            f"{self.owner.name} on {self.owner.controller} is deploying (phase {self.phase}, for "
            f"{now - self.acquired:.0f} s, last sign of life {now - self.renewed:.0f} s ago)"
        )


def started_ticks(pid: int) -> int | None:
    """Return when a process of this machine started, in ticks since boot; None when it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def living_processes() -> tuple[str, ...]:
    """Return all living processes of this machine as `pid.started`."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return tuple(f"{pid}.{ticks}" for pid in pids if (ticks := started_ticks(pid)) is not None)


def owner_process(name: str, pid: int) -> Owner:
    """Describe a process of this machine as the owner of a deploy."""
    machine = Path("/etc/machine-id")
    return Owner(
        name=name,
        controller=socket.gethostname(),
        machine=machine.read_text().strip() if machine.exists() else "",
        boot_id=Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        pid_namespace=str(Path("/proc/self/ns/pid").readlink()),
        pid=pid,
        started=started_ticks(pid) or 0,
    )


def lease_path(config: ReleaseConfig) -> Path:
    return config.state_dir / "lease.json"


def read_lease(config: ReleaseConfig) -> Lease | None:
    """Return the lease; one that cannot be read belongs to nobody who could prove it."""
    try:
        values = read_json(lease_path(config))
        return Lease(**{**values, "owner": Owner(**values["owner"])}) if values else None
    except (ValueError, TypeError, KeyError):
        return None


def is_dead(lease: Lease, asker: Owner, living: tuple[str, ...], *, now: float, ttl_seconds: float) -> bool:
    """Decide whether the lease's owner is gone.

    Proven: the asker shares its boot and process ids and does not see the process, or is the same machine after
    another boot. Presumed: nobody has renewed the lease for `ttl_seconds`.
    """
    owner = lease.owner
    if (owner.boot_id, owner.pid_namespace) == (asker.boot_id, asker.pid_namespace):
        return owner.process not in living
    same_machine = bool(owner.machine) and (owner.machine, owner.controller) == (asker.machine, asker.controller)
    if same_machine and owner.boot_id != asker.boot_id:
        return True
    return now - lease.renewed > ttl_seconds


def refuse_while_held(config: ReleaseConfig, deploy_id: str, owner: Owner, living: tuple[str, ...]) -> Lease | None:
    """Return another deploy's lease that may be taken over, if there is one; raise Locked while its owner lives.

    Asked before the host lock is waited for, it names who keeps that.
    """
    now, current = time.time(), read_lease(config)
    if current is None or current.deploy_id == deploy_id:
        return None
    if not is_dead(current, owner, living, now=now, ttl_seconds=config.lease_ttl_seconds):
        raise Locked(
            current.words(now),
            hint="wait for its end, or let this one wait: -e app_release_lock_wait_seconds=600; if it hangs, "
            f"on the host: pasargad-ops break-lock {current.deploy_id}",
            details={"lock": dataclasses.asdict(current)},
        )
    return current


def acquire(
    config: ReleaseConfig,
    deploy_id: str,
    owner: Owner,
    *,
    living: tuple[str, ...] = (),
    fencing: int | None = None,
    last_fencing: int = 0,
) -> tuple[Lease, Lease | None]:
    """Take the lease and return it with the dead one that it replaces; the caller holds the host lock.

    Raises Locked with owner, phase and age while its owner lives, and for a fencing number that is older than the
    newest seen.
    """
    now = time.time()
    other = refuse_while_held(config, deploy_id, owner, living)
    current = read_lease(config)
    newest = max(last_fencing, current.fencing if current else 0)
    if fencing is not None and fencing < newest:
        raise Locked(
            f"this deploy is older (fencing {fencing}) than one this host has seen ({newest})",
            hint="run deploy.yml again",
        )
    same = current if current and not other else None
    number = fencing if fencing is not None else (newest if same else newest + 1)
    lease = Lease(deploy_id, owner, "begin", same.acquired if same else now, now, number)
    with _writing:
        write_json(lease_path(config), dataclasses.asdict(lease))
    return lease, other


def renew(config: ReleaseConfig, deploy_id: str, phase: str) -> Lease:
    """Show a sign of life; raise when the lease is no longer this deploy's."""
    with _writing:
        lease = read_lease(config)
        if lease is None or lease.deploy_id != deploy_id:
            holder = f"{lease.owner.name} took over" if lease else "it has ended or was broken"
            raise OperationError(f"deploy {deploy_id} no longer holds this host: {holder}", hint="run deploy.yml again")
        lease = dataclasses.replace(lease, phase=phase, renewed=time.time())
        write_json(lease_path(config), dataclasses.asdict(lease))
    return lease


def release_lease(config: ReleaseConfig, deploy_id: str) -> bool:
    """Give the lease back; a lease that is somebody else's is left alone."""
    with _writing:
        lease = read_lease(config)
        if lease is None or lease.deploy_id != deploy_id:
            return False
        lease_path(config).unlink()
    return True


@contextlib.contextmanager
def heartbeat(config: ReleaseConfig, deploy_id: str, phase: str) -> Iterator[None]:
    """Renew the lease every few seconds while a long phase works."""
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(max(1.0, config.lease_ttl_seconds / 6)):
            try:
                renew(config, deploy_id, phase)
            except (OperationError, OSError):
                return

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=5)
