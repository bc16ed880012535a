"""Read the names of WAL files, and tell what is missing between two of them: pure decisions, no storage."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from .errors import BackupError, Code

SEGMENT_BYTES = 16 * 2**20
LOG_BYTES = 2**32
ADDRESSES = 2**64
SEGMENT = re.compile(r"[0-9A-F]{24}")
# What pgbackrest keeps: NAME-SHA1.zst, NAME.partial-SHA1.zst, NAME.00000028.backup; PostgreSQL's own names fit too.
KEPT = re.compile(
    r"(?P<name>[0-9A-F]{24})(?P<kind>\.partial|\.[0-9A-F]{8}\.backup)?(-[0-9a-f]{40})?(\.(gz|bz2|lz4|xz|zst))?"
)
HISTORY = re.compile(r"(?P<timeline>[0-9A-F]{8})\.history(\.(gz|bz2|lz4|xz|zst))?")
LSN = re.compile(r"(?P<high>[0-9A-Fa-f]{1,8})/(?P<low>[0-9A-Fa-f]{1,8})")


@dataclass(frozen=True, order=True)
class Segment:
    """One WAL segment: its timeline, and its number since the cluster's first byte of WAL."""

    timeline: int
    number: int

    def name(self, segment_bytes: int = SEGMENT_BYTES) -> str:
        """Return PostgreSQL's name of the segment."""
        log, part = divmod(self.number, segments_per_log(segment_bytes))
        return f"{self.timeline:08X}{log:08X}{part:08X}"


@dataclass(frozen=True)
class Switch:
    """A line of a history file: `timeline` was left at the byte `lsn`."""

    timeline: int
    lsn: int


@dataclass(frozen=True)
class Gap:
    """Segments that follow each other and are all missing; both ends are missing too."""

    first: str
    last: str
    count: int


@dataclass(frozen=True)
class Stretch:
    """Segments on one timeline, both ends included."""

    timeline: int
    first: int
    last: int


@dataclass(frozen=True)
class Archive:
    """What an archive holds, sorted by kind.

    `segments` tells when each complete one arrived (Unix seconds, 0 when nobody knows), `histories` where each is.
    """

    segments: Mapping[str, int] = field(default_factory=dict)
    partial: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()
    histories: Mapping[int, str] = field(default_factory=dict)
    duplicates: tuple[str, ...] = ()
    strange: tuple[str, ...] = ()


def segments_per_log(segment_bytes: int) -> int:
    """Return how many segments share the middle eight digits; raises CONFIG for a size that PostgreSQL has not."""
    if segment_bytes & (segment_bytes - 1) or not 2**20 <= segment_bytes <= 2**30:
        raise BackupError(
            Code.CONFIG,
            f"{segment_bytes} bytes is no size of a WAL segment",
            hint="it is a power of two from 1 MiB to 1 GiB: psql -c 'SHOW wal_segment_size'",
        )
    return LOG_BYTES // segment_bytes


def parse_segment(name: str, segment_bytes: int = SEGMENT_BYTES) -> Segment:
    """Return the segment that `name` means; raises INTEGRITY when no segment of that size is called so."""
    per_log = segments_per_log(segment_bytes)
    timeline, log, part = (int(name[at : at + 8], 16) for at in (0, 8, 16)) if SEGMENT.fullmatch(name) else (0, 0, 0)
    if timeline == 0 or part >= per_log:
        raise BackupError(
            Code.INTEGRITY,
            f"{name[:64]!r} is no WAL segment of {segment_bytes >> 20} MiB",
            hint="compare the configured size with psql -c 'SHOW wal_segment_size'",
        )
    return Segment(timeline, log * per_log + part)


def successor(name: str, segment_bytes: int = SEGMENT_BYTES) -> str:
    """Return the name of the segment that follows on the same timeline."""
    found = parse_segment(name, segment_bytes)
    if (found.number + 1) * segment_bytes >= ADDRESSES:
        raise BackupError(Code.INTEGRITY, f"{name} is the last segment that there can be")
    return Segment(found.timeline, found.number + 1).name(segment_bytes)


def parse_lsn(text: str) -> int:
    """Return the byte that an LSN such as 0/A00050 means; raises INTEGRITY."""
    found = LSN.fullmatch(text)
    if found is None:
        raise BackupError(Code.INTEGRITY, f"{text[:64]!r} is no place in the WAL")
    return int(found["high"], 16) << 32 | int(found["low"], 16)


