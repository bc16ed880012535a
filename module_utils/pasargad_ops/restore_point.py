"""Dump the database before its schema changes, and prove that the dump can be read back."""

from __future__ import annotations

import os
from pathlib import Path

from . import shell
from .artefact import Release
from .config import ReleaseConfig
from .env_file import parse
from .outcome import OperationError

KEPT = 5
# What the backups keep in the database is theirs; the migrator may not read it.
OTHERS = "--exclude-schema=pasargad_ops"


def make_restore_point(config: ReleaseConfig, release: Release, env: str, deploy_id: str) -> Path:
    """Return the path of a verified dump; nothing of the schema has been touched when this raises."""
    config.backup_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    target = config.backup_dir / f"before-{release.release}-{deploy_id}.dump"
    if target.exists():
        return target
    temporary = target.with_suffix(".tmp")
    for leftover in config.backup_dir.glob("before-*.tmp"):
        leftover.unlink()
    temporary.touch(mode=0o600)
    command = ["pg_dump", "-Fc", "-Z1", "--lock-wait-timeout=10s", OTHERS, "-f", str(temporary)]
    try:
        shell.run(command, env=connection_environment(config, env), timeout=3600)
        listing = shell.run(["pg_restore", "--list", str(temporary)], timeout=600).stdout
    except OperationError as error:
        temporary.unlink(missing_ok=True)
        raise OperationError(
            f"no restore point, so no migration was begun: {error.message}",
            hint=error.hint
            or f"mend the cause (space on {config.backup_dir}? rights of the migrator?), run deploy.yml again",
        ) from error
    if "dbname:" not in listing:
        temporary.unlink()
        raise OperationError(f"{temporary} cannot be read back", hint="check the disk; no migration was begun")
    temporary.rename(target)
    dumps = sorted(config.backup_dir.glob("before-*.dump"), key=lambda path: path.stat().st_mtime)
    for old in dumps[:-KEPT]:
        old.unlink()
    return target


def command(dump: Path) -> str:
    """Return what people type, on this host, to see what going back to a dump costs."""
    return f"pasargad-ops restore-point {dump}"


def connection_environment(config: ReleaseConfig, env: str) -> dict[str, str]:
    """Return libpq's variables for the migrator's direct connection; the password stays out of every command line."""
    settings = parse((config.env_dir / f"{env}.env").read_text())
    settings |= parse((config.env_dir / "migrator.env").read_text())
    names = {
        "PGPASSWORD": "DB_PASSWORD",
        "PGHOST": "DB_HOST",
        "PGPORT": "DB_PORT",
        "PGUSER": "DB_USER",
        "PGDATABASE": "DB_NAME",
        "PGSSLMODE": "DB_SSLMODE",
        "PGSSLROOTCERT": "DB_SSLROOTCERT",
    }
    found = {libpq: settings[name] for libpq, name in names.items() if settings.get(name)}
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), **found}
