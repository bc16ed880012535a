"""Bring the schema forward before a release goes live, once for the fleet, in a way that survives the loss of the
controller.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from . import units
from .artefact import CONTRACT, Release
from .config import ReleaseConfig
from .journal import Journal
from .manage import PYTHON, command_error, manage, unit_properties
from .masking import secret_values
from .outcome import OperationError, Refused
from .restore_point import make_restore_point

UNIT = "pasargad-migrate"
# What PostgreSQL says for 55P03 and 40P01: the migration met somebody's lock and may simply be tried again.
RETRIABLE = ("LockNotAvailable", "lock timeout", "DeadlockDetected", "deadlock detected")


@dataclass(frozen=True)
class Plan:
    """What the live database has of a release's migrations, as `app.name` in order."""

    applied: tuple[str, ...]
    pending: tuple[str, ...]


@dataclass(frozen=True)
class Expansion:
    """What the expand phase did: the migrations applied, the restore point before them, the tries it took."""

    applied: tuple[str, ...]
    restore_point: str
    tries: int


def read_plan(config: ReleaseConfig, release: Release, env: str) -> Plan:
    """Ask the release itself which of its migrations the live database has."""
    output = manage(config, release.release, env, ["showmigrations", "--plan", "--no-color"], migrator=True).stdout
    marked = [(line[:3], line[3:].split()[0]) for line in output.splitlines() if line[:3] in ("[X]", "[ ]")]
    return Plan(
        tuple(name for mark, name in marked if mark == "[X]"), tuple(name for mark, name in marked if mark == "[ ]")
    )


def contracting(release: Release, names: Sequence[str]) -> list[str]:
    """Return those of `names` that older code would not survive."""
    phases = {f"{app}.{name}": phase for app, name, phase in release.migrations}
    return [name for name in names if phases.get(name) == CONTRACT]


def refusal(release: Release, plan: Plan, *, allow_contract: bool) -> Refused | None:
    """Return why the pending migrations may not be applied now, if so. An empty database has no older code to break."""
    breaking = contracting(release, plan.pending) if plan.applied and not allow_contract else []
    if not breaking:
        return None
    return Refused(
        f"{', '.join(breaking)} would break the release that serves now",
        hint="first ship the code that no longer needs what is removed; when it serves everywhere, deploy with "
        "-e app_release_allow_contract=true",
    )


def is_retriable(output: Sequence[str]) -> bool:
    """Tell whether a migration failed only because somebody held a lock."""
    return any(word in line for line in output for word in RETRIABLE)


def await_running(config: ReleaseConfig) -> list[str]:
    """Wait for migrations that an earlier deploy left running on this host; return their units."""
    names = [name.removesuffix(".service") for name in units.running(f"{UNIT}-*.service")]
    for name in names:
        units.await_transient(name, timeout=config.migrate_timeout_seconds, since=time.time())
    return names


def expand(config: ReleaseConfig, release: Release, env: str, journal: Journal, *, allow_contract: bool) -> Expansion:
    """Apply the pending migrations; raises Refused for those that would break the release that serves now."""
    attached = await_running(config)
    if attached:
        journal.write("expand", "attached", units=attached)
    plan = read_plan(config, release, env)
    if not plan.pending:
        return Expansion((), "", 0)
    if refused := refusal(release, plan, allow_contract=allow_contract):
        raise refused
    point = str(make_restore_point(config, release, env, journal.deploy_id)) if plan.applied else ""
    journal.write("expand", "restore_point", path=point)
    tries = apply(config, release, env, journal)
    return Expansion(plan.pending, point, tries)


def apply(config: ReleaseConfig, release: Release, env: str, journal: Journal) -> int:
    """Run the migrations in a unit of their own; return the number of tries.

    Only lock conflicts are tried again, a bounded number of times with random pauses, so that writers get through
    between them.
    """
    unit = f"{UNIT}-{journal.deploy_id}"
    properties = unit_properties(config, release.release, env, migrator=True)
    for attempt in range(1, config.lock_retries + 1):
        started = time.time()
        units.start_transient(unit, [PYTHON, "-m", "pasargad_ops.migration_guard"], properties=properties)
        journal.write("expand", "started", unit=unit, attempt=attempt)
        code, output = units.await_transient(unit, timeout=config.migrate_timeout_seconds, since=started)
        if code == 0:
            return attempt
        if not is_retriable(output):
            raise command_error("manage.py migrate", output, secret_values(config, env))
        time.sleep(random.uniform(0.3, 2.0))  # noqa: S311 - jitter needs no secrecy
    raise OperationError(
        f"the migration met another lock in each of {config.lock_retries} tries",
        hint="find the long transaction: SELECT pid, xact_start, query FROM pg_stat_activity ORDER BY 2; "
        "then run deploy.yml again",
        details={"log": output[-30:]},
    )
