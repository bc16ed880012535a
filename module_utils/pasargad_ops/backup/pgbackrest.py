"""The one door to pgbackrest: run it, believe none of its green lights, and say in one code what is wrong."""

from __future__ import annotations

import random
import shutil
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from ..shell import Finished
from . import pgbackrest_judge as judge
from .errors import BackupError, Code
from .pgbackrest_failures import clean, failure, throttled
from .pgbackrest_program import Program, RepositoryConfig
from .pgbackrest_read import (
    Finding,
    Info,
    parse_check,
    parse_info,
    parse_listing,
    parse_tablespaces,
    parse_verify,
)
from .wal import Archive, Switch, parse_history, read_archive
from .windows import Backup, Windows, choose, windows

RERUNS = 3
FILE_WRITE = 64
FULL_BYTES = 16 * 2**20
# Good; a new repository; a stanza without a backup.
HONEST = (0, 1, 2)

Kind = Literal["full", "diff", "incr"]


@dataclass(frozen=True)
class RestoreRequest:
    """A restore into `target_dir`; `at` (with a time zone) belongs to "time" alone, "default" replays all WAL there is.

    `delta` replaces an old cluster in place. Tablespaces go below `tablespace_dir` when it is given: a drill must give
    it, or they would be written where the living cluster has them.
    """

    target_dir: Path
    kind: Literal["time", "immediate", "default"] = "default"
    at: datetime | None = None
    label: str = ""
    delta: bool = False
    tablespace_dir: Path | None = None


@dataclass(frozen=True)
class Restored:
    """A restore that ended well: the files are there, and recovery begins when PostgreSQL starts on them."""

    label: str
    kind: str
    target: str
    seconds: float


