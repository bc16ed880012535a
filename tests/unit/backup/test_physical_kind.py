"""Which physical backup is due, and whether there is room for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pasargad_ops.backup.physical_kind import choose_kind
from pasargad_ops.backup.physical_ready import room_needed
from pasargad_ops.backup.wal import Gap
from pasargad_ops.backup.windows import Backup, Break, Window, Windows

# A Monday, one day after the weekly full backup.
MONDAY = datetime(2026, 11, 23, 1, 30, tzinfo=UTC)
FIRST, LAST = "000000010000000000000002", "000000010000000000000003"


def backup(kind: str, at: datetime, **changes: object) -> Backup:
    """A backup that took a minute."""
    second = int(at.timestamp())
    made = Backup(f"{at:%Y%m%d-%H%M%S}F", kind, "", FIRST, LAST, "0/2", "0/3", second - 60, second)
    return replace(made, **changes)  # type: ignore[arg-type]


FULL = backup("full", MONDAY - timedelta(days=1))


def opened(*backups: Backup, breaks: tuple[Break, ...] = ()) -> Windows:
    """What an archive opens when all backups lie in its last window."""
    since = min((each.opens for each in backups), default=0)
    return Windows(1, (Window(1, since, since + 9, FIRST, LAST, backups),) if backups else (), breaks)


GAP = Gap(FIRST, FIRST, 1)
CASES = {
    "a good full of yesterday": ([FULL], opened(FULL), 1, MONDAY, (), "diff"),
    "nothing": ([], opened(), 1, MONDAY, (), "full"),
    "only a diff": ([replace(FULL, kind="diff")], opened(), 1, MONDAY, (), "full"),
    "a full with bad pages": ([replace(FULL, error=True)], opened(FULL), 1, MONDAY, (), "full"),
    "a full that a check found damaged": ([FULL], opened(FULL), 1, MONDAY, (FULL.label,), "full"),
    "another one is damaged": ([FULL], opened(FULL), 1, MONDAY, ("20200101-010101F",), "diff"),
    "Sunday": ([FULL], opened(FULL), 1, MONDAY + timedelta(days=6), (), "full"),
    "Sunday, and it was made": ([FULL], opened(FULL), 1, MONDAY - timedelta(hours=5), (), "diff"),
    "a week and a bit": ([FULL], opened(FULL), 1, MONDAY + timedelta(days=8), (), "full"),
    "Saturday": ([FULL], opened(FULL), 1, MONDAY + timedelta(days=5), (), "diff"),
    "the archive cannot be read": ([FULL], None, 1, MONDAY, (), "full"),
    "another timeline": ([FULL], opened(FULL), 2, MONDAY, (), "full"),
    "a gap after all backups": ([FULL], opened(FULL, breaks=(Break(1, None, GAP, "x"),)), 1, MONDAY, (), "full"),
    "a gap before the full": ([FULL], opened(FULL, breaks=(Break(1, 2, GAP, "x"),)), 1, MONDAY, (), "diff"),
    "a gap since, and a diff after it": ([FULL], opened(backup("diff", MONDAY)), 1, MONDAY, (), "full"),
    "it opens nothing": ([FULL], opened(), 1, MONDAY, (), "full"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_full_backup_is_taken_when_one_is_due(
    case: tuple[list[Backup], Windows | None, int, datetime, tuple[str, ...], str],
) -> None:
    backups, known, timeline, now, flawed, kind = case
    choice = choose_kind(backups, known, timeline, now, flawed=flawed)
    assert choice.kind == kind
    assert choice.why


def test_a_damaged_full_falls_back_to_the_good_one_before() -> None:
    newer = backup("full", MONDAY - timedelta(hours=2))
    choice = choose_kind([FULL, newer], opened(FULL, newer), 1, MONDAY, flawed=[newer.label])
    assert choice.kind == "diff" and FULL.label in choice.why


def test_room_is_needed_by_the_last_of_the_kind_or_for_everything() -> None:
    old, new = replace(FULL, repository_bytes=900), backup("full", MONDAY, repository_bytes=100)
    assert room_needed("full", [old, new], 5000) == 150
    assert room_needed("diff", [old, new], 5000) == 5000
    # Since 2.48 a backup by blocks may not tell its size.
    assert room_needed("full", [replace(old, repository_bytes=0)], 5000) == 5000