def parse_history(text: str) -> tuple[Switch, ...]:
    """Return the switches of a history file, oldest first, by PostgreSQL's own rules; raises INTEGRITY."""
    switches: list[Switch] = []
    for line in text.splitlines():
        words = line.split("#")[0].split(None, 2)
        if not words:
            continue
        if len(words) < 2 or not words[0].isascii() or not words[0].isdecimal():
            raise BackupError(Code.INTEGRITY, f"a timeline's history has the line {line[:80]!r}")
        switch = Switch(int(words[0]), parse_lsn(words[1]))
        if switch.timeline <= (switches[-1].timeline if switches else 0):
            raise BackupError(Code.INTEGRITY, "a timeline's history does not go upward")
        switches.append(switch)
    return tuple(switches)


def read_archive(files: Mapping[str, int] | Iterable[str]) -> Archive:
    """Sort an archive's names, with or without folders, by kind; a mapping tells when each arrived."""
    times = files if isinstance(files, Mapping) else dict.fromkeys(files, 0)
    segments: dict[str, int] = {}
    partial: set[str] = set()
    labels: set[str] = set()
    duplicates: set[str] = set()
    strange: list[str] = []
    histories: dict[int, str] = {}
    for path in sorted(times):
        base = path.rsplit("/", 1)[-1]
        if history := HISTORY.fullmatch(base):
            histories[int(history["timeline"], 16)] = path
        elif (kept := KEPT.fullmatch(base)) is None:
            strange.append(path)
        elif kept["kind"]:
            (partial if kept["kind"] == ".partial" else labels).add(kept["name"])
        else:
            duplicates |= {kept["name"]} & segments.keys()
            segments[kept["name"]] = max(segments.get(kept["name"], 0), times[path])
    return Archive(
        segments, frozenset(partial), frozenset(labels), histories, tuple(sorted(duplicates)), tuple(strange)
    )


def path(first: Segment, last: Segment, history: Sequence[Switch], segment_bytes: int) -> tuple[Stretch, ...]:
    """Return what recovery reads from `first` to `last`, whose timeline's `history` is given.

    The segment in which a timeline was left is read from the new one, which begins with a copy of it. Raises CHAIN
    when `first` is not on the way to `last`: it belongs to a branch that was left behind.
    """
    bounds = [(switch.timeline, switch.lsn // segment_bytes) for switch in history if switch.timeline < last.timeline]
    stretches: list[Stretch] = []
    begin = 0
    for timeline, end in [*bounds, (last.timeline, last.number + 1)]:
        clipped = Stretch(timeline, max(begin, first.number), min(end - 1, last.number))
        if clipped.first <= clipped.last:
            stretches.append(clipped)
        begin = max(begin, end)
    if not stretches or stretches[0].timeline != first.timeline:
        raise BackupError(
            Code.CHAIN,
            f"{first.name(segment_bytes)} does not lead to {last.name(segment_bytes)}",
            hint="it belongs to another timeline: restore with the timeline of the backup, or take a new full backup",
        )
    return tuple(stretches)


def missing(present: Iterable[Segment], way: Iterable[Stretch]) -> Iterator[Stretch]:
    """Yield the stretches of `way` of which nothing is present; costs grow with what is present, not with the way."""
    there = sorted(set(present))
    for stretch in way:
        low = bisect.bisect_left(there, Segment(stretch.timeline, stretch.first))
        high = bisect.bisect_right(there, Segment(stretch.timeline, stretch.last))
        expected = stretch.first
        for found in there[low:high]:
            if found.number > expected:
                yield Stretch(stretch.timeline, expected, found.number - 1)
            expected = found.number + 1
        if expected <= stretch.last:
            yield Stretch(stretch.timeline, expected, stretch.last)


def gaps(
    present: Iterable[str],
    first: str,
    last: str,
    history: Sequence[Switch] = (),
    segment_bytes: int = SEGMENT_BYTES,
) -> list[Gap]:
    """Return what is missing from `first` to `last`, both included, in the order in which recovery would want it.

    `present` may hold an archive's own names, with hashes and suffixes; partial segments and history files count for
    nothing. `history` is that of the timeline of `last`. Raises CHAIN when `first` does not lead to `last`.
    """
    archive = read_archive(present)
    there = [parse_segment(name, segment_bytes) for name in archive.segments]
    way = path(parse_segment(first, segment_bytes), parse_segment(last, segment_bytes), history, segment_bytes)
    return [as_gap(stretch, segment_bytes) for stretch in missing(there, way)]


def as_gap(stretch: Stretch, segment_bytes: int) -> Gap:
    """Return a missing stretch by its names."""
    first, last = (Segment(stretch.timeline, number) for number in (stretch.first, stretch.last))
    return Gap(first.name(segment_bytes), last.name(segment_bytes), stretch.last - stretch.first + 1)
