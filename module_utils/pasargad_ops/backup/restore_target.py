"""Look at what a restore would replace, and refuse what must not be replaced, or cannot be by a rename."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psycopg2

from .. import shell
from ..outcome import OperationError
from .config import ClusterConfig
from .context import Context
from .errors import BackupError, Code
from .facts import HEARTBEAT
from .half_database import connect

# What the role makes on a fresh cluster is no shop: its own schema, and what belongs to extensions.
TABLES = """
    SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname NOT IN ('pasargad_ops', 'information_schema')
      AND n.nspname NOT LIKE 'pg\\_%' AND NOT EXISTS (
      SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
"""
BEATS = (
    f"SELECT count(*), coalesce(extract(epoch FROM max(at)), 0)::float8 FROM {HEARTBEAT} WHERE at > to_timestamp(%s)"  # noqa: S608
)


@dataclass(frozen=True)
class Old:
    """What lies in the data directory: nothing, the cluster of the sets, or a fresh one without a shop in it."""

    kind: Literal["nothing", "same", "fresh"]
    system_id: str = ""

    @property
    def words(self) -> str:
        return {
            "nothing": "nothing: there is no cluster here",
            "same": f"cluster {self.system_id}, which is kept beside",
            "fresh": f"the fresh cluster {self.system_id} without a shop in it, which is kept beside",
        }[self.kind]


def look_at_target(context: Context, system_id: str) -> Old:
    """Say what is replaced; raises TARGET_REFUSED for what must not be, or cannot be by a rename.

    `system_id` is the old cluster as it was named, by which a fresh one may be replaced.
    """
    cluster = context.config.cluster
    if system_id and system_id != cluster.system_id:
        raise BackupError(
            Code.TARGET_REFUSED,
            f"the settings are for cluster {cluster.system_id}, not for {system_id}",
            hint=f"ansible-playbook playbooks/recover.yml -e system_id={system_id} -e confirm=yes",
        )
    _refuse_what_cannot_move(cluster.data_dir)
    found = system_id_of(cluster)
    if not found:
        return Old("nothing")
    if found == cluster.system_id:
        return Old("same", found)
    if system_id != cluster.system_id:
        raise BackupError(
            Code.TARGET_REFUSED,
            f"the cluster here is {found}, the sets are those of {cluster.system_id}",
            hint=f"if this host was made anew for them, add --system-id {cluster.system_id}",
        )
    _refuse_a_shop(context, found)
    return Old("fresh", found)


def _refuse_what_cannot_move(data_dir: Path) -> None:
    if data_dir.is_symlink() or data_dir.is_mount():
        what = "a symbolic link" if data_dir.is_symlink() else "a mount point"
        raise BackupError(
            Code.TARGET_REFUSED,
            f"{data_dir} is {what}, so no cluster beside it can take its place by a rename",
            hint="mount the disk one directory higher; or restore in place by hand: pgbackrest --delta restore",
        )
    spaces = [*(data_dir / "pg_tblspc").glob("*")]
    if spaces:
        raise tablespaces(f"{data_dir} has {len(spaces)} tablespaces")


def tablespaces(what: str) -> BackupError:
    """Return the refusal of clusters with tablespaces: a copy beside would be written where the living one has them."""
    return BackupError(
        Code.TARGET_REFUSED,
        f"{what}, which can only be restored where they are",
        hint="restore to another host, or by hand with the cluster stopped: pgbackrest --delta restore",
    )


def system_id_of(cluster: ClusterConfig) -> str:
    """Return the system identifier of what lies in the data directory, empty where there is no cluster."""
    if not (cluster.data_dir / "global" / "pg_control").exists():
        return ""
    return control_data(cluster.bin_dir, cluster.data_dir).get("Database system identifier", "")


def control_data(bin_dir: Path, data_dir: Path) -> dict[str, str]:
    """Return what pg_controldata says of a directory; raises TARGET_REFUSED for something that is no cluster."""
    try:
        environment = {"LC_ALL": "C", "PATH": "/usr/bin:/bin"}
        text = shell.run([str(bin_dir / "pg_controldata"), str(data_dir)], env=environment).stdout
    except OperationError as error:
        raise BackupError(
            Code.TARGET_REFUSED,
            f"{data_dir} holds something that is no cluster: {error.message}",
            hint=f"look into it; to have it out of the way: mv {data_dir} {data_dir}.broken",
        ) from error
    pairs = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _refuse_a_shop(context: Context, found: str) -> None:
    """Raise TARGET_REFUSED unless no database of the cluster here holds tables that people made."""
    try:
        tables = {name: count for name, count in _tables(context) if count}
    except (BackupError, psycopg2.Error) as error:
        raise BackupError(
            Code.TARGET_REFUSED,
            f"nobody can tell whether cluster {found} is empty: {' '.join(str(error).split())}",
            hint=f"systemctl start {context.config.cluster.service}, then run it again",
        ) from error
    if tables:
        there = ", ".join(f"{count} tables in {name}" for name, count in tables.items())
        raise BackupError(
            Code.TARGET_REFUSED,
            f"cluster {found} is in use ({there}), and is not the one of the sets",
            hint="restore to another host; or move this cluster away yourself first",
        )


def _tables(context: Context) -> Iterator[tuple[str, int]]:
    libpq = {**context.libpq("postgres"), "PGUSER": context.config.cluster.user}
    with closing(connect(libpq, "postgres")) as session, session.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE datallowconn ORDER BY 1")
        names = [name for (name,) in cursor.fetchall()]
    for name in names:
        with closing(connect(libpq, name)) as session, session.cursor() as cursor:
            cursor.execute(TABLES)
            yield name, (cursor.fetchone() or (0,))[0]


def rows_after(context: Context, second: float) -> tuple[int, float] | None:
    """Return how many heartbeats the living cluster has after a moment, and the newest; None where nobody answers."""
    try:
        with context.database() as connection, connection.cursor() as cursor:
            cursor.execute(BEATS, (second,))
            count, newest = cursor.fetchone() or (0, 0.0)
            connection.rollback()
    except (BackupError, psycopg2.Error):
        return None
    return int(count), float(newest or 0)