class Repository:
    """A stanza of a pgbackrest repository; every method raises BackupError and leaves no secret in it."""

    def __init__(self, config: RepositoryConfig) -> None:
        self.config = config
        self._program = Program(config)

    def info(self) -> Info:
        """Return what the repository holds; an empty one (status 1 or 2) has no backups.

        Raises KEY, INTEGRITY or STORAGE_* where the program ends with 0 and only mentions it.
        """
        answer = self._program.must("info", "--output=json").stdout
        try:
            info = parse_info(answer, self.config.stanza)
        except BackupError as error:
            # Noise in the answer may be what a wrong key made of it.
            raise self._key_or_damage(error.message) from error
        if info.code in HONEST:
            return info
        said = clean(info.message)
        told = failure(Finished(info.code, "", info.message), "info", Code.INTEGRITY)
        if told.code in (Code.KEY, Code.INTEGRITY, Code.CONFIG):
            told = self._key_or_damage(said)
        raise BackupError(told.code, f"pgbackrest info: {said}", hint=told.hint, details={"status": info.code})

    def tablespaces(self, label: str) -> tuple[str, ...]:
        """Return the names of the tablespaces that a backup holds."""
        answer = self._program.must("info", "--output=json", f"--set={label}").stdout
        return parse_tablespaces(answer, self.config.stanza, label)

    def stanza_create(self) -> None:
        """Create the stanza, or find that it is there; raises CONFIG when it belongs to another cluster."""
        self._program.must("stanza-create")

    def expire(self) -> None:
        """Remove the backups that its retention no longer keeps, with their WAL; raises CLAIMED when a backup runs."""
        self._program.must("expire", seconds=self.config.long_seconds)

    def check(self) -> None:
        """Switch the WAL and see it arrive; raises ARCHIVER when it does not. It looks at no older WAL."""
        self._program.must("check", otherwise=Code.ARCHIVER)

    def backup(self, kind: Kind) -> str:
        """Take a backup and return its label; a first "diff" becomes a full one.

        A storage that asks to come back later (429) is asked three times more: the backup resumes. Raises CLAIMED
        when another one runs.
        """
        before = {backup.label for backup in self.info().backups}
        for attempt in range(RERUNS + 1):
            done = self._program.run("backup", f"--type={kind}", seconds=self.config.long_seconds)
            if not throttled(done) or attempt == RERUNS:
                break
            # Two hosts that were sent away together must not come back together.
            time.sleep(self.config.retry_seconds * 2**attempt * random.uniform(0.5, 1))  # noqa: S311
        if done.code:
            raise with_the_right_key(failure(done, "backup", Code.DUMP_FAILED))
        new = [backup for backup in self.info().backups if backup.label not in before]
        if not new:
            raise BackupError(
                Code.DUMP_FAILED, "pgbackrest backup ended with 0, yet info lists no new one", hint="run verify"
            )
        return max(new, key=lambda backup: backup.stopped).label

    def version(self) -> str:
        """Return the program's name and version, such as `pgBackRest 2.45`."""
        return self._program.must("version", otherwise=Code.CONFIG).stdout.strip()

    def archive_files(self) -> dict[str, int]:
        """Return the files of the stanza's archive, all clusters': path below the stanza → Unix time of arrival."""
        return {path: at for path, (_, at) in self._list("archive").items()}

    def archive_names(self) -> list[str]:
        """Return the paths of the archive's files, as `wal.gaps` reads them; those of older clusters are among them."""
        return sorted(self.archive_files())

    def verify(self, *, contents: bool = True, last_archived: str = "") -> list[Finding]:
        """Return all that is wrong with the repository; an empty list is the only good answer.

        Own reading of names and ranges takes seconds; `contents` has pgbackrest read every byte too. `last_archived`
        is pg_stat_archiver's last_archived_wal: without it, the loss of the very newest WAL cannot be seen.
        """
        try:
            info = self.info()
        except BackupError as error:
            if error.code not in (Code.KEY, Code.INTEGRITY, Code.CONFIG):
                raise
            return [Finding(error.code, error.message, error.hint)]
        findings = judge.holdings(info)
        if not info.backups:
            return findings
        files = self._list("backup")
        findings += judge.files(info, files)
        archive, histories, damage = self._archive(info)
        findings += damage
        findings += judge.wal(info, archive, histories, self.config.segment_bytes, last_archived)
        if contents:
            findings += [each for pair in judge.pairs(info, files) for each in self._compare(*pair)]
            done = self._program.must("verify", "--output=text", "--verbose", seconds=self.config.long_seconds)
            findings += parse_verify(done.stdout, (backup.label for backup in info.backups))
        return findings

    def check_pgbackrest(self) -> list[Finding]:
        """Return what Debian's check-pgbackrest says of the archive and of the retention: the second opinion.

        It reckons a timeline switch with segments of 16 MiB and cannot skip a timeline: it cries wolf, or counts for
        ever. So it is asked about the archive only while that is of one timeline since the oldest backup.
        """
        size = self.config.segment_bytes >> 20
        services = [("archives", [f"--wal-segsize={size}MB"])] if judge.is_countable(self.info()) else []
        findings: list[Finding] = []
        for service, extra in [*services, ("retention", ["--retention-full=1"])]:
            done = self._program.check(service, *extra)
            findings += parse_check(done.stdout, service, done.code)
        return findings

    def windows(self, *, timeline: int | None = None) -> Windows:
        """Return the points in time that can be restored; raises as `info`, and INTEGRITY for a bad history file."""
        info = self.info()
        archive, histories, damage = self._archive(info)
        if damage:
            raise BackupError(damage[0].code, damage[0].what, hint=damage[0].hint)
        return windows(info.current, archive, histories, segment_bytes=self.config.segment_bytes, timeline=timeline)

    def set_for(self, target: datetime, label: str = "") -> Backup:
        """Return the newest backup, or the one called `label`, that reaches `target`; raises TARGET_TIME."""
        if target.tzinfo is None:
            raise BackupError(Code.TARGET_TIME, f"{target} has no time zone", hint="add one, such as +00:00")
        return choose(self.windows(), target, now=datetime.now(UTC), label=label)

    def restore(self, request: RestoreRequest) -> Restored:
        """Copy a backup back, with archiving off; recovery itself happens when PostgreSQL starts there.

        Raises TARGET_TIME and TARGET_REFUSED before anything is copied, NO_SPACE before or while, INTEGRITY or
        RESTORE_FAILED while it is.
        """
        backup = self._chosen(request)
        free = free_bytes(request.target_dir)
        if backup.size_bytes > free and not request.delta:
            raise no_space(f"{backup.label} needs {backup.size_bytes:,} bytes, {free:,} are free")
        begun = time.monotonic()
        done = self._program.run("restore", *restore_options(request, backup), seconds=self.config.long_seconds)
        if done.code:
            error = with_the_right_key(failure(done, "restore", Code.RESTORE_FAILED))
            # The program tries again after a failed write, and then tells of the write without its reason.
            full = done.code == FILE_WRITE and free_bytes(request.target_dir) < FULL_BYTES
            raise no_space(error.message) if full else error
        return Restored(backup.label, request.kind, target_time(request), time.monotonic() - begun)

    def _chosen(self, request: RestoreRequest) -> Backup:
        """Return the backup that a restore begins with; raises TARGET_TIME or TARGET_REFUSED."""
        if (request.at is not None) != (request.kind == "time"):
            raise BackupError(Code.TARGET_TIME, "a time belongs to a restore of kind time, and to no other")
        if not request.target_dir.is_absolute():
            raise BackupError(Code.TARGET_REFUSED, f"{request.target_dir} is no absolute path", hint="begin it with /")
        if request.at is not None:
            return self.set_for(request.at, request.label)
        for backup in reversed(self.info().current):
            if request.label in ("", backup.label):
                return backup
        what = f"there is no backup {request.label}".rstrip()
        raise BackupError(Code.TARGET_REFUSED, what, hint="pgbackrest info lists the labels")

    def _archive(self, info: Info) -> tuple[Archive, dict[int, tuple[Switch, ...]], list[Finding]]:
        """Return the present cluster's archive, its timelines' histories, and what is wrong with the latter."""
        prefix = f"{info.archive_id}/"
        archive = read_archive({path: at for path, at in self.archive_files().items() if path.startswith(prefix)})
        histories: dict[int, tuple[Switch, ...]] = {}
        findings: list[Finding] = []
        for timeline, path in sorted(archive.histories.items()):
            try:
                histories[timeline] = parse_history(self._get(f"archive/{self.config.stanza}/{path}"))
            except BackupError as error:
                findings.append(damaged(error, f"{path}: "))
        return archive, histories, findings

    def _compare(self, first: str, second: str) -> list[Finding]:
        """Return a finding when a file and its copy differ; the program reads either, and is silent about the other."""
        for _ in range(2):
            read = []
            for path in (first, second):
                try:
                    read.append(self._get(f"backup/{self.config.stanza}/{path}"))
                except BackupError as error:
                    return [damaged(error)]
            # A backup that ends in between has written one of them anew.
            if read[0] == read[1]:
                return []
        return [Finding(Code.INTEGRITY, f"{first} and its copy differ: one of them is damaged", judge.RENEW)]

    def _key_or_damage(self, said: str) -> BackupError:
        """Return KEY when nothing can be deciphered, INTEGRITY when it is only the one file that info stumbled over."""
        files = (f"archive/{self.config.stanza}/archive.info", f"backup/{self.config.stanza}/backup.info")
        read = [self._program.run("repo-get", path) for path in files]
        legible = any(done.code == 0 and done.stdout.startswith("[") for done in read)
        if not legible and any(done.code in (0, 95) for done in read):
            return BackupError(Code.KEY, said, hint=judge.KEY)
        return BackupError(Code.INTEGRITY, said, hint=judge.RENEW)

    def _list(self, part: str) -> dict[str, tuple[int, int]]:
        """Return the files of a part of the stanza."""
        return parse_listing(
            self._program.must("repo-ls", "--output=json", "--recurse", f"{part}/{self.config.stanza}").stdout
        )

    def _get(self, path: str) -> str:
        """Return a file of the repository, deciphered; it may hold keys, so it must not leave this module."""
        return self._program.must("repo-get", path, otherwise=Code.INTEGRITY).stdout


