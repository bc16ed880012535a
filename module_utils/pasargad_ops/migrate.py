"""Bring the schema forward before a release goes live, once for the fleet, in a way that survives the loss of the
controller."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from pathlib import Path

from . import shell, units
from .artefact import CONTRACT, Release
from .config import ReleaseConfig
from .manage import command_error, manage, unit_properties
from .outcome import OperationError, Refused

RETRIABLE = ("LockNotAvailable", "lock timeout", "DeadlockDetected", "deadlock detected")


@dataclass(frozen=True)
class Expansion:
    """What the expand phase did: the migrations applied, the restore point before them, the tries it took."""

    applied: list[str]
    restore_point: str
    tries: int


def pending(config: ReleaseConfig, release: Release, env: str) -> list[str]:
    """Return the migrations of this release that the live database has not got, as `app.name`, in order."""
    output = manage(config, release.release, env, ["showmigrations", "--plan", "--no-color"], migrator=True).stdout
    return [line.split()[2] for line in output.splitlines() if line.startswith("[ ]")]


def applied(config: ReleaseConfig, release: Release, env: str) -> set[str]:
    """Return the migrations recorded in the live database that this release knows."""
    output = manage(config, release.release, env, ["showmigrations", "--plan", "--no-color"], migrator=True).stdout
    return {line.split()[2] for line in output.splitlines() if line.startswith("[X]")}


def contracting(release: Release, names: list[str]) -> list[str]:
    """Return those of `names` that older code would not survive."""
    phases = {f"{app}.{name}": phase for app, name, phase in release.migrations}
    return [name for name in names if phases.get(name) == CONTRACT]


def restore_point(config: ReleaseConfig, release: Release, env: str, deploy_id: str) -> Path:
    """Dump the database and prove that the dump can be read; return its path."""
    config.backup_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    target = config.backup_dir / f"before-{release.release}-{deploy_id}.dump"
    if target.exists():
        return target
    temporary = target.with_suffix(".tmp")
    settings = _migrator_settings(config, env)
    environment = {
        "PATH": "/usr/bin:/bin",
        "PGPASSWORD": settings["DB_PASSWORD"],
        "PGHOST": settings["DB_HOST"],
        "PGPORT": settings["DB_PORT"],
        "PGUSER": settings["DB_USER"],
        "PGDATABASE": settings["DB_NAME"],
    }
    temporary.touch(mode=0o600)
    shell.run(["pg_dump", "-Fc", "-Z1", "--lock-wait-timeout=10s", "-f", str(temporary)], env=environment, timeout=900)
    listing = shell.run(["pg_restore", "--list", str(temporary)], timeout=120).stdout
    if "dbname:" not in listing:
        raise OperationError(f"{temporary} cannot be read back", hint="check the disk; no migration was begun")
    temporary.rename(target)
    for old in sorted(config.backup_dir.glob("before-*.dump"), key=lambda path: path.stat().st_mtime)[:-5]:
        old.unlink()
    return target


def _migrator_settings(config: ReleaseConfig, env: str) -> dict[str, str]:
    from .env_file import parse

    settings = parse((config.env_dir / f"{env}.env").read_text())
    return {**settings, **parse((config.env_dir / "migrator.env").read_text())}


def expand(config: ReleaseConfig, release: Release, env: str, deploy_id: str, *, allow_contract: bool) -> Expansion:
    """Apply the pending migrations; raises Refused for those that would break the release that serves now.

    Only lock conflicts are tried again, a bounded number of times with random pauses.
    """
    names = pending(config, release, env)
    if not names:
        return Expansion([], "", 0)
    fresh = not applied(config, release, env)
    breaking = [] if fresh or allow_contract else contracting(release, names)
    if breaking:
        raise Refused(
            f"{', '.join(breaking)} would break the release that serves now",
            hint="ship the code that no longer needs it first; then deploy with -e app_release_allow_contract=true",
        )
    point = "" if fresh else str(restore_point(config, release, env, deploy_id))
    unit = f"pasargad-migrate-{deploy_id}"
    properties = unit_properties(config, release.release, env, migrator=True)
    for attempt in range(1, config.lock_retries + 1):
        code, output = units.run_transient(
            config,
            unit,
            ["/usr/bin/python3", "manage.py", "migrate", "--no-input", "--no-color"],
            properties=properties,
            timeout=config.migrate_timeout_seconds,
        )
        if code == 0:
            break
        if not any(word in output for word in RETRIABLE) or attempt == config.lock_retries:
            raise command_error(["migrate"], output)
        time.sleep(random.uniform(0.3, 2.0))  # noqa: S311 - jitter needs no secrecy
    return Expansion(names, point, attempt)
