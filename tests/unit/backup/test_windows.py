"""Which points in time can be restored, and from which backup."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasargad_ops.backup.errors import BackupError, Code
from pasargad_ops.backup.wal import Archive, Segment, Switch
from pasargad_ops.backup.windows import Backup, Windows, choose, newest_timeline, windows

SEGMENT = 16 * 2**20
NOW = datetime.fromtimestamp(100_000, UTC)


def backup(label: str, start: int, stop: int, *, timeline: int = 1, prior: str = "") -> Backup:
    """Return a backup that ended in the middle of its last segment; a segment takes ten seconds in these tests."""
    first, last = (Segment(timeline, number).name() for number in (start, stop))
    ended = stop * 10 + 5
    lsns = f"0/{start * SEGMENT:X}", f"0/{stop * SEGMENT + 80:X}"
    return Backup(label, "diff" if prior else "full", prior, first, last, lsns[0], lsns[1], ended - 3, ended)


def archive(numbers: Iterable[int], *, timeline: int = 1) -> dict[str, int]:
    """Return segments that arrived when they were full."""
    return {Segment(timeline, number).name(): number * 10 + 10 for number in numbers}


def found(
    *backups: Backup,
    held: dict[str, int],
    timeline: int | None = None,
    histories: Mapping[int, Sequence[Switch]] | None = None,
) -> Windows:
    """Return the windows that are left with the segments `held`."""
    return windows(backups, Archive(held), histories or {}, timeline=timeline)


def at(second: float) -> datetime:
    """Return a time."""
    return datetime.fromtimestamp(second, UTC)


def test_wal_without_a_hole_gives_one_window_from_the_first_backup_to_the_newest_segment() -> None:
    known = found(backup("A", 5, 6), backup("B", 9, 9, prior="A"), held=archive(range(4, 20)))
    (window,) = known.windows
    assert (window.since, window.until) == (66, 200)
    assert (window.first_wal, window.last_wal) == (Segment(1, 5).name(), Segment(1, 19).name())
    assert known.breaks == () and known.unusable == ()


def test_the_newest_backup_that_ended_before_the_target_is_chosen() -> None:
    known = found(backup("A", 5, 6), backup("B", 9, 9, prior="A"), held=archive(range(4, 20)))
    assert choose(known, at(66), now=NOW).label == "A"
    assert choose(known, at(95.99), now=NOW).label == "A"
    assert choose(known, at(96), now=NOW).label == "B"
    assert choose(known, at(200), now=NOW).label == "B"
    assert choose(known, at(200), now=NOW, label="A").label == "A"
    with pytest.raises(BackupError, match="cannot be reached from B"):
        choose(known, at(80), now=NOW, label="B")


@pytest.mark.parametrize(
    ("second", "words"),
    [(1, "before the first"), (65.99, "before the first"), (200.5, "after the newest WAL"), (100_001, "in the future")],
)
def test_a_time_outside_of_the_window_is_refused_with_the_times_that_would_do(second: float, words: str) -> None:
    known = found(backup("A", 5, 6), held=archive(range(5, 20)))
    with pytest.raises(BackupError, match=words) as caught:
        choose(known, at(second), now=NOW)
    assert caught.value.code == Code.TARGET_TIME
    assert "1970-01-01 00:01:06+00:00 to 1970-01-01 00:03:20+00:00" in caught.value.hint


def test_a_hole_breaks_the_window_until_the_next_backup() -> None:
    held = archive({*range(5, 20)} - {12, 13})
    known = found(backup("A", 5, 6), backup("B", 15, 16), held=held)
    assert [(window.since, window.until) for window in known.windows] == [(66, 120), (166, 200)]
    (broken,) = known.breaks
    assert (broken.since, broken.until, broken.gap.count) == (120, 166, 2)
    with pytest.raises(BackupError, match=r"in a gap: WAL 0{7}10{15}C to 0{7}10{15}D \(2 segments\) is missing"):
        choose(known, at(140), now=NOW)
    assert choose(known, at(120), now=NOW).label == "A"
    assert choose(known, at(166), now=NOW).label == "B"


def test_a_backup_whose_own_wal_is_gone_opens_nothing() -> None:
    known = found(backup("A", 5, 7), backup("B", 9, 9), held=archive({*range(5, 20)} - {6}))
    assert [window.since for window in known.windows] == [96]
    assert [(each.label, each.why) for each in known.unusable] == [("A", "WAL written while it ran is missing")]
    with pytest.raises(BackupError, match="before the first"):
        choose(known, at(80), now=NOW)


def test_without_any_wal_nothing_can_be_restored() -> None:
    known = found(backup("A", 5, 7), held={})
    assert known.windows == ()
    with pytest.raises(BackupError, match="A: WAL written while it ran is missing"):
        choose(known, at(80), now=NOW)
    with pytest.raises(BackupError, match="there is no backup"):
        choose(found(held=archive([1])), at(80), now=NOW)


def test_a_backup_leans_on_all_those_before_it() -> None:
    chain = [backup("B", 6, 6, prior="A"), backup("C", 7, 7, prior="B")]
    known = found(*chain, held=archive(range(5, 10)))
    assert [each.why for each in known.unusable] == ["A, on which it leans, is not listed"] * 2
    assert found(backup("A", 5, 5), *chain, held=archive(range(5, 10))).unusable == ()


def test_a_backup_of_a_stopped_cluster_opens_nothing() -> None:
    cold = Backup("A", "full", "", "", "", "", "", 1, 2)
    assert "stopped cluster" in found(cold, held=archive(range(5, 10))).unusable[0].why


SWITCH = {2: (Switch(1, 12 * SEGMENT + 80),)}


def test_recovery_crosses_to_the_timeline_that_came_after() -> None:
    held = archive(range(5, 12)) | archive(range(12, 20), timeline=2)
    known = found(backup("A", 5, 6), held=held, histories=SWITCH)
    (window,) = known.windows
    assert (known.timeline, window.since, window.until, window.last_wal) == (2, 66, 200, Segment(2, 19).name())


def test_what_an_abandoned_branch_wrote_counts_on_that_branch_alone() -> None:
    held = archive(range(5, 18)) | archive(range(12, 14), timeline=2)
    late = backup("B", 14, 15)
    known = found(backup("A", 5, 6), late, held=held, histories=SWITCH)
    assert [(window.until, len(window.backups)) for window in known.windows] == [(140, 1)]
    assert known.unusable[0].why == "timeline 1 was left before it ended"
    (old,) = found(backup("A", 5, 6), late, held=held, timeline=1, histories=SWITCH).windows
    assert (old.until, len(old.backups)) == (180, 2)


def test_a_backup_that_ended_in_the_segment_of_the_switch_is_not_trusted() -> None:
    held = archive(range(5, 13)) | archive(range(12, 20), timeline=2)
    known = found(backup("A", 11, 12), held=held, histories=SWITCH)
    assert (known.windows, known.unusable[0].why) == ((), "timeline 1 was left before it ended")
    assert found(backup("A", 11, 11), held=held, histories=SWITCH).unusable == ()


def test_before_the_new_timeline_wrote_anything_the_old_one_counts_to_the_switch() -> None:
    (window,) = found(backup("A", 5, 6), held=archive(range(5, 18)), histories=SWITCH).windows
    assert window.last_wal == Segment(1, 11).name()


def test_a_hole_behind_a_switch_is_seen() -> None:
    held = archive(range(5, 12)) | archive(range(13, 20), timeline=2)
    known = found(backup("A", 5, 6), held=held, histories=SWITCH)
    assert known.breaks[0].gap.first == Segment(2, 12).name()
    assert known.windows[0].until == 120


def test_without_its_history_file_a_backup_on_an_older_timeline_is_lost() -> None:
    held = archive(range(5, 12)) | archive(range(12, 20), timeline=2)
    known = found(backup("A", 5, 6), backup("B", 14, 14, timeline=2), held=held)
    assert "history file is missing" in known.unusable[0].why
    assert [window.since for window in known.windows] == [146]


def test_recovery_stops_to_look_for_timelines_at_the_first_that_is_not_there() -> None:
    assert newest_timeline([], []) == 1
    assert newest_timeline([backup("A", 1, 1)], [2, 3, 5]) == 3
    assert newest_timeline([backup("A", 1, 1), backup("B", 1, 1, timeline=5)], [2, 3, 5]) == 5


@given(st.data())
def test_each_second_is_promised_exactly_when_one_by_one_reckoning_agrees(data: Any) -> None:
    """A second is good when a backup ended before it and all WAL from its start to that second is there."""
    backups = [
        backup(f"B{index}", start, start + data.draw(st.integers(0, 2)))
        for index, start in enumerate(data.draw(st.lists(st.integers(1, 25), min_size=1, max_size=4, unique=True)))
    ]
    numbers = data.draw(st.sets(st.integers(1, 30)))
    known = found(*backups, held=archive(numbers))
    for second in range(0, 320, 3):
        good = [
            each
            for each in backups
            if each.opens <= second
            and all(
                number in numbers
                for number in range(
                    int(each.start_wal[16:], 16), max((second - 1) // 10, int(each.stop_wal[16:], 16)) + 1
                )
            )
        ]
        if good:
            assert choose(known, at(second), now=NOW).stopped == max(each.stopped for each in good)
        else:
            with pytest.raises(BackupError) as caught:
                choose(known, at(second), now=NOW)
            assert caught.value.code == Code.TARGET_TIME
