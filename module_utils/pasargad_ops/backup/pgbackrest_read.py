"""Understand what pgbackrest and check_pgbackrest write: text in, facts out; what is not understood is a finding."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .errors import BackupError, Code
from .windows import Backup

ARCHIVE = re.compile(r"archiveId: (?P<id>\S+), total WAL checked: (?P<all>\d+), total valid WAL: (?P<good>\d+)")
BACKUP = re.compile(r"backup: (?P<label>[0-9FDI_-]+), status: (?P<status>[a-z -]+?)(, total files checked: .*)?$")
COUNTS = re.compile(r"missing: (\d+), checksum invalid: (\d+), size invalid: (\d+), other: (\d+)")
LOOK = "pgbackrest verify --output=text --verbose shows it again; take a full backup before anything is deleted"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with the backups: how a job ends by it, what it is, and what to do.

    `segments` counts the WAL that is missing on the way to the newest, each once over all findings of one reading.
    """

    code: Code
    what: str
    hint: str = ""
    segments: int = 0


@dataclass(frozen=True)
class Database:
    """A cluster that the repository knows; the one with the highest id is the present one."""

    id: int
    system_id: int
    version: str


@dataclass(frozen=True)
class ArchiveRange:
    """The oldest and newest segment of one database's archive; both empty when it holds none."""

    id: str
    database_id: int
    min: str
    max: str


@dataclass(frozen=True)
class Info:
    """What `info` says: a status (0 is good, whatever the exit code was), and what the repository holds."""

    code: int
    message: str
    cipher: str
    backup_running: bool
    databases: tuple[Database, ...] = ()
    backups: tuple[Backup, ...] = ()
    archives: tuple[ArchiveRange, ...] = ()

    @property
    def database(self) -> Database | None:
        """The present cluster."""
        return max(self.databases, key=lambda each: each.id, default=None)

    @property
    def archive_id(self) -> str:
        """The folder of the present cluster's WAL, or an empty text."""
        return f"{self.database.version}-{self.database.id}" if self.database else ""

    @property
    def current(self) -> tuple[Backup, ...]:
        """The backups of the present cluster, oldest first."""
        present = self.database.id if self.database else 0
        return tuple(sorted((b for b in self.backups if b.database_id == present), key=lambda b: (b.stopped, b.label)))


