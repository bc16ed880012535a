"""Say beforehand what a restore would do, what it would lose, and whether it can be done at all."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ..config import ReleaseConfig
from ..files import read_json
from ..go_back_in_time import STOP_WORKERS
from ..outcome import OperationError
from .chain import Entry
from .config import CONFIG_FILE
from .context import Context
from .errors import BackupError, Code
from .job import places_of
from .pgbackrest import RestoreRequest as Fetch
from .pgbackrest import free_bytes
from .proofs import Proof, load_proofs
from .restore_choice import SETS, Choice, to_latest, to_set, to_time
from .restore_target import Old, look_at_target, rows_after, tablespaces
from .status import size, span
from .windows import Backup, told

ROOM = 1.2
TARGETS = ("latest", "time", "set")
STEPS = (
    "close the shop; have the old cluster's last WAL archived, where it still runs",
    "restore beside the old cluster, recover, and look into what came back",
    "stop PostgreSQL, swap the directories by two renames, start it, see it answer",
    "keep the old cluster; whatever fails before that leaves it, or brings it back",
)


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
    """What a restore into the cluster would do, and what it replaces."""

    choice: Choice
    system_id: str
    old: Old
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
    if request.at is not None and request.at.tzinfo is None:
        raise BackupError(Code.TARGET_TIME, f"{request.at} has no time zone", hint=f"--at {request.at}+00:00 for UTC")
    if (request.to == "set") != bool(request.seq):
        raise BackupError(
            Code.TARGET_REFUSED,
            "a set's number is needed for `set`, and for nothing else",
            hint=f"--seq N; they are listed by: {SETS}",
        )


def refuse_wrong_word(request: RestoreRequest, word: str) -> None:
    """Raise TARGET_REFUSED when what was typed does not confirm this restore."""
    if request.confirm != word:
        raise BackupError(
            Code.TARGET_REFUSED,
            f"{request.confirm!r} confirms nothing here",
            hint=f"the word for this cluster is {word}; read the plan first: {command(request)}",
        )


def command(request: RestoreRequest, config_file: Path = CONFIG_FILE, *, confirm: str = "") -> str:
    """Return what people type for a restore."""
    words = ["pasargad-ops", "backup", *(["--config", str(config_file)] if config_file != CONFIG_FILE else [])]
    words += ["restore", request.to]
    words += ["--at", request.at.isoformat()] if request.at else []
    words += ["--seq", str(request.seq)] if request.seq else []
    words += ["--database", request.database] if request.database else []
    words += ["--identity", str(request.identity)] if request.identity else []
    words += ["--system-id", request.system_id] if request.system_id else []
    return shlex.join([*words, *(["--confirm", confirm] if confirm else [])])


def plan(context: Context, request: RestoreRequest) -> Plan:
    """Plan a restore into the cluster; raises whatever stands against it, before anything is touched."""
    refuse_nonsense(request)
    config = context.config
    old = look_at_target(context, request.system_id)
    attested = _entries(context)
    choice = choose_backup(context, request, attested)
    if there := context.repository.tablespaces(choice.backup.label):
        raise tablespaces(f"{choice.backup.label} has the tablespaces {', '.join(there)}")
    needed, free = int(choice.backup.size_bytes * ROOM), free_bytes(config.cluster.data_dir)
    if free < needed:
        raise _too_small(context, choice, needed, free)
    system_id = config.cluster.system_id
    lines = (
        f"from      {_source(choice, attested)}",
        f"to        {_aim(choice)}",
        f"lost      {_loss(context, choice, old)}",
        f"replaces  {old.words}",
        f"disk      {size(needed)} needed beside {config.cluster.data_dir}, {size(free)} free",
        f"time      {_expected(context)}",
        *(f"beware    {words}" for words in _warnings(context, choice, attested)),
        *(f"{'steps' if number == 1 else '':<9} {number}. {words}" for number, words in enumerate(STEPS, 1)),
        f"next      {command(request, config.file, confirm=confirmation(system_id))}",
    )
    return Plan(choice, system_id, old, lines)


Attested = Callable[[], tuple[Entry, ...]]


def _entries(context: Context) -> Attested:
    """Return the way to the attested sets, read at most once and only when somebody asks."""
    found: list[tuple[Entry, ...]] = []

    def read() -> tuple[Entry, ...]:
        if not found:
            found.append(context.chain().offered)
        return found[0]

    return read


def choose_backup(context: Context, request: RestoreRequest, attested: Attested) -> Choice:
    """Choose the backup; raises TARGET_TIME, TARGET_REFUSED, WAL_GAP, VERSION_MISMATCH, and as the repository does."""
    cluster, info = context.config.cluster, context.repository.info()
    present = info.database
    if present is not None and str(present.system_id) != cluster.system_id:
        raise BackupError(
            Code.TARGET_REFUSED,
            f"the repository is that of cluster {present.system_id}, the settings are for {cluster.system_id}",
            hint="ansible-playbook playbooks/recover.yml names the clusters of the storage",
        )
    if present is not None and present.version != str(cluster.version):
        raise BackupError(
            Code.VERSION_MISMATCH,
            f"the sets are of PostgreSQL {present.version}, this host has {cluster.version}",
            hint=f"apt-get install postgresql-{present.version}, or restore a logical set: {SETS}",
        )
    if request.to == "set":
        backup = _backup_of(_entry_of(attested(), request.seq), info.current)
        return to_set(context.repository.windows(timeline=backup.timeline), backup)
    known = context.repository.windows()
    return to_time(known, request.at, datetime.now(UTC)) if request.at is not None else to_latest(known)


def _entry_of(entries: tuple[Entry, ...], seq: int) -> Entry:
    for entry in entries:
        if entry.seq == seq:
            return entry
    known = ", ".join(str(entry.seq) for entry in entries[-8:]) or "there is none"
    raise BackupError(Code.TARGET_REFUSED, f"there is no set {seq}", hint=f"the newest sets: {known}")


def _backup_of(entry: Entry, current: tuple[Backup, ...]) -> Backup:
    physical = entry.manifest.physical
    if physical is None:
        raise BackupError(
            Code.TARGET_REFUSED,
            f"set {entry.seq} is a logical one, which is restored into a new database beside the shop's",
            hint=f"pasargad-ops backup restore set --seq {entry.seq} --database NAME --identity FILE",
        )
    for backup in current:
        if backup.label == physical.label:
            return backup
    raise BackupError(
        Code.TARGET_REFUSED,
        f"set {entry.seq} is attested, yet the repository no longer has its {physical.label}",
        hint=f"take another one: {SETS}; was it removed? pasargad-ops backup verify --level 1",
    )


def _too_small(context: Context, choice: Choice, needed: int, free: int) -> BackupError:
    physical, cluster = context.config.physical, context.config.cluster
    by_hand = f"pgbackrest --config={physical.config_file} --stanza={physical.stanza} --delta restore"
    return BackupError(
        Code.NO_SPACE,
        f"{choice.backup.label} needs {needed:,} bytes beside {cluster.data_dir}, {free:,} are free",
        hint="free space there (df -h) or enlarge the disk; as the last resort overwrite the old cluster, which is "
        f"then lost: systemctl stop {cluster.service}, runuser -u {cluster.user} -- {by_hand}, systemctl start",
    )


def _source(choice: Choice, attested: Attested) -> str:
    backup = choice.backup
    try:
        seq = next((entry.seq for entry in attested() if _label(entry) == backup.label), 0)
        named = f"set {seq}, " if seq else "no attested set, "
    except OperationError as error:
        named = f"(the chain of the sets cannot be read: {error.message}) "
    return f"{named}{backup.label}, {size(backup.size_bytes)}, WAL {backup.start_wal} to {choice.last_wal}"


def _label(entry: Entry) -> str:
    return entry.manifest.physical.label if entry.manifest.physical else ""


def _aim(choice: Choice) -> str:
    what = {"default": ", the newest point that the archive has", "immediate": ", the end of the set", "time": ""}
    return f"{told(choice.until)}{what[choice.fetch]}"


def _loss(context: Context, choice: Choice, old: Old) -> str:
    """Say what would be gone afterwards."""
    ago = span(time.time() - choice.until)
    rows = rows_after(context, choice.until) if old.kind == "same" else None
    if rows is None:
        return f"what was written in the last {ago}; no cluster answers that could tell how much that is"
    if choice.fetch == "default":
        return "nothing: the running cluster's last WAL is archived first, and what is in it comes back too"
    count, newest = rows
    return f"what was written in the last {ago}: {count} heartbeats, the newest of {told(newest) if count else '-'}"


def _warnings(context: Context, choice: Choice, attested: Attested) -> list[str]:
    """Return what speaks against this restore without forbidding it."""
    found = []
    if choice.backup.error:
        found.append(f"pgbackrest met damaged pages when it made {choice.backup.label}")
    try:
        run_id = next((entry.manifest.run_id for entry in attested() if _label(entry) == choice.backup.label), "")
        if flaw := load_proofs(context.config.proofs_file).get(run_id, Proof()).flaw:
            found.append(f"a check of this set found: {flaw}")
    except OperationError:
        found.append("nobody can tell whether the sets are those that were signed")
    wal = context.config.cluster.data_dir / "pg_wal"
    if wal.is_symlink():
        found.append(f"pg_wal is a link to {wal.resolve()}; afterwards the WAL lies in the data directory")
    if not context.config.release_config.exists():
        shut = ReleaseConfig.maintenance_file
        found.append(f"this host closes no shop: first, on every web host: touch {shut}; {STOP_WORKERS}")
    return found


def _expected(context: Context) -> str:
    """Return how long it may take, by what the last drill measured here."""
    try:
        about = read_json(places_of(context).job("drill-physical")) or {}
        values = [each["value"] for each in about["samples"] if each["name"] == "pasargad_restore_drill_rto_seconds"]
        return f"about {span(values[-1])}, as the last drill took"
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return "unknown: no drill was run here"


def as_fetch(choice: Choice, directory: Path) -> Fetch:
    """Return what pgbackrest is asked for."""
    return Fetch(directory, kind=choice.fetch, at=choice.at, label=choice.backup.label)


def slot_now() -> str:
    """Return the name of this piece of work."""
    return f"{datetime.now(UTC):%Y-%m-%d-%H%M%S}"
