"""Restore a logical set into a database that nobody else sees before it is whole, and say whether it is equal."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from psycopg2.extensions import connection as Connection

from .chain import Entry, read_entry
from .context import Context
from .dump import read_back
from .errors import BackupError, Code
from .facts import read_facts
from .feeds import Feeds
from .fingerprint import differences, fingerprints
from .half_database import connect, failing, half_database, refuse_target
from .manifest import Manifest, Part
from .objects import Objects, refuse_large
from .pipes import write_all
from .roles_replay import replay_roles
from .side_by_side import side_by_side
from .stopwatch import Stopwatch

ANOTHER_SET = "take another set: pasargad-ops backup status lists them"
# Until it has its name, a crash of the server costs only the restore; the rename makes everything before it durable.
FASTER = "-c synchronous_commit=off"


@dataclass(frozen=True)
class LogicalTarget:
    """Which database to make where; `libpq` reaches the server as a superuser, `bin_dir` is of its version."""

    libpq: Mapping[str, str] = field(repr=False)
    database: str
    bin_dir: Path
    jobs: int = 2


@dataclass(frozen=True)
class RestoredSet:
    """How long each phase took (seconds), and what the manifest says is there now; `compare_with` proves it."""

    phases: Mapping[str, float]
    rows: int
    bytes: int


def restore_logical(
    source: Context | Objects,
    entry: Entry,
    target: LogicalTarget,
    identity: Path,
    say: Callable[[str], None] = lambda _: None,
) -> RestoredSet:
    """Restore a set into a fresh database that gets its name when everything has ended well.

    Restoring runs what a set says, so each object is read twice: first to see that it is what was signed. Roles that
    exist are left as they are. Raises TARGET_REFUSED and VERSION_MISMATCH before anything is read; KEY, and INTEGRITY
    for what is not as signed, before anything is written; RESTORE_FAILED. Whatever fails, the half database is dropped;
    roles that were made stay.
    """
    objects = source.objects if isinstance(source, Context) else source
    manifest = entry.manifest
    if manifest.kind != "logical":
        raise BackupError(Code.TARGET_REFUSED, f"set {entry.seq} is a physical one", hint=ANOTHER_SET)
    watch = Stopwatch(say)
    restore = _Restore(objects, manifest, target, identity, watch)
    with contextlib.closing(connect(target.libpq, "postgres")) as admin:
        refuse_target(admin, manifest, target.database)
        with watch.phase("check"):
            require_committed(source, objects, entry)
            script = restore.open_globals()
            restore.check()
        with watch.phase("globals"):
            say(f"{replay_roles(admin, script)} roles made")
        with half_database(admin, manifest, target.database) as half:
            restore.fill(half)
    return RestoredSet(watch.seconds, manifest.rows, manifest.bytes)


def require_committed(source: Context | Objects, objects: Objects, entry: Entry) -> None:
    """Raise INTEGRITY unless the manifest in hand is the signed one that the chain knows by its hash."""
    if hashlib.sha256(objects.get(entry.key)).hexdigest() != entry.sha256:
        raise BackupError(Code.INTEGRITY, f"{entry.key} is not what the chain has there", hint=ANOTHER_SET)
    if isinstance(source, Context):
        again = read_entry(objects, source.place, entry.stored, source.trusted)
        if again.manifest != entry.manifest:
            raise BackupError(Code.INTEGRITY, f"set {entry.seq} is not what was signed", hint=ANOTHER_SET)


@dataclass
class _Restore:
    """One restore under way."""

    objects: Objects
    manifest: Manifest
    target: LogicalTarget
    identity: Path
    watch: Stopwatch
    feeds: Feeds = field(default_factory=Feeds)

    def open_globals(self) -> str:
        """Return the script of the roles: the first object that is decrypted, so a wrong identity ends here."""
        part = part_of(self.manifest, "globals")
        refuse_large(part.key, part.bytes)
        # Its sum comes first: to age, a damaged header and a wrong identity look the same.
        sealed = b"".join(read_part(self.objects, part))
        return b"".join(read_back([sealed], self.identity)).decode()

    def check(self) -> None:
        """Read every other object of the database once; raises INTEGRITY for one that is not what was signed."""
        parts = [part for part in self.manifest.objects if part.role in ("pre", "post") or part.role[:5] == "data-"]
        tasks = [partial(drain, read_part(self.objects, part)) for part in parts]
        side_by_side(tasks, self.target.jobs, lambda: None)

    def fill(self, half: str) -> None:
        """Restore everything into the empty database."""
        shards = [part for part in self.manifest.objects if part.role.startswith("data-")]
        with contextlib.closing(connect(self.target.libpq, half)) as session:
            with self.watch.phase("pre"):
                self.pour(half, part_of(self.manifest, "pre"))
            with self.watch.phase("data"):
                side_by_side([partial(self.pour, half, part) for part in shards], self.target.jobs, self.feeds.end)
            with self.watch.phase("post"):
                self.post(half)
            with self.watch.phase("analyze"), failing("analyze"), session.cursor() as cursor:
                cursor.execute("ANALYZE")

    def pour(self, half: str, part: Part) -> None:
        """Restore one archive while it is read."""
        blocks = read_back(read_part(self.objects, part), self.identity)
        self.feeds.pour(blocks, self.pg_restore(half), self.environment())

    def post(self, half: str) -> None:
        """Restore indexes, constraints and triggers side by side: for that, pg_restore wants to open its file again."""
        memory = os.memfd_create("post", os.MFD_CLOEXEC)
        try:
            for block in read_back(read_part(self.objects, part_of(self.manifest, "post")), self.identity):
                write_all(memory, block)
            os.lseek(memory, 0, os.SEEK_SET)
            command = [*self.pg_restore(half), f"--jobs={max(1, self.target.jobs)}", "/dev/stdin"]
            self.feeds.run(memory, command, self.environment())
        finally:
            os.close(memory)

    def pg_restore(self, half: str) -> list[str]:
        """Return the command; the only name in it is one of our own making."""
        program = str(self.target.bin_dir / "pg_restore")
        return [program, "--exit-on-error", "--no-tablespaces", "--no-password", f"--dbname={half}"]

    def environment(self) -> dict[str, str]:
        """Return libpq's variables, with what makes a restore faster."""
        return {**self.target.libpq, "PGOPTIONS": f"{self.target.libpq.get('PGOPTIONS', '')} {FASTER}".strip()}


