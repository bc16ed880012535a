"""Judge a repository by what it lists: the reading that pgbackrest's own verify leaves out. Pure decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .errors import BackupError, Code
from .pgbackrest_read import Finding, Info
from .wal import SEGMENT, Archive, Gap, Switch, gaps, parse_segment
from .windows import Backup, newest_timeline

RENEW = "if the storage keeps versions, bring the old one back; else take a full backup, which writes it anew"
KEY = "nothing can be deciphered: put the right passphrase into repo1-cipher-pass; never run stanza-create over it"
FULL = "take a diff or full backup now: points in time before its end stay lost"
DAMAGED = "another backup may be whole: pgbackrest info lists them, a label chooses one; verify tells what is damaged"
COPIED = ("backup.info", "backup.info.copy")


def holdings(info: Info) -> list[Finding]:
    """Return what `info` itself admits: no backup, or pages that were damaged when they were read."""
    if not info.current:
        return [
            Finding(Code.INTEGRITY, f"there is no backup: {info.message}", "take one: pgbackrest backup --type=full")
        ]
    return [
        Finding(
            Code.INTEGRITY, f"backup {backup.label} holds pages with wrong checksums", "pg_amcheck names the tables"
        )
        for backup in info.backups
        if backup.error
    ]


def files(info: Info, listed: Mapping[str, tuple[int, int]]) -> list[Finding]:
    """Return which of the repository's own records are absent; `listed` are the files below the stanza's backups."""
    known = {backup.label for backup in info.backups}
    needed = [*COPIED, *(name for label in sorted(known) for name in manifests(label))]
    findings = [
        Finding(Code.INTEGRITY, f"{name} is missing", RENEW) for name in needed if not listed.get(name, (0,))[0]
    ]
    for backup in info.backups:
        if backup.prior and backup.prior not in known:
            what = f"backup {backup.label} leans on {backup.prior}, which is not there"
            findings.append(Finding(Code.INTEGRITY, what, "take a full backup"))
    return findings


def pairs(info: Info, listed: Mapping[str, tuple[int, int]]) -> list[tuple[str, str]]:
    """Return the records that have a copy which has to be equal, where both are there."""
    both = [COPIED, *(manifests(backup.label) for backup in info.backups)]
    return [(first, second) for first, second in both if first in listed and second in listed]


def manifests(label: str) -> tuple[str, str]:
    """Return a backup's list of files, and its copy."""
    return f"{label}/backup.manifest", f"{label}/backup.manifest.copy"


def wal(
    info: Info,
    archive: Archive,
    histories: Mapping[int, Sequence[Switch]],
    segment_bytes: int,
    last_archived: str = "",
) -> list[Finding]:
    """Return what is missing of the WAL: while a backup ran, and from the oldest backup to the newest segment.

    `last_archived` is the newest segment that PostgreSQL says it has archived: the only way to see that it is gone.
    """
    online = [backup for backup in info.current if backup.start_wal and backup.stop_wal]
    findings = [
        Finding(
            Code.INTEGRITY, f"{name} is twice in the archive, with different content", "restore cannot choose: verify"
        )
        for name in archive.duplicates
    ]
    for backup in online:
        found = between(archive, backup.start_wal, backup.stop_wal, histories, segment_bytes)
        findings += [
            Finding(each.code, f"backup {backup.label} cannot be restored: {each.what}", each.hint) for each in found
        ]
    if not online:
        return findings
    for timeline in sorted({int(name[:8], 16) for name in archive.segments} - {1} - histories.keys()):
        what = f"the archive holds WAL of timeline {timeline} and no {timeline:08X}.history"
        findings.append(Finding(Code.WAL_GAP, what, "copy it from the cluster's pg_wal: archive-push"))
    return findings + contiguous(online, archive, histories, segment_bytes, last_archived)


def contiguous(
    online: Sequence[Backup],
    archive: Archive,
    histories: Mapping[int, Sequence[Switch]],
    segment_bytes: int,
    last_archived: str,
) -> list[Finding]:
    """Return the holes from the oldest backup that leads to the newest timeline, to the newest segment of that."""
    timeline = newest_timeline(online, histories)
    ancestors = {switch.timeline for switch in histories.get(timeline, ())} | {timeline}
    told = archived_segment(last_archived)
    ends = [name for name in [*archive.segments, *([told] if told else [])] if int(name[:8], 16) == timeline]
    newest = max([*ends, *(backup.stop_wal for backup in online if backup.timeline == timeline)], default="")
    leading = [backup.start_wal for backup in online if backup.timeline in ancestors]
    if not newest or not leading:
        return []
    oldest = min(leading, key=lambda name: parse_segment(name, segment_bytes).number)
    return between(archive, oldest, newest, histories, segment_bytes)


def between(
    archive: Archive,
    first: str,
    last: str,
    histories: Mapping[int, Sequence[Switch]],
    segment_bytes: int,
) -> list[Finding]:
    """Return the holes between two segments as findings."""
    try:
        holes = gaps(archive.segments, first, last, histories.get(int(last[:8], 16), ()), segment_bytes)
    except BackupError as error:
        return [Finding(error.code, error.message, error.hint)]
    return [Finding(Code.WAL_GAP, f"WAL {told(hole)} is missing", FULL, hole.count) for hole in holes]


def is_countable(info: Info) -> bool:
    """Whether all WAL since the oldest backup is of one timeline, so that check_pgbackrest can count it."""
    starts = [backup.start_wal for backup in info.current if backup.start_wal]
    ranges = [each for each in info.archives if each.id == info.archive_id and each.max]
    if not starts or not ranges:
        return True
    return max(min(starts), ranges[0].min)[:8] == max(ranges[0].max, *starts)[:8]


def told(hole: Gap) -> str:
    """Return a hole as people read it."""
    return hole.first if hole.count == 1 else f"{hole.first} to {hole.last} ({hole.count} segments)"


def archived_segment(name: str) -> str:
    """Return the segment of pg_stat_archiver's last name, or an empty text when it was a history file."""
    base = name[:24]
    return base if SEGMENT.fullmatch(base) and not name.endswith(".partial") else ""
