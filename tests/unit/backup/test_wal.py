"""Names of WAL: what follows on what, and what is missing, against a slow reckoning one by one."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasargad_ops.backup.errors import BackupError, Code
from pasargad_ops.backup.wal import (
    Archive,
    Gap,
    Segment,
    Switch,
    gaps,
    parse_history,
    parse_lsn,
    parse_segment,
    read_archive,
    successor,
)

MIB = 2**20
SIZES = [size * MIB for size in (1, 2, 16, 64, 1024)]
HASH = "a50f50c814c74ef3ace0de8b856bd5d0b0f4ad21"


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [
        ("000000010000000000000001", 16, "000000010000000000000002"),
        ("0000000100000000000000FF", 16, "000000010000000100000000"),
        ("0000000A00000000000000FF", 1, "0000000A0000000000000100"),
        ("000000010000000000000FFF", 1, "000000010000000100000000"),
        ("000000010000000000000003", 1024, "000000010000000100000000"),
        ("00000001000000FF0000003F", 64, "000000010000010000000000"),
    ],
)
def test_the_next_segment_stands_in_the_next_log_after_the_last_one(name: str, size: int, expected: str) -> None:
    assert successor(name, size * MIB) == expected


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("000000010000000000000100", 16),  # there are 256 segments of 16 MiB in a log
        ("000000010000000000000004", 1024),
        ("000000000000000000000001", 16),  # there is no timeline 0
        ("00000001000000000000000a", 16),
        ("00000001000000000000001", 16),
        ("0000000100000000000000010", 16),
        ("00000002.history", 16),
        ("", 16),
    ],
)
def test_a_name_that_no_segment_has_is_refused(name: str, size: int) -> None:
    with pytest.raises(BackupError) as caught:
        parse_segment(name, size * MIB)
    assert caught.value.code == Code.INTEGRITY
    assert caught.value.hint


@pytest.mark.parametrize("size", [0, -MIB, MIB // 2, 3 * MIB, 2**31])
def test_a_size_that_postgresql_does_not_know_is_refused(size: int) -> None:
    with pytest.raises(BackupError) as caught:
        successor("000000010000000000000001", size)
    assert caught.value.code == Code.CONFIG


def test_nothing_follows_on_the_last_segment_that_there_can_be() -> None:
    with pytest.raises(BackupError, match="last segment"):
        successor("00000001FFFFFFFF000000FF")


@given(st.integers(1, 2**32 - 1), st.integers(0, 2**34 - 2), st.sampled_from(SIZES))
def test_a_name_means_its_segment_and_the_next_is_one_more(timeline: int, number: int, size: int) -> None:
    number %= 2**64 // size - 1
    name = Segment(timeline, number).name(size)
    assert parse_segment(name, size) == Segment(timeline, number)
    assert parse_segment(successor(name, size), size) == Segment(timeline, number + 1)
    assert name < successor(name, size)


def test_a_history_is_read_as_postgresql_writes_it() -> None:
    text = "1\t0/A00050\tno recovery target specified\n\n# a remark\n3\t1/2000000\tbefore 2026-11-28 05:48:56+00\n"
    assert parse_history(text) == (Switch(1, 0xA00050), Switch(3, 2**32 + 0x2000000))
    assert parse_history("") == ()


@pytest.mark.parametrize(
    "text", ["1", "one\t0/1\t", "1\t0-1\t", "2\t0/1\tx\n2\t0/2\tx", "2\t0/1\tx\n1\t0/2\tx", "0\t0/1", "\x8f\xe1"]
)
def test_a_damaged_history_is_refused(text: str) -> None:
    with pytest.raises(BackupError) as caught:
        parse_history(text)
    assert caught.value.code == Code.INTEGRITY


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader_of_histories(text: str) -> None:
    try:
        switches = parse_history(text)
    except BackupError as error:
        assert error.code == Code.INTEGRITY
    else:
        assert list(switches) == sorted(switches, key=lambda switch: switch.timeline)


@given(st.integers(0, 2**64 - 1))
def test_a_place_in_the_wal_is_read(place: int) -> None:
    assert parse_lsn(f"{place >> 32:X}/{place & 0xFFFFFFFF:X}") == place


def test_an_archive_is_sorted_by_kind() -> None:
    folder = "15-1/0000000100000000"
    files = {
        f"{folder}/000000010000000000000008-{HASH}.zst": 80,
        f"{folder}/000000010000000000000009-{HASH}": 90,
        f"{folder}/000000010000000000000009-{HASH[::-1]}.zst": 95,
        f"{folder}/000000010000000000000009.00000028.backup": 91,
        f"{folder}/00000001000000000000000A.partial-{HASH}.zst": 100,
        "15-1/00000002.history": 101,
        "archive.info": 1,
        f"{folder}/00000001000000000000000B-{HASH}.zst.pgbackrest.tmp": 2,
    }
    found = read_archive(files)
    assert dict(found.segments) == {"000000010000000000000008": 80, "000000010000000000000009": 95}
    assert found.partial == {"00000001000000000000000A"}
    assert found.labels == {"000000010000000000000009"}
    assert found.histories == {2: "15-1/00000002.history"}
    assert found.duplicates == ("000000010000000000000009",)
    assert len(found.strange) == 2
    assert read_archive([]) == Archive()


def named(*parts: int, timeline: int = 1) -> list[str]:
    """Return names of segments of 16 MiB, as the archive has them."""
    return [f"{Segment(timeline, part).name()}-{HASH}.zst" for part in parts]


def test_a_hole_across_two_logs_is_one_gap() -> None:
    found = gaps(named(0xFD, 0x102), "0000000100000000000000FD", "000000010000000100000002")
    assert found == [Gap("0000000100000000000000FE", "000000010000000100000001", 4)]


def test_a_partial_segment_fills_no_gap() -> None:
    present = [*named(1, 3), f"000000010000000000000002.partial-{HASH}.zst", "000000010000000000000002.00000028.backup"]
    found = gaps(present, "000000010000000000000001", "000000010000000000000003")
    assert found == [Gap("000000010000000000000002", "000000010000000000000002", 1)]


def test_the_ends_are_asked_for_too() -> None:
    found = gaps(named(2), "000000010000000000000001", "000000010000000000000003")
    assert [gap.first for gap in found] == ["000000010000000000000001", "000000010000000000000003"]


def test_the_segment_of_a_switch_is_wanted_from_the_new_timeline() -> None:
    history = (Switch(1, 3 * 16 * MIB + 0x50),)
    present = [*named(1, 2, 3), *named(4, timeline=2)]
    found = gaps(present, "000000010000000000000001", "000000020000000000000004", history)
    assert found == [Gap("000000020000000000000003", "000000020000000000000003", 1)]
    assert gaps([*present, *named(3, timeline=2)], found[0].first, "000000020000000000000004", history) == []


def test_timelines_that_were_left_in_one_segment_need_none_of_their_own() -> None:
    history = (Switch(1, 3 * 16 * MIB + 0x50), Switch(2, 3 * 16 * MIB + 0x90))
    present = [*named(1, 2), *named(3, 4, timeline=5)]
    assert gaps(present, "000000010000000000000001", "000000050000000000000004", history) == []


def test_a_branch_that_was_left_behind_leads_nowhere() -> None:
    history = (Switch(1, 3 * 16 * MIB),)
    with pytest.raises(BackupError) as caught:
        gaps(named(3, 4), "000000010000000000000003", "000000020000000000000004", history)
    assert caught.value.code == Code.CHAIN
    with pytest.raises(BackupError):
        gaps(named(3, 4), "000000010000000000000004", "000000010000000000000003")


def test_a_name_from_a_far_future_costs_nothing() -> None:
    found = gaps(named(1), "000000010000000000000001", "00000001FFFFFFFF000000FE")
    assert found[0].count == 2**40 - 3


@given(st.data())
def test_gaps_are_what_a_reckoning_one_by_one_misses(data: Any) -> None:
    size = data.draw(st.sampled_from(SIZES))
    per_log = 2**32 // size
    first = data.draw(st.integers(0, 3)) * per_log + data.draw(st.integers(max(0, per_log - 3), per_log + 3))
    lengths = data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=4))
    lengths[0], lengths[-1] = max(lengths[0], 1), max(lengths[-1], 1)
    timelines = sorted(data.draw(st.sets(st.integers(1, 40), min_size=len(lengths), max_size=len(lengths))))
    history, way, at = [], [], first
    for timeline, length in zip(timelines, lengths, strict=True):
        way += [Segment(timeline, number) for number in range(at, at + length)]
        at += length
        history.append(Switch(timeline, at * size + data.draw(st.integers(0, size - 1))))
    names = [segment.name(size) for segment in way]
    kept = data.draw(st.sets(st.sampled_from(names)))
    noise = [Segment(timeline, at + 9).name(size) for timeline in timelines] + ["00000002.history", "archive.info"]
    present = [name + data.draw(st.sampled_from(["", f"-{HASH}", f"-{HASH}.zst"])) for name in kept] + noise
    random.Random(at).shuffle(present)
    found = gaps(present, names[0], names[-1], tuple(history[:-1]), size)
    missed = [parse_segment(name, size) for name in names if name not in kept]
    spelled = []
    for gap in found:
        begin, end = parse_segment(gap.first, size), parse_segment(gap.last, size)
        assert end.number - begin.number + 1 == gap.count
        assert begin.timeline == end.timeline
        spelled += [Segment(begin.timeline, number) for number in range(begin.number, end.number + 1)]
    assert spelled == missed
    follows = [(a, b) for a, b in itertools.pairwise(found) if successor(a.last, size) == b.first]
    assert follows == []
