"""Tell at which points in time a restore works, where that breaks, and from which backup: pure decisions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from .errors import BackupError, Code
from .wal import (
    SEGMENT_BYTES,
    Archive,
    Gap,
    Segment,
    Stretch,
    Switch,
    as_gap,
    missing,
    parse_segment,
    path,
)


@dataclass(frozen=True)
class Backup:
    """A physical backup as pgbackrest lists it; times are whole Unix seconds, `prior` is empty for a full one."""

    label: str
    kind: str
    prior: str
    start_wal: str
    stop_wal: str
    start_lsn: str
    stop_lsn: str
    started: int
    stopped: int
    database_id: int = 1
    size_bytes: int = 0
    repository_bytes: int = 0
    error: bool = False

    @property
    def timeline(self) -> int:
        """The timeline on which the backup was taken; 0 when it was taken of a stopped cluster, without WAL."""
        return int(self.stop_wal[:8], 16) if self.stop_wal else 0

    @property
    def opens(self) -> int:
        """The first second to which this backup can be restored: the program tells its end in whole seconds."""
        return self.stopped + 1


@dataclass(frozen=True)
class Window:
    """A stretch in which each point in time can be restored, from `since` to `until` (Unix seconds, both included).

    `until` is when the last segment arrived: nothing later is in it, yet its last commit may be a little earlier.
    """

    timeline: int
    since: int
    until: int
    first_wal: str
    last_wal: str
    backups: tuple[Backup, ...]


@dataclass(frozen=True)
class Break:
    """Where points in time are lost: after the second `since` and before `until`, because `gap` is missing."""

    since: int
    until: int | None
    gap: Gap
    why: str


@dataclass(frozen=True)
class Unusable:
    """A backup from which no point in time can be reached on this timeline."""

    label: str
    why: str


@dataclass(frozen=True)
class Windows:
    """All windows of one timeline, oldest first, what breaks them, and the backups that open none."""

    timeline: int
    windows: tuple[Window, ...] = ()
    breaks: tuple[Break, ...] = ()
    unusable: tuple[Unusable, ...] = ()


def newest_timeline(backups: Iterable[Backup], histories: Iterable[int]) -> int:
    """Return the timeline that recovery would choose: it looks for the next history file until there is none."""
    newest, known = max((backup.timeline for backup in backups), default=1), set(histories)
    while newest + 1 in known:
        newest += 1
    return newest


def windows(
    backups: Sequence[Backup],
    archive: Archive,
    histories: Mapping[int, Sequence[Switch]],
    *,
    segment_bytes: int = SEGMENT_BYTES,
    timeline: int | None = None,
) -> Windows:
    """Return where a point in time restore works along `timeline`, by default along the one that recovery takes.

    `histories` are the parsed history files of the archive by timeline. A backup counts when all backups it leans on
    are listed, all WAL written while it ran is there, and its timeline was not left before it ended.
    """
    chosen = newest_timeline(backups, histories) if timeline is None else timeline
    history = histories.get(chosen, ())
    there = [parse_segment(name, segment_bytes) for name in archive.segments]
    unusable = {backup.label: why for backup in backups if (why := leans_on_nothing(backup, backups))}
    left = {switch.timeline: switch.lsn // segment_bytes for switch in history if switch.timeline < chosen}
    unusable |= {backup.label: why for backup in backups if (why := off_the_way(backup, chosen, left, segment_bytes))}
    fit = sorted((backup for backup in backups if backup.label not in unusable), key=lambda backup: backup.stopped)
    if not fit:
        return Windows(chosen, unusable=as_unusable(unusable))
    first = min((parse_segment(backup.start_wal, segment_bytes) for backup in fit), key=lambda found: found.number)
    needed = [parse_segment(backup.stop_wal, segment_bytes).number for backup in fit]
    ends = [each.number for each in there if each.timeline == chosen or each.number < left.get(each.timeline, 0)]
    way = path(first, Segment(chosen, max(ends + needed)), history, segment_bytes)
    holes = list(missing(there, way))
    found: list[Window] = []
    for run in runs(way, holes):
        inside = [backup for backup in fit if within(backup, run, segment_bytes)]
        if inside:
            found.append(as_window(chosen, inside, run, archive, segment_bytes))
    opened = {backup.label for window in found for backup in window.backups}
    unusable |= {backup.label: "WAL written while it ran is missing" for backup in fit if backup.label not in opened}
    broken = tuple(as_break(hole, found, archive, segment_bytes) for hole in holes)
    return Windows(chosen, tuple(found), broken, as_unusable(unusable))


def choose(known: Windows, target: datetime, *, now: datetime, label: str = "") -> Backup:
    """Return the newest backup, or the one called `label`, from which `target` can be reached; raises TARGET_TIME."""
    second = target.timestamp()
    if target > now:
        raise refused(known, f"{told(second)} is in the future")
    if not known.windows:
        why = "; ".join(f"{each.label}: {each.why}" for each in known.unusable) or "there is no backup"
        raise refused(known, f"no point in time can be restored: {why}")
    for window in known.windows:
        if window.since <= second <= window.until:
            fit = [each for each in window.backups if each.opens <= second and label in ("", each.label)]
            if not fit:
                raise refused(known, f"{told(second)} cannot be reached from {label}")
            return max(fit, key=lambda each: each.stopped)
    if second < known.windows[0].since:
        raise refused(known, f"{told(second)} is before the first backup that can be restored had ended")
    for broken in known.breaks:
        if second > broken.since and (broken.until is None or second < broken.until):
            raise refused(known, f"{told(second)} is in a gap: {broken.why}")
    raise refused(known, f"{told(second)} is after the newest WAL in the repository")


def refused(known: Windows, message: str) -> BackupError:
    """Return the refusal of a target time, naming the times that would do."""
    spans = ", ".join(f"from {told(window.since)} to {told(window.until)}" for window in known.windows)
    hint = f"choose a time {spans}" if spans else "take a full backup; see its WAL arrive with: pgbackrest check"
    return BackupError(Code.TARGET_TIME, message, hint=hint)


def told(second: float) -> str:
    """Return a Unix time as people and PostgreSQL read it."""
    return datetime.fromtimestamp(second, UTC).isoformat(sep=" ", timespec="auto")


def leans_on_nothing(backup: Backup, backups: Sequence[Backup]) -> str:
    """Return why a backup cannot be restored whatever its WAL, or an empty text."""
    listed = {each.label: each for each in backups}
    each = backup
    while each.prior:
        if each.prior not in listed:
            return f"{each.prior}, on which it leans, is not listed"
        each = listed[each.prior]
    return "" if backup.start_wal and backup.stop_wal else "it was taken of a stopped cluster, without WAL"


def off_the_way(backup: Backup, timeline: int, left: Mapping[int, int], segment_bytes: int) -> str:
    """Return why a backup does not lead to `timeline`, or an empty text; `left`: in which segment each was left."""
    if backup.timeline in (0, timeline):
        return ""
    if backup.timeline not in left:
        return f"timeline {timeline} does not come from its timeline {backup.timeline}, or its history file is missing"
    if parse_segment(backup.stop_wal, segment_bytes).number >= left[backup.timeline]:
        return f"timeline {backup.timeline} was left before it ended"
    return ""


def runs(way: Sequence[Stretch], holes: Sequence[Stretch]) -> list[tuple[Stretch, ...]]:
    """Cut `way` at its holes; each run may cross timelines."""
    found: list[list[Stretch]] = [[]]
    for stretch in way:
        begin = stretch.first
        for hole in (hole for hole in holes if hole.timeline == stretch.timeline):
            if begin < hole.first:
                found[-1].append(Stretch(stretch.timeline, begin, hole.first - 1))
            found.append([])
            begin = hole.last + 1
        if begin <= stretch.last:
            found[-1].append(Stretch(stretch.timeline, begin, stretch.last))
    return [tuple(run) for run in found if run]


def within(backup: Backup, run: Sequence[Stretch], segment_bytes: int) -> bool:
    """Whether all WAL from a backup's start to its stop is in a run."""
    first, last = (parse_segment(name, segment_bytes) for name in (backup.start_wal, backup.stop_wal))
    return any(
        each.timeline == first.timeline and each.first <= first.number and last.number <= each.last for each in run
    )


