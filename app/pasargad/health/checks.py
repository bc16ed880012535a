"""What must work before a release is given requests, and what somebody should be told about."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import redis
from django.conf import settings
from django.contrib.staticfiles.storage import staticfiles_storage
from django.db import DatabaseError, connection, transaction
from django.db.migrations.executor import MigrationExecutor

from pasargad.background.selectors import queue_lag_seconds


@dataclass(frozen=True)
class Check:
    ok: bool
    detail: str


def database() -> Check:
    timeout = settings.MONITORING.database_timeout_ms
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(timeout)])
            cursor.execute("SELECT 1")
            cursor.fetchone()
    except DatabaseError as error:
        return Check(False, f"{type(error).__name__}: {first_line(error)}")
    return Check(True, "answers")


def redis_databases() -> Check:
    """Ask all three uses; each has a user and a password of its own."""
    timeout = settings.MONITORING.redis_timeout_ms / 1000
    urls = {name: settings.CACHES[alias]["LOCATION"] for name, alias in USES.items()}
    for name, url in urls.items():
        client = redis.Redis.from_url(url, socket_timeout=timeout, socket_connect_timeout=timeout)
        try:
            client.get(f"{settings.CACHES[USES[name]]['KEY_PREFIX']}:ready")
        except (redis.RedisError, OSError) as error:
            return Check(False, f"{name}: {type(error).__name__}: {first_line(error)}")
        finally:
            client.close()
    return Check(True, "answers")


USES = {"cache": "default", "sessions": "sessions", "limits": "limits"}


def migrations() -> Check:
    """Whether the database is as new as this code; it may be newer."""
    try:
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        return Check(False, f"{type(error).__name__}: {first_line(error)}")
    if plan:
        names = ", ".join(f"{migration.app_label}.{migration.name}" for migration, _ in plan[:5])
        return Check(False, f"{len(plan)} not applied: {names}")
    return Check(True, "applied")


def staticfiles() -> Check:
    """Whether the manifest of static files came with the release."""
    names: dict[str, str] | None = getattr(staticfiles_storage, "hashed_files", None)
    if names is None:
        return Check(True, "no manifest in use")
    return Check(bool(names), f"{len(names)} files" if names else "the manifest is missing or empty: run collectstatic")


def queue() -> Check:
    lag = queue_lag_seconds()
    return Check(lag < settings.MONITORING.queue_lag_seconds, f"oldest waiting task: {lag:.0f} s")


def backup() -> Check:
    """Read what the backup job wrote: {"finished_at": seconds since 1970, "ok": true}."""
    own = settings.MONITORING
    if not own.backup_expected:
        return Check(True, "not expected here")
    try:
        status = json.loads(Path(own.backup_status_file).read_text(encoding="utf-8"))
        age_hours = (time.time() - float(status["finished_at"])) / 3600
        good = bool(status["ok"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Check(False, f"cannot read {own.backup_status_file or 'BACKUP_STATUS_FILE'}: {error}")
    return Check(
        good and age_hours <= own.backup_max_age_hours, f"{'good' if good else 'failed'}, {age_hours:.1f} h ago"
    )


READY: dict[str, Callable[[], Check]] = {
    "database": database,
    "redis": redis_databases,
    "migrations": migrations,
    "staticfiles": staticfiles,
}
DETAIL: dict[str, Callable[[], Check]] = {**READY, "queue": queue, "backup": backup}


def run(checks: dict[str, Callable[[], Check]]) -> dict[str, Any]:
    """Run checks and return them as JSON-able values under `checks`, with the overall `status`."""
    results = {name: check() for name, check in checks.items()}
    ok = all(result.ok for result in results.values())
    return {
        "status": "ok" if ok else "failing",
        "release": settings.PASARGAD_RELEASE,
        "slot": settings.PASARGAD_SLOT,
        "checks": {name: asdict(result) for name, result in results.items()},
    }


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:200]
