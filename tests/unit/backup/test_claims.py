"""A slot is one run's, on however many hosts; a dead run loses it by the storage's clock, and a late one finds out."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pasargad_ops.backup.chain import find_slot
from pasargad_ops.backup.claims import MARGIN, Claim, confirm, finish, live_slots, look, slot_of, take
from pasargad_ops.backup.errors import BackupError, Code
from pasargad_ops.backup.places import Place
from tests.unit.backup.sets import PROD, SYSTEM_ID, Cluster, Shelf

PLACE = PROD
BOUND = timedelta(hours=2)
SLOT = "2026-11-28"
THREADS = 6


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def claim(shelf: Shelf, owner: str = "db1", **more: Any) -> Claim:
    return take(shelf, PLACE, "logical", SLOT, owner=owner, bound=BOUND, **more)


def assert_claimed(call: Callable[[], object], words: str) -> None:
    with pytest.raises(BackupError, match=words) as caught:
        call()
    assert caught.value.code is Code.CLAIMED
    assert caught.value.hint


def test_the_second_to_ask_is_told_since_when_and_until(shelf: Shelf) -> None:
    first = claim(shelf)
    assert first.key == f"v1/prod/{SYSTEM_ID}/claims/logical/{SLOT}/attempt-1.json"
    assert first.at == shelf.now()
    shelf.clock += timedelta(minutes=5)
    assert_claimed(
        lambda: claim(shelf, "db2"), "attempt 1 .* since 03:00:00 UTC; it counts as dead after 2026-01-01 05:00:00"
    )


def test_another_slot_job_or_cluster_is_free(shelf: Shelf) -> None:
    claim(shelf)
    take(shelf, PLACE, "logical", "2026-11-29", owner="db1", bound=BOUND)
    take(shelf, PLACE, "drill", SLOT, owner="db1", bound=BOUND)
    take(shelf, Place("prod", "7999"), "logical", SLOT, owner="db1", bound=BOUND)


def test_a_dead_attempt_is_superseded_after_the_bound_and_not_before(shelf: Shelf) -> None:
    claim(shelf)
    shelf.clock += BOUND - timedelta(seconds=1)
    assert_claimed(lambda: claim(shelf, "db2"), "attempt 1")
    shelf.clock += timedelta(seconds=1)
    assert claim(shelf, "db2").attempt == 2
    assert_claimed(lambda: claim(shelf, "db3"), "attempt 2")


def test_the_tenth_attempt_is_newer_than_the_ninth(shelf: Shelf) -> None:
    for attempt in range(1, 13):
        assert claim(shelf).attempt == attempt
        shelf.clock += BOUND


def test_a_late_attempt_finds_its_successor_before_it_commits(shelf: Shelf) -> None:
    late = claim(shelf)
    shelf.clock += BOUND
    successor = claim(shelf, "db2")
    assert_claimed(lambda: confirm(shelf, late, bound=BOUND), "attempt 1 .* was late: attempt 2 has it")
    assert confirm(shelf, successor, bound=BOUND) == successor


def test_who_needs_nearly_the_whole_bound_takes_the_slot_anew(shelf: Shelf) -> None:
    """Otherwise somebody else could take it between the last look and the writing of the manifest."""
    slow = claim(shelf)
    shelf.clock += BOUND - MARGIN - timedelta(seconds=1)
    assert confirm(shelf, slow, bound=BOUND) == slow
    shelf.clock += timedelta(seconds=1)
    again = confirm(shelf, slow, bound=BOUND)
    assert (again.attempt, again.owner, again.at) == (2, "db1", shelf.now())
    shelf.clock += MARGIN + timedelta(minutes=1)
    assert_claimed(lambda: claim(shelf, "db2"), "attempt 2")


def test_a_slot_that_is_done_stays_done(shelf: Shelf) -> None:
    done = claim(shelf)
    finish(shelf, done, Code.DONE)
    shelf.clock += timedelta(days=400)
    assert_claimed(lambda: claim(shelf, "db2"), "is done$")
    assert_claimed(lambda: confirm(shelf, dataclasses.replace(done, attempt=2), bound=BOUND), "was late")


def test_a_run_that_failed_frees_the_slot_at_once(shelf: Shelf) -> None:
    finish(shelf, claim(shelf), Code.DUMP_FAILED)
    assert claim(shelf, "db2").attempt == 2


def test_the_first_word_about_an_end_stands(shelf: Shelf) -> None:
    one = claim(shelf)
    finish(shelf, one, Code.DONE)
    finish(shelf, one, Code.DUMP_FAILED)
    assert look(shelf, PLACE, "logical", SLOT).is_done()


def test_an_attempt_that_died_between_its_commit_and_its_end_is_not_repeated(shelf: Shelf) -> None:
    claim(shelf)
    shelf.clock += BOUND
    assert_claimed(lambda: claim(shelf, "db2", finished=lambda: True), "died before it could say so")
    assert look(shelf, PLACE, "logical", SLOT).newest == 1


def test_strange_objects_among_the_claims_neither_free_nor_close_a_slot(shelf: Shelf) -> None:
    one = claim(shelf)
    prefix = one.key.removesuffix("attempt-1.json")
    shelf.put(one.ended_key, b"\xff")
    for name in ("attempt-0.json", "attempt-x.json", "readme", "attempt-1.json.tmp", "attempt-2-ended.json"):
        shelf.put(prefix + name, b"{}")
    assert_claimed(lambda: claim(shelf, "db2"), "attempt 1")


def test_slots_are_days_of_utc() -> None:
    tehran, berlin = ZoneInfo("Asia/Tehran"), ZoneInfo("Europe/Berlin")
    assert slot_of(datetime(2026, 11, 28, 2, 0, tzinfo=tehran)) == "2026-11-27"
    # The night in which Berlin has the hour from two to three twice, and the one in which it has none.
    night = [datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=fold) for fold in (0, 1)]
    assert {slot_of(moment) for moment in night} == {"2026-10-25"}
    hours = [datetime(2026, 3, 28, 23, tzinfo=UTC) + timedelta(hours=number) for number in range(25)]
    assert sorted({slot_of(hour.astimezone(berlin)) for hour in hours}) == ["2026-03-28", "2026-03-29"]
    with pytest.raises(ValueError, match="no time zone"):
        slot_of(datetime(2026, 11, 28))  # noqa: DTZ001 - the missing zone is what is tested


def test_what_is_at_work_is_told(shelf: Shelf) -> None:
    bounds = {"logical": BOUND, "drill": timedelta(hours=1)}
    take(shelf, PLACE, "drill", SLOT, owner="db2", bound=BOUND)
    one = claim(shelf)
    assert live_slots(shelf, PLACE, bounds) == (f"drill {SLOT}", f"logical {SLOT}")
    assert live_slots(shelf, PLACE, {"drill": BOUND}) == (f"drill {SLOT}",)
    shelf.clock += timedelta(hours=1)
    assert live_slots(shelf, PLACE, bounds) == (f"logical {SLOT}",)
    finish(shelf, one, Code.DONE)
    assert live_slots(shelf, PLACE, bounds) == ()


@pytest.mark.parametrize(
    ("job", "slot"), [("../x", SLOT), ("logical", "../.."), ("", SLOT), ("logical", ""), ("a/b", SLOT)]
)
def test_no_claim_leaves_its_place(shelf: Shelf, job: str, slot: str) -> None:
    with pytest.raises(BackupError) as caught:
        take(shelf, PLACE, job, slot, owner="db1", bound=BOUND)
    assert caught.value.code is Code.CONFIG
    assert shelf.all_keys() == ()


def ask_at_once(shelf: Shelf) -> list[Claim]:
    """Let threads ask for the slot, who all have seen that it is free before the first one writes."""
    meeting = threading.Barrier(THREADS)

    def meet(key: str) -> None:
        meeting.wait(10)

    shelf.before_put = meet

    def ask(number: int) -> Claim | None:
        try:
            return claim(shelf, f"db{number}")
        except BackupError as error:
            assert error.code is Code.CLAIMED
            return None

    with ThreadPoolExecutor(THREADS) as pool:
        claims = [one for one in pool.map(ask, range(THREADS)) if one is not None]
    shelf.before_put = lambda key: None
    return claims


def test_of_those_who_ask_at_once_one_gets_it(shelf: Shelf) -> None:
    assert [one.attempt for one in ask_at_once(shelf)] == [1]
    shelf.clock += BOUND
    assert [one.attempt for one in ask_at_once(shelf)] == [2]


def test_negative_control_without_write_once_many_get_it() -> None:
    assert len(ask_at_once(Shelf(honours_once=False))) == THREADS


def late_and_its_successor(directory: Path, *, asks: bool) -> int:
    """Let attempt 1 sleep past its bound and commit after attempt 2; return how many sets the slot has."""
    cluster = Cluster(directory)

    def job(one: Claim) -> None:
        draft = cluster.draft(SLOT, attempt=one.key)
        last_look = (lambda: confirm(cluster.shelf, one, bound=BOUND)) if asks else (lambda: one)
        cluster.commit(draft=draft, confirm=last_look)

    def ask(owner: str) -> Claim:
        return claim(
            cluster.shelf, owner, finished=lambda: find_slot(cluster.walk().entries, "logical", SLOT) is not None
        )

    late = ask("db1")
    cluster.shelf.clock += BOUND
    job(ask("db2"))
    if asks:
        assert_claimed(lambda: job(late), "was late")
    else:
        job(late)
    cluster.shelf.clock += BOUND
    assert_claimed(lambda: ask("db3"), "is done")
    return len(cluster.walk().entries)


def test_a_slot_gets_one_set_though_a_late_run_wakes_up(tmp_path: Path) -> None:
    assert late_and_its_successor(tmp_path, asks=True) == 1


def test_negative_control_a_late_run_that_does_not_ask_makes_a_second_set(tmp_path: Path) -> None:
    assert late_and_its_successor(tmp_path, asks=False) == 2