def parse_info(text: str, stanza: str) -> Info:
    """Return what `info --output=json` says of a stanza; raises INTEGRITY when it is no such answer."""
    try:
        # What cannot be deciphered stands in the answer as it is, with control characters that JSON forbids.
        (found,) = (each for each in json.loads(text, strict=False) if each["name"] == stanza)
        repositories = found.get("repo", ())
        messages = [each["status"]["message"] for each in repositories if each["status"]["code"]]
        return Info(
            code=int(found["status"]["code"]),
            message="; ".join(messages) or str(found["status"]["message"]),
            cipher=str(found.get("cipher", "none")),
            backup_running=bool(found["status"].get("lock", {}).get("backup", {}).get("held", False)),
            databases=tuple(Database(int(d["id"]), int(d["system-id"]), str(d["version"])) for d in found["db"]),
            backups=tuple(parse_backup(each) for each in found["backup"]),
            archives=tuple(
                ArchiveRange(str(a["id"]), int(a["database"]["id"]), str(a["min"] or ""), str(a["max"] or ""))
                for a in found["archive"]
            ),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BackupError(
            Code.INTEGRITY,
            f"pgbackrest's info for stanza {stanza} cannot be understood ({type(error).__name__})",
            hint="compare its version with the one this was made for: pgbackrest version (2.45 to 2.55)",
        ) from error


def parse_backup(found: dict[str, Any]) -> Backup:
    """Return one backup of `info`'s list."""
    archive, lsn = found["archive"] or {}, found.get("lsn") or {}
    return Backup(
        label=str(found["label"]),
        kind=str(found["type"]),
        prior=str(found.get("prior") or ""),
        start_wal=str(archive.get("start") or ""),
        stop_wal=str(archive.get("stop") or ""),
        start_lsn=str(lsn.get("start") or ""),
        stop_lsn=str(lsn.get("stop") or ""),
        started=int(found["timestamp"]["start"]),
        stopped=int(found["timestamp"]["stop"]),
        database_id=int(found["database"]["id"]),
        size_bytes=int(found["info"]["size"]),
        # Since 2.48 a backup by blocks tells no sum of what the repository holds for it.
        repository_bytes=int(found["info"]["repository"].get("delta", 0)),
        error=bool(found.get("error") or False),
    )


def parse_tablespaces(text: str, stanza: str, label: str) -> tuple[str, ...]:
    """Return the tablespaces of `info --set=LABEL --output=json`; raises INTEGRITY when it does not tell of `label`."""
    try:
        (found,) = (each for each in json.loads(text, strict=False) if each["name"] == stanza)
        (backup,) = (each for each in found["backup"] if each["label"] == label)
        return tuple(str(each["name"]) for each in backup.get("tablespace") or ())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BackupError(
            Code.INTEGRITY,
            f"pgbackrest's info of {label} cannot be understood ({type(error).__name__})",
            hint="compare its version with the one this was made for: pgbackrest version (2.45 to 2.55)",
        ) from error


def parse_listing(text: str) -> dict[str, tuple[int, int]]:
    """Return the files of `repo-ls --output=json --recurse`: path → (bytes, Unix time of arrival)."""
    try:
        found = json.loads(text or "{}")
        files = {path: about for path, about in found.items() if about["type"] == "file"}
        return {path: (int(about["size"]), int(about["time"])) for path, about in files.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BackupError(
            Code.INTEGRITY, "pgbackrest's listing cannot be understood", hint="compare: pgbackrest version"
        ) from error


def parse_verify(text: str, labels: Iterable[str]) -> list[Finding]:
    """Return what `verify --output=text --verbose` admits in words, whatever its exit code and its own status say.

    `labels` are the backups that it has to have read; one that it passes over is a finding, as is a missing status.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    findings: list[Finding] = []
    listed, seen = set(labels), set()
    about = "the repository"
    for line in lines:
        if archive := ARCHIVE.match(line):
            about = f"the WAL of {archive['id']}"
            if archive["all"] != archive["good"]:
                bad = int(archive["all"]) - int(archive["good"])
                findings.append(Finding(Code.INTEGRITY, f"{bad} of {archive['all']} files of {about} are bad", LOOK))
        elif backup := BACKUP.match(line):
            about = f"backup {backup['label']}"
            seen.add(backup["label"])
            # What info does not list yet is being made, or waits to be resumed.
            begun = backup["status"] == "in-progress" and backup["label"] not in listed
            if backup["status"] != "valid" and not begun:
                findings.append(Finding(Code.INTEGRITY, f"{about} is {backup['status']}", LOOK))
        elif counts := COUNTS.match(line):
            findings.extend(counted(about, [int(count) for count in counts.groups()]))
        elif line.startswith("No usable "):
            findings.append(Finding(Code.INTEGRITY, f"verify says: {line}", LOOK))
        elif line == "archiveId: none found":
            findings.append(Finding(Code.WAL_GAP, "the archive holds no WAL at all", LOOK))
    unread = sorted(listed - seen)
    findings += [Finding(Code.INTEGRITY, f"verify passed over backup {label}", LOOK) for label in unread]
    if "status: ok" not in lines and not findings:
        findings.append(Finding(Code.INTEGRITY, "verify does not say that all is well", LOOK))
    return findings


def counted(about: str, counts: list[int]) -> list[Finding]:
    """Return a finding when verify has counted bad files."""
    kinds = ("missing", "with a wrong checksum", "of a wrong size", "unreadable")
    bad = ", ".join(f"{count} {kind}" for count, kind in zip(counts, kinds, strict=True) if count)
    return [Finding(Code.INTEGRITY, f"files of {about}: {bad}", LOOK)] if bad else []


def parse_check(text: str, service: str, code: int) -> list[Finding]:
    """Return what check_pgbackrest's `service` finds; it speaks JSON, and has worried when its status is not 0."""
    kind = Code.WAL_GAP if service == "archives" else Code.INTEGRITY
    again = f"check_pgbackrest --service={service} shows it again"
    try:
        (answer,) = json.loads(text)
        status, message = int(answer["status"]["code"]), str(answer["message"])
    except (ValueError, KeyError, TypeError):
        return [Finding(kind, f"check_pgbackrest --service={service} ended with {code} and said nothing usable", again)]
    if status == 0 and code == 0:
        return []
    return [Finding(kind, f"check_pgbackrest: {message}", again)]
