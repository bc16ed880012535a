"""Give the whole fleet to one deploy at a time: who deploys, since when, in which phase, with which fencing number.

A playbook is many processes, so no kernel lock spans it. The lease is a file on each web host; the first host hands
out the fencing number and the others accept none that is lower than the last they saw. A lease whose owner is proven
dead (same controller, its process gone) or silent for longer than the time to live is taken over; no human has to
remove anything.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path

from .config import ReleaseConfig
from .files import read_json, write_json
from .outcome import Locked, OperationError


@dataclass(frozen=True)
class Owner:
    """Who deploys: a person on a controller, whose playbook is process `pid` of boot `boot_id`."""

    name: str
    controller: str
    boot_id: str
    pid: int


@dataclass(frozen=True)
class Lease:
    """One deploy's hold on a host; times are seconds since the epoch."""

    deploy_id: str
    owner: Owner
    phase: str
    acquired: float
    renewed: float
    fencing: int

    @property
    def age_seconds(self) -> float:
        return time.time() - self.acquired


def lease_path(config: ReleaseConfig) -> Path:
    return config.state_dir / "lease.json"


def read_lease(config: ReleaseConfig) -> Lease | None:
    values = read_json(lease_path(config))
    if not values:
        return None
    return Lease(**{**values, "owner": Owner(**values["owner"])})


def is_dead(lease: Lease, asker: Owner, living_pids: tuple[int, ...], *, now: float, ttl_seconds: float) -> bool:
    """Decide whether the lease's owner is gone.

    Proven: it ran on the asker's controller, and either that machine has booted since or the asker does not see its
    process. Presumed: nobody has renewed the lease for `ttl_seconds`.
    """
    if lease.owner.controller == asker.controller:
        if lease.owner.boot_id != asker.boot_id:
            return True
        if lease.owner.pid not in living_pids:
            return True
    return now - lease.renewed > ttl_seconds


def refuse_while_held(
    config: ReleaseConfig, deploy_id: str, owner: Owner, living_pids: tuple[int, ...]
) -> Lease | None:
    """Return the lease that may be taken over, if there is one; raise Locked with owner, phase and age while somebody
    else's is alive. Asked before the host lock is waited for, it names who keeps that."""
    now, current = time.time(), read_lease(config)
    if (
        current
        and current.deploy_id != deploy_id
        and not is_dead(current, owner, living_pids, now=now, ttl_seconds=config.lease_ttl_seconds)
    ):
        raise Locked(
            f"{current.owner.name} on {current.owner.controller} is deploying (phase {current.phase}, for "
            f"{current.age_seconds:.0f} s, last sign of life {now - current.renewed:.0f} s ago)",
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
    living_pids: tuple[int, ...] = (),
    fencing: int | None = None,
    last_fencing: int = 0,
) -> Lease:
    """Take the lease, or raise Locked with the owner, phase and age; the caller holds the host lock."""
    now = time.time()
    current = refuse_while_held(config, deploy_id, owner, living_pids)
    newest = max(last_fencing, current.fencing if current else 0)
    if fencing is not None and fencing < newest:
        raise Locked(
            f"this deploy is older (fencing {fencing}) than one this host has seen ({newest})",
            hint="run deploy.yml again",
        )
    same = current is not None and current.deploy_id == deploy_id
    number = fencing if fencing is not None else (newest if same else newest + 1)
    lease = Lease(deploy_id, owner, "lock", current.acquired if same and current else now, now, number)
    write_json(lease_path(config), dataclasses.asdict(lease))
    return lease


def renew(config: ReleaseConfig, deploy_id: str, phase: str) -> Lease:
    """Show a sign of life; raise when the lease is no longer this deploy's."""
    lease = read_lease(config)
    if lease is None or lease.deploy_id != deploy_id:
        holder = f"{lease.owner.name} took over" if lease else "the lease is gone"
        raise OperationError(f"this deploy no longer holds the host: {holder}", hint="run deploy.yml again")
    lease = dataclasses.replace(lease, phase=phase, renewed=time.time())
    write_json(lease_path(config), dataclasses.asdict(lease))
    return lease


def release_lease(config: ReleaseConfig, deploy_id: str) -> bool:
    """Give the lease back; a lease that is somebody else's is left alone."""
    lease = read_lease(config)
    if lease is None or lease.deploy_id != deploy_id:
        return False
    lease_path(config).unlink()
    return True
