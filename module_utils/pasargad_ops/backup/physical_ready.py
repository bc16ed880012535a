"""Make sure that a physical backup can end well before it is begun, and make the stanza of a new repository."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .archiver import require_archiver
from .context import Context
from .errors import BackupError, Code
from .job import Work
from .pgbackrest import Kind, free_bytes, no_space
from .pgbackrest_read import Info
from .repository_objects import refuse_elsewhere
from .windows import Backup

NO_STANZA = 1
# A backup that grew by half since the last of its kind must still find room.
GROWTH = 1.5
READ = """
    SELECT (SELECT sum(pg_database_size(oid))::bigint FROM pg_database),
           (SELECT timeline_id FROM pg_control_checkpoint())
"""


@dataclass(frozen=True)
class Ready:
    """What there is before a backup: the repository, the bytes of all databases, and the cluster's timeline."""

    info: Info
    bytes: int
    timeline: int


def prepare(context: Context, work: Work | None) -> Ready:
    """Refuse what cannot end well; without `work`, the stanza of a new repository is not made.

    Raises CONFIG for another cluster or place than the settings', ARCHIVER where WAL does not arrive.
    """
    repository, config = context.repository, context.config
    with context.database() as connection:
        with connection.cursor() as cursor:
            cursor.execute(READ)
            size, timeline = cursor.fetchone() or (0, 0)
        connection.rollback()
        info = repository.info()
        if info.code != NO_STANZA:
            require_archiver(connection)
    if info.code == NO_STANZA and work is None:
        return Ready(info, size, timeline)
    if info.code == NO_STANZA and work is not None:
        work.say(f"a new repository: making the stanza {config.physical.stanza}")
        repository.stanza_create()
        # Until now no WAL could arrive; this begins a segment and sees that one arrive.
        repository.check()
        info = repository.info()
    _refuse_other_cluster(info, config.cluster.system_id)
    refuse_elsewhere(context.objects, context.place, config.physical)
    return Ready(info, size, timeline)


def _refuse_other_cluster(info: Info, wanted: str) -> None:
    found = str(info.database.system_id) if info.database else "nobody"
    if found != wanted:
        raise BackupError(
            Code.CONFIG,
            f"pgbackrest's repository is of cluster {found}, the settings are for {wanted}",
            hint="give this cluster's repository a path of its own: repo1-path; after pg_upgrade: stanza-upgrade",
        )


def refuse_small_disk(context: Context, ready: Ready, kind: Kind) -> None:
    """Raise NO_SPACE where a directory has too little room; a bucket has as much as is paid for."""
    storage = context.config.storage
    if storage.bucket or storage.directory is None:
        return
    needed, free = room_needed(kind, ready.info.current, ready.bytes), free_bytes(storage.directory)
    if needed > free:
        raise no_space(f"a {kind} backup may need {needed:,} bytes in {storage.directory}, {free:,} are free")


def room_needed(kind: Kind, backups: Sequence[Backup], database_bytes: int) -> int:
    """Return the bytes for which there must be room: by the last one of its kind, else what the databases take."""
    alike = [each for each in backups if each.kind == kind and each.repository_bytes]
    if not alike:
        return database_bytes
    return int(max(alike, key=lambda each: each.stopped).repository_bytes * GROWTH)