def part_of(manifest: Manifest, role: str) -> Part:
    """Return the object of a role; raises INTEGRITY when the set has none."""
    for part in manifest.objects:
        if part.role == role:
            return part
    raise BackupError(Code.INTEGRITY, f"set {manifest.seq} has no object {role}", hint=ANOTHER_SET)


def read_part(objects: Objects, part: Part) -> Iterator[bytes]:
    """Read an object in the version that was committed; its sum is compared at the end."""
    return objects.read(part.key, version=part.version, sha256=part.sha256)


def drain(blocks: Iterator[bytes]) -> None:
    """Read to the end, where the sum is compared."""
    for _ in blocks:
        pass


def compare_with(connection: Connection, manifest: Manifest) -> list[str]:
    """Return what a restored database has other than the set's own snapshot had, one line each; empty when equal.

    The session must be idle. Sequences may have gone on and are never behind.
    """
    found = differences(manifest.fingerprints, fingerprints(connection, like=manifest.fingerprints))
    facts = read_facts(connection)
    for what, before, after in (
        ("extension", manifest.extensions, facts.extensions),
        ("migrations of", manifest.django, facts.django),
    ):
        found += [
            f"{what} {name}: {before.get(name, 'none')} became {after.get(name, 'none')}"
            for name in sorted({*before, *after})
            if before.get(name) != after.get(name)
        ]
    return found