def as_window(
    timeline: int, backups: Sequence[Backup], run: Sequence[Stretch], archive: Archive, segment_bytes: int
) -> Window:
    """Return the window that a run of WAL gives to the backups within."""
    last = Segment(run[-1].timeline, run[-1].last).name(segment_bytes)
    until = max(archive.segments[last], backups[0].stopped)
    return Window(timeline, backups[0].opens, until, backups[0].start_wal, last, tuple(backups))


def as_break(hole: Stretch, found: Sequence[Window], archive: Archive, segment_bytes: int) -> Break:
    """Return a hole with the time that it costs: from the last WAL before it to the next backup after it."""
    gap = as_gap(hole, segment_bytes)
    before = [window for window in found if parse_segment(window.last_wal, segment_bytes).number < hole.first]
    after = [window for window in found if parse_segment(window.first_wal, segment_bytes).number > hole.last]
    span = gap.first if gap.count == 1 else f"{gap.first} to {gap.last} ({gap.count} segments)"
    return Break(
        since=before[-1].until if before else 0,
        until=after[0].since if after else None,
        gap=gap,
        why=f"WAL {span} is missing",
    )


def as_unusable(reasons: Mapping[str, str]) -> tuple[Unusable, ...]:
    """Return the reasons in the order of the labels."""
    return tuple(Unusable(label, why) for label, why in sorted(reasons.items()))
