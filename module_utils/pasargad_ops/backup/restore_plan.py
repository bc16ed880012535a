"""Say beforehand what a restore would do, what it would lose, and whether it can be done at all."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg2

from .. import shell
from ..files import read_json
from ..outcome import OperationError
from .chain import Entry
from .context import Context
from .errors import BackupError, Code
from .job import places_of
from .pgbackrest import RestoreRequest as Fetch
from .pgbackrest import free_bytes, no_space
from .status import size, span
from .windows import Backup, told

ROOM = 1.2
TARGETS = ("latest", "time", "set")
SHOP_TABLES = """
    SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT EXISTS (
      SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
"""


@dataclass(frozen=True)
class RestoreRequest:
    """To what the database is put back: the newest point, a time, or a set; into the cluster, or `database` beside.

    `identity` opens logical sets. `system_id` names the old cluster on a host that was made anew. Without `confirm`
    a restore is only planned.
    """

    to: str = "latest"
    at: datetime | None = None
    seq: int = 0
    target: str = "cluster"
    database: str = ""
    identity: Path | None = None
    confirm: str = ""
    system_id: str = ""


@dataclass(frozen=True)
class Plan:
    """What a restore into the cluster would do; `until` is the second it ends at, Unix time."""

    fetch: str
    at: datetime | None
    backup: Backup
    until: float
    system_id: str
    replaces: str
    lines: tuple[str, ...]

    @property
    def word(self) -> str:
        return confirmation(self.system_id)


def confirmation(system_id: str) -> str:
    """Return the word that confirms a restore: it names the cluster, so that nobody types it for another one."""
    return f"RESTORE-{system_id[-4:]}"


def refuse_nonsense(request: RestoreRequest) -> None:
    """Raise TARGET_REFUSED or TARGET_TIME for requests that contradict themselves."""
    if request.to not in TARGETS:
        raise BackupError(Code.TARGET_REFUSED, f"{request.to!r} is no target", hint=f"one of {', '.join(TARGETS)}")
    if (request.to == "time") != (request.at is not None):
        raise BackupError(
            Code.TARGET_TIME, "a time is needed for `time`, and for nothing else", hint="--at 2026-…+00:00"
        )
    if (request.to == "set") != bool(request.seq):
        raise BackupError(
            Code.TARGET_REFUSED,
            "a set's number is needed for `set`, and for nothing else",
            hint="--seq N; they are listed by: pasargad-ops backup sets",
        )


def entry_of(context: Context, seq: int) -> Entry:
    """Return the set with this number; raises TARGET_REFUSED when there is none that may be restored."""
    chain = context.chain()
    for entry in chain.entries:
        if entry.seq == seq and not entry.marked:
            return entry
    known = ", ".join(str(entry.seq) for entry in chain.offered[-8:]) or "there is none"
    raise BackupError(Code.TARGET_REFUSED, f"there is no set {seq}", hint=f"the newest sets: {known}")


def plan(context: Context, request: RestoreRequest) -> Plan:
    """Plan a restore into the cluster; raises whatever stands against it, before anything is touched."""
    refuse_nonsense(request)
    config = context.config
    replaces = what_is_replaced(context, request)
    fetch, at, backup = _backup(context, request)
    until = at.timestamp() if at else _end(context, request, backup)
    needed = int(backup.size_bytes * ROOM)
    free = free_bytes(config.cluster.data_dir)
    if free < needed:
        raise no_space(f"the restore needs {needed:,} bytes beside {config.cluster.data_dir}, {free:,} are free")
    system_id = config.cluster.system_id
    lines = (
        f"from      {backup.label}, {size(backup.size_bytes)}"
        + ("" if fetch == "immediate" else ", and the WAL after it"),
        f"to        {told(until)}" + ("" if at or fetch == "immediate" else ", the newest point that the archive has"),
        f"lost      what was written after it: {span(time.time() - until)}",
        f"replaces  {replaces}",
        f"disk      {size(needed)} needed beside {config.cluster.data_dir}, {size(free)} free",
        f"time      {_expected(context)}",
        "steps     close the shop; restore beside; look into it; stop PostgreSQL; swap; start; the old cluster is kept",
        f"next      the same command with --confirm {confirmation(system_id)}",
    )
    return Plan(fetch, at, backup, until, system_id, replaces, lines)


def _backup(context: Context, request: RestoreRequest) -> tuple[str, datetime | None, Backup]:
    if request.to == "time" and request.at is not None:
        return "time", request.at, context.repository.set_for(request.at)
    current = [backup for backup in context.repository.info().current if backup.stop_wal]
    if request.to == "set":
        entry = entry_of(context, request.seq)
        label = entry.manifest.physical.label if entry.manifest.physical else ""
        if not label:
            raise BackupError(
                Code.TARGET_REFUSED,
                f"set {request.seq} is a logical one, which is restored into a new database beside the shop's",
                hint=f"pasargad-ops backup restore set --seq {request.seq} --database NAME --identity FILE",
            )
        current = [backup for backup in current if backup.label == label]
    if not current:
        raise BackupError(Code.TARGET_REFUSED, "there is no physical set to restore", hint="pasargad-ops backup sets")
    return ("immediate" if request.to == "set" else "default"), None, current[-1]


def _end(context: Context, request: RestoreRequest, backup: Backup) -> float:
    """Return until when a restore without a time goes."""
    if request.to == "set":
        return float(backup.stopped)
    found = context.repository.windows().windows
    return float(found[-1].until) if found else float(backup.stopped)


def what_is_replaced(context: Context, request: RestoreRequest) -> str:
    """Say what lies in the data directory now; raises TARGET_REFUSED for a cluster that must not be replaced."""
    cluster = context.config.cluster
    if request.system_id and request.system_id != cluster.system_id:
        raise BackupError(
            Code.TARGET_REFUSED,
            f"the settings are for cluster {cluster.system_id}, not for {request.system_id}",
            hint=f"ansible-playbook playbooks/recover.yml -e system_id={request.system_id}",
        )
    found = system_id_of(cluster.bin_dir, cluster.data_dir)
    if found == "":
        return "nothing: there is no cluster here"
    if found == cluster.system_id:
        return f"cluster {found}, which stays beside"
    if request.system_id != cluster.system_id:
        raise BackupError(
            Code.TARGET_REFUSED,
            f"the cluster here is {found}, the sets are those of {cluster.system_id}",
            hint=f"if this host was made anew for them, add --system-id {cluster.system_id}",
        )
    _refuse_a_shop(context, found)
    return f"the empty cluster {found}, which stays beside"


def system_id_of(bin_dir: Path, data_dir: Path) -> str:
    """Return the system identifier of the cluster in a directory, empty where there is none."""
    if not (data_dir / "global" / "pg_control").exists():
        return ""
    try:
        text = shell.run(
            [str(bin_dir / "pg_controldata"), str(data_dir)], env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"}
        ).stdout
    except OperationError as error:
        raise BackupError(
            Code.TARGET_REFUSED, f"{data_dir} holds something that is no cluster: {error.message}", hint="look into it"
        ) from error
    return next(line.split()[-1] for line in text.splitlines() if line.startswith("Database system identifier"))


def _refuse_a_shop(context: Context, found: str) -> None:
    """Raise TARGET_REFUSED unless the cluster here holds no tables of a shop."""
    try:
        with context.session() as connection, connection.cursor() as cursor:
            cursor.execute(SHOP_TABLES)
            (tables,) = cursor.fetchone() or (0,)
    except (BackupError, psycopg2.Error) as error:
        raise BackupError(
            Code.TARGET_REFUSED,
            f"nobody can tell whether cluster {found} is empty: {error}",
            hint=f"systemctl start {context.config.cluster.service}, then run it again",
        ) from error
    if tables:
        raise BackupError(
            Code.TARGET_REFUSED,
            f"cluster {found} holds {tables} tables of a shop, and is not the one of the sets",
            hint="restore to another host; or move this cluster away yourself first",
        )


def _expected(context: Context) -> str:
    """Return how long it may take, by what the last drill measured here."""
    try:
        about = read_json(places_of(context).job("drill-physical")) or {}
        values = [each["value"] for each in about["samples"] if each["name"] == "pasargad_restore_drill_rto_seconds"]
        return f"about {span(values[-1])}, as the last drill took"
    except (OSError, ValueError, KeyError, IndexError, TypeError, json.JSONDecodeError):
        return "unknown: no drill was run here"


def as_fetch(plan_: Plan, directory: Path) -> Fetch:
    """Return what pgbackrest is asked for."""
    return Fetch(directory, kind=plan_.fetch, at=plan_.at, label=plan_.backup.label)  # type: ignore[arg-type]


def slot_now() -> str:
    """Return the name of this piece of work."""
    return f"{datetime.now(UTC):%Y-%m-%d-%H%M%S}"
