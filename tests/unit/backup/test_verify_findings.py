"""How a verification ends by what it found, and the small decisions on the way."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pasargad_ops.backup.archiver import Archiver, trouble
from pasargad_ops.backup.errors import BackupError, Code
from pasargad_ops.backup.objects import Stored, Upload
from pasargad_ops.backup.pgbackrest_judge import is_countable
from pasargad_ops.backup.pgbackrest_read import ArchiveRange, Database, Info
from pasargad_ops.backup.repository_objects import listing
from pasargad_ops.backup.verify_findings import ORDER, Flaw, by_severity, failure, judged, passed
from pasargad_ops.backup.verify_logical import chosen, read_share
from pasargad_ops.backup.verify_physical import blamed
from pasargad_ops.backup.verify_storage import locks, orphans
from pasargad_ops.backup.windows import Backup
from tests.unit.backup.sets import Cluster, Shelf

NOW = datetime(2026, 11, 23, 4, 30, tzinfo=UTC)
DAY = timedelta(days=1)


def test_the_worst_finding_gives_the_code_and_the_first_three_their_words() -> None:
    codes = (Code.CONFIG, Code.WAL_GAP, Code.INTEGRITY, Code.KEY, Code.CHAIN)
    found = failure([Flaw(1, code, f"found {code.name}", f"mend {code.name}") for code in codes])
    assert found is not None
    assert (found.code, found.hint) == (Code.KEY, "mend KEY")
    assert found.message == "found KEY; found CHAIN; found INTEGRITY; and 2 more findings"
    assert [each["what"] for each in found.details["findings"]][3:] == ["found WAL_GAP", "found CONFIG"]
    assert failure([]) is None


def test_the_order_of_severity_is_the_one_that_people_were_told() -> None:
    names = "KEY CHAIN INTEGRITY WAL_GAP ARCHIVER STORAGE_DENIED STORAGE_TRANSIENT"
    assert [code.name for code in ORDER][:7] == names.split()
    for first, second in itertools.combinations([*ORDER, Code.BROKEN], 2):
        flaws = [Flaw(0, second, "second"), Flaw(0, first, "first"), Flaw(0, second, "second")]
        assert [flaw.what for flaw in by_severity(flaws)] == ["first", "second"]


def test_a_level_passes_when_it_and_all_below_found_nothing() -> None:
    flaws = [Flaw(1, Code.WAL_GAP, "hole")]
    assert [passed(flaws, level) for level in (0, 1, 2)] == [True, False, False]


def test_a_set_is_judged_by_what_is_wrong_with_it_alone() -> None:
    flaws = [
        Flaw(2, Code.INTEGRITY, "rotten", sets=("a",)),
        Flaw(0, Code.CHAIN, "replaced", sets=("a", "b")),
        Flaw(2, Code.STORAGE_TRANSIENT, "slow", sets=("c",)),
        Flaw(1, Code.WAL_GAP, "hole between"),
    ]
    told = [*judged(flaws, {"a": 2, "c": 1, "d": 2})]
    assert told == [("a", 2, "replaced"), ("b", 0, "replaced"), ("d", 2, "")]


def test_an_upload_is_an_orphan_when_no_run_can_be_behind_it() -> None:
    ages = (timedelta(hours=1), DAY, DAY + timedelta(seconds=1), 3 * DAY)
    uploads = [Upload("key", str(age), NOW - age) for age in ages]
    assert orphans(uploads, NOW, timedelta(hours=6)) == uploads[2:]
    assert orphans(uploads, NOW, 2 * DAY) == uploads[3:]


def locked(modified: datetime, until: datetime | None) -> Stored:
    return Stored("key", 1, "", "1", modified, until)


def test_locks_are_told_where_there_are_some() -> None:
    keep, young = timedelta(days=30), NOW - DAY
    fine = locked(young, NOW + 39 * DAY)
    assert locks([locked(young, None)], NOW, keep) == (None, [])
    assert locks([fine], NOW, keep) == (39 * 86400, [])
    before = locked(young - DAY, None)
    assert locks([before, fine], NOW, keep) == (39 * 86400, [])
    least, wrong = locks([fine, locked(young, NOW + 20 * DAY)], NOW, keep)
    assert least == 20 * 86400 and len(wrong) == 1
    least, wrong = locks([fine, locked(NOW, None)], NOW, keep)
    assert least == 0 and len(wrong) == 1


@pytest.mark.parametrize("text", ["0/7", "8/7", "3", "/", "a/7", "-1/7", "3/7/7", "1/999", "³/7"])
def test_a_share_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BackupError) as caught:
        read_share(text, 3)
    assert caught.value.code == Code.CONFIG


def test_the_shares_of_a_week_cover_every_set_and_the_newest_is_always_read(tmp_path: Path) -> None:
    assert (read_share("", 3), read_share("auto", 3), read_share("2/5", 3)) == (None, (3, 7), (2, 5))
    made = Cluster(tmp_path).days(20)
    assert chosen(made, None) == made
    shares = [chosen(made, (number, 7)) for number in range(1, 8)]
    assert all(made[-1] in share for share in shares)
    seen = [entry for share in shares for entry in share if entry is not made[-1]]
    assert sorted(entry.seq for entry in seen) == [entry.seq for entry in made[:-1]]
    assert max(map(len, shares)) < 12


def backup(label: str, prior: str = "") -> Backup:
    return Backup(label, "full", prior, "1" * 24, "1" * 24, "", "", 1, 2)


def test_damage_spoils_the_backups_that_lean_on_what_is_damaged() -> None:
    full, diff = "20261122-013000F", "20261122-013000F_20261123-013000D"
    incr, other = "20261122-013000F_20261124-013000I", "20261115-013000F"
    known = [backup(other), backup(full), backup(diff, full), backup(incr, diff)]
    assert blamed(f"files of backup {full}: 1 missing", known) == {full, diff, incr}
    assert blamed(f"backup {diff} is invalid", known) == {diff, incr}
    assert blamed(f"{incr}/backup.manifest is missing", known) == {incr}
    assert blamed("WAL 000000010000000000000005 is missing", known) == set()


def test_the_second_opinion_is_asked_while_it_can_count() -> None:
    def info(least: str, most: str, start: str) -> Info:
        held = replace(backup("20261122-013000F"), start_wal=start)
        return Info(0, "", "", False, (Database(1, 7, "15"),), (held,), (ArchiveRange("15-1", 1, least, most),))

    one, two = "0000000100000000000000{:02X}".format, "0000000200000000000000{:02X}".format
    assert is_countable(info(one(2), one(9), one(3)))
    assert not is_countable(info(one(2), two(9), one(3)))
    # What is older than the oldest backup does not count.
    assert is_countable(info(one(2), two(9), two(3)))
    assert is_countable(Info(2, "", "", False))


def test_a_listing_tells_the_version_of_what_is_there_now() -> None:
    shelf = Shelf()
    for body in (b"first", b"second!"):
        shelf.put("place/a", body)
    shelf.put("place/gone", b"x")
    shelf.hide("place/gone")
    shelf.put("elsewhere", b"y")
    found = listing(shelf, "place/")
    assert {key: (stored.bytes, stored.version) for key, stored in found.items()} == {"place/a": (7, "1")}


def test_a_bucket_without_versions_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf()
    shelf.put("a", b"x")
    before = shelf.versions
    monkeypatch.setattr(shelf, "versions", lambda prefix: (replace(one, version="null") for one in before(prefix)))
    assert listing(shelf, "")["a"].version == ""


ARCHIVER = Archiver("on", "0" * 24, 100.0, "", 0.0, 0, 110.0)
STATES: dict[str, tuple[Callable[[], Archiver], str]] = {
    "well": (lambda: ARCHIVER, ""),
    "failed once, and mended": (lambda: replace(ARCHIVER, last_failed="x", last_failed_at=99.0, ready=1), ""),
    "fails": (lambda: replace(ARCHIVER, last_failed="seg", last_failed_at=101.0, ready=2), "archiving fails: seg"),
    "failed, and nothing waits": (lambda: replace(ARCHIVER, last_failed="x", last_failed_at=101.0), ""),
    "off": (lambda: replace(ARCHIVER, mode="off"), "archive_mode is off"),
}


@pytest.mark.parametrize(("state", "words"), STATES.values(), ids=STATES)
def test_an_archiver_is_judged_by_what_still_fails(state: Callable[[], Archiver], words: str) -> None:
    told = trouble(state())
    assert told.startswith(words) and bool(told) == bool(words)