def damaged(error: BackupError, where: str = "") -> Finding:
    """Return the finding for a file that cannot be read; a storage that does not answer is no damage, and raises."""
    if error.code in (Code.STORAGE_TRANSIENT, Code.STORAGE_DENIED, Code.INTERRUPTED):
        raise error
    return Finding(Code.INTEGRITY, f"{where}{error.message}", error.hint or judge.RENEW)


def with_the_right_key(error: BackupError) -> BackupError:
    """Return damage in place of a wrong key: info was read before, so what cannot be deciphered now is damaged."""
    return BackupError(Code.INTEGRITY, error.message, hint=judge.DAMAGED) if error.code == Code.KEY else error


def target_time(request: RestoreRequest) -> str:
    """Return the target as PostgreSQL reads it, or an empty text."""
    return request.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f+00") if request.at else ""


def restore_options(request: RestoreRequest, backup: Backup) -> list[str]:
    """Return pgbackrest's options; what is restored never archives: it would push into the living one's archive."""
    target = target_time(request)
    options = [f"--pg1-path={request.target_dir}", "--archive-mode=off", f"--set={backup.label}"]
    options += [f"--type={request.kind}", *([f"--target={target}"] if target else [])]
    options += ["--target-action=promote"] if request.kind != "default" else []
    options += ["--delta"] if request.delta else []
    return options + ([f"--tablespace-map-all={request.tablespace_dir}"] if request.tablespace_dir else [])


def free_bytes(directory: Path) -> int:
    """Return what is free where `directory` is, or will be; raises TARGET_REFUSED where we may not even look."""
    try:
        return shutil.disk_usage(next(path for path in (directory, *directory.parents) if path.exists())).free
    except OSError as error:
        what = f"{directory} cannot be reached: {error.strerror}"
        raise BackupError(Code.TARGET_REFUSED, what, hint="run as root, or choose another directory") from error


def no_space(message: str) -> BackupError:
    """Return the error for a target that is too small."""
    return BackupError(Code.NO_SPACE, message, hint="free space there (df -h), or restore to a larger disk")
