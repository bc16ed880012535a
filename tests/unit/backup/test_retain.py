"""Retention takes away what is due and nothing else, refuses loudly, and is good again after a death at any write."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pasargad_ops.backup import claims
from pasargad_ops.backup import retain as retaining
from pasargad_ops.backup.errors import BackupError, Code
from pasargad_ops.backup.job import Done, Job, run_job
from pasargad_ops.backup.proofs import load_proofs
from pasargad_ops.backup.retain import GONE
from tests.unit.backup.nights import Listed, Shop, nights

SMALL = {"days": 4, "weekly": 2, "monthly": 2, "minimum": 2, "most_percent": 60}


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path, policy=SMALL)


def days(shop: Shop, count: int, **more: Any) -> None:
    for _ in range(count):
        shop.logical(**more)
        shop.shelf.clock += timedelta(days=1)


def refused(shop: Shop, words: str, *, force: bool = False) -> BackupError:
    before, expired = dict(shop.shelf.kept), shop.repository.expired
    with pytest.raises(BackupError, match=words) as caught:
        shop.retain(force=force)
    assert caught.value.code is Code.RETENTION_REFUSED
    assert caught.value.hint
    assert (shop.shelf.kept, shop.repository.expired) == (before, expired), "nothing was touched"
    return caught.value


def metrics(shop: Shop) -> str:
    return (shop.context.config.metrics_dir / "backup_retain.prom").read_text()


def test_a_set_is_given_up_and_deleted_by_the_next_run(shop: Shop) -> None:
    days(shop, 12)
    first = shop.retain()
    assert first.changed and first.details["marked"] and not first.details["deleted"]
    offered = shop.seqs()
    assert first.summary == f"{len(offered)} sets are kept, {12 - len(offered)} were given up, 0 deleted"
    assert f'pasargad_backup_sets{{kind="logical",job="retain"}} {len(offered)}' in metrics(shop)
    assert f"pasargad_backup_sets_marked {12 - len(offered)}" in metrics(shop)
    second = shop.retain()
    assert second.details["deleted"] == first.details["marked"]
    assert f"pasargad_backup_sets_deleted {12 - len(offered)}" in metrics(shop)
    assert f'pasargad_backup_sets_bytes{{kind="logical"}} {200 * len(offered)}' in metrics(shop)
    assert set(load_proofs(shop.context.config.proofs_file)) == {entry.manifest.run_id for entry in shop.walk().entries}
    third = shop.retain()
    assert (third.changed, third.details["deleted"], third.details["marked"]) == (False, [], [])
    assert shop.seqs() == offered
    shop.assert_sound()


def test_people_are_told_what_is_kept_and_why_and_what_goes(shop: Shop) -> None:
    days(shop, 12)
    lines = shop.retain(dry_run=True).details["lines"]
    assert lines[0].startswith("keep ") and lines[0].endswith(" logical sets, 1.2 KiB")
    assert any("of the last 4 days" in line for line in lines)
    given = [line for line in lines if line.startswith("give up set ")]
    assert given and all("older than 4 days" in line and "200 B" in line for line in given)
    shop.retain()
    assert [line for line in shop.retain().details["lines"] if line.startswith("delete set ")]


def test_a_dry_run_touches_nothing(shop: Shop) -> None:
    days(shop, 12)
    before = dict(shop.shelf.kept)
    outcome = shop.retain(dry_run=True)
    assert (outcome.changed, "give up 7 sets" in outcome.summary or "give up" in outcome.summary) == (False, True)
    assert shop.shelf.kept == before
    assert not shop.context.config.metrics_dir.exists()


def test_a_shop_without_sets_has_nothing_to_do(shop: Shop) -> None:
    assert shop.retain().summary == "there is no set yet"


def test_a_bucket_that_was_emptied_is_no_shop_without_sets(shop: Shop) -> None:
    days(shop, 3)
    for key in shop.shelf.all_keys():
        shop.shelf.hide(key)
    refused(shop, "chain of the sets is not sound: the chain ends with set 0, but this host has seen set 3")


AROUND: dict[str, tuple[Callable[[Shop, pytest.MonkeyPatch], object], str]] = {
    "the chain is broken": (lambda shop, _: shop.shelf.hide(shop.walk().entries[1].key), "not sound: set 2 is gone"),
    "a backup is at work": (
        lambda shop, _: claims.take(shop.shelf, shop.place, "physical", "now", owner="db2", bound=timedelta(hours=6)),
        "a job is at work: physical now",
    ),
    "the storage's clock went back": (
        lambda shop, _: setattr(shop.shelf, "clock", shop.now - timedelta(days=3)),
        "from the future",
    ),
}


@pytest.mark.parametrize("what", AROUND)
@pytest.mark.parametrize("due", [True, False])
def test_what_stands_around_forbids_everything_also_to_pgbackrest(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, what: str, due: bool
) -> None:
    """Whether or not a logical set is due: pgbackrest deletes by its own rules, and by the host's clock."""
    shop.physical(full=True)
    days(shop, 10 if due else 3)
    act, words = AROUND[what]
    act(shop, monkeypatch)
    refused(shop, words)
    refused(shop, words, force=True)


def test_a_clock_that_jumped_forbids_everything_also_to_pgbackrest(shop: Shop) -> None:
    shop.physical(full=True)
    days(shop, 3)
    ahead = shop.now + timedelta(days=400)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retaining, "host_time", lambda: ahead)
        with pytest.raises(BackupError, match="clock and the storage's are") as caught:
            retaining.retain(shop.context, retaining.RetainRequest())
    assert (caught.value.code, shop.repository.expired) == (Code.RETENTION_REFUSED, 0)


def test_sets_that_nobody_reads_are_not_traded_for_the_last_good_one(shop: Shop) -> None:
    days(shop, 6)
    days(shop, 20, drilled=False)
    for entry in shop.walk().entries[6:]:
        shop.note(entry, level=0, flaw="")
    path = shop.context.config.proofs_file
    known = json.loads(path.read_text())
    for entry in shop.walk().entries[6:]:
        known[entry.manifest.run_id]["level"] = 0
    path.write_text(json.dumps(known))
    refused(shop, "nobody verifies", force=True)


def test_lost_proofs_delete_nothing(shop: Shop) -> None:
    days(shop, 12)
    shop.context.config.proofs_file.unlink()
    refused(shop, "no logical set that would be left has been verified", force=True)


def test_an_unusual_amount_needs_a_hand(tmp_path: Path) -> None:
    shop = Shop(tmp_path, policy={**SMALL, "most_percent": 20})
    days(shop, 14)
    refused(shop, "of all bytes in one run")
    assert shop.retain(force=True).changed


def test_a_retention_at_work_lets_no_job_in_and_the_other_way(shop: Shop) -> None:
    days(shop, 12)

    def body(_: object) -> Done:
        with pytest.raises(BackupError) as caught:
            shop.retain()
        return Done(caught.value.code.name)

    assert run_job(shop.context, Job("logical", "x"), body).summary == "CLAIMED"


def physical_weeks(shop: Shop, weeks: int, **more: Any) -> None:
    for number in range(7 * weeks):
        shop.physical(full=number % 7 == 0, **more)
        shop.shelf.clock += timedelta(days=1)


def test_physical_sets_go_as_pgbackrest_expires_them_and_in_the_same_run(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    physical_weeks(shop, 7)
    outcome = shop.retain()
    listed = {one.label for one in shop.repository.backups}
    assert {entry.manifest.physical.label for entry in shop.walk().offered if entry.manifest.physical} == listed
    assert len(listed) < 49
    assert all(GONE in line for line in outcome.details["lines"] if line.startswith("give up"))
    gone = [entry for entry in shop.walk().entries if entry.marked]
    assert outcome.details["marked"] == [entry.manifest.run_id for entry in gone]
    parts = [part.key for entry in gone for part in entry.manifest.objects]
    second = shop.retain()
    assert second.details["deleted"] == outcome.details["marked"]
    assert all(shop.shelf.head(key) for key in parts), "what pgbackrest wrote, pgbackrest deletes"
    assert not any(entry.marked for entry in shop.walk().entries)
    shop.assert_sound()


def test_pgbackrest_expires_nothing_while_nothing_it_keeps_is_known_as_good(tmp_path: Path) -> None:
    """It keeps one full backup that is older: that may be a bad one, and the good one before it would go."""
    shop = Shop(tmp_path)
    physical_weeks(shop, 1)
    physical_weeks(shop, 6, level=1)
    outcome = shop.retain()
    assert shop.repository.expired == 0
    assert outcome.details["lines"][-1].startswith("pgbackrest expired nothing: of the last 30 days no physical set")
    assert shop.last_good("physical")
    shop.note(shop.walk().offered[-3], level=2)
    shop.retain()
    assert shop.repository.expired == 1


def test_a_list_that_lost_young_backups_is_not_believed(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    physical_weeks(shop, 2)
    lost = shop.repository.backups[5]
    shop.repository.backups = shop.repository.backups[:5] + shop.repository.backups[6:]
    error = refused_after_expiry(shop, f"no longer lists {lost.label} \\(set 6\\), which is younger than 30 days")
    assert "--force" in error.hint
    assert shop.retain(force=True).details["marked"]


def test_the_end_of_the_chain_stays_though_its_backup_is_gone(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    physical_weeks(shop, 1)
    del shop.repository.backups[-1]
    assert shop.retain(force=True).details["marked"] == []
    shop.logical()
    assert len(shop.retain(force=True).details["marked"]) == 1


def refused_after_expiry(shop: Shop, words: str) -> BackupError:
    """What pgbackrest lists is asked for after it has expired: no set is touched."""
    before = dict(shop.shelf.kept)
    with pytest.raises(BackupError, match=words) as caught:
        shop.retain()
    assert (caught.value.code, shop.shelf.kept) == (Code.RETENTION_REFUSED, before)
    return caught.value


def test_a_repository_that_was_emptied_is_not_followed(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    physical_weeks(shop, 2)
    shop.repository.backups = []
    refused_after_expiry(shop, "pgbackrest lists no backup, the chain 14")
    with pytest.raises(BackupError, match="lists no backup"):
        shop.retain(force=True)


def test_a_repository_that_does_not_answer_deletes_nothing(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    physical_weeks(shop, 1)
    shop.repository.down = BackupError(Code.STORAGE_TRANSIENT, "no answer")
    before = dict(shop.shelf.kept)
    with pytest.raises(BackupError) as caught:
        shop.retain()
    assert (caught.value.code, shop.shelf.kept) == (Code.STORAGE_TRANSIENT, before)


def test_sets_of_another_generation_of_the_key_are_left_alone(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    physical_weeks(shop, 1)
    (tmp_path / "new").mkdir()
    moved = Shop(tmp_path / "new", shop.shelf, physical={"generation": "g2"})
    moved.pins += shop.pins
    object.__setattr__(moved.context.config, "trusted_keys", tuple(moved.pins))
    moved.repository.backups = [Listed("20260110-010000F", moved.now)]
    assert moved.retain().details["marked"] == []


def test_it_dies_anywhere_and_the_next_run_makes_it_good(tmp_path: Path) -> None:
    deaths, results = 0, set()
    for writes in range(60):
        (tmp_path / str(writes)).mkdir()
        shop = Shop(tmp_path / str(writes), policy=SMALL)
        shop.physical(full=True)
        days(shop, 12)
        shop.retain()
        shop.shelf.clock += timedelta(days=1)
        shop.logical()
        good = shop.last_good("logical")
        shop.shelf.dies_at = shop.shelf.writes + writes
        try:
            shop.retain()
        except BackupError:
            deaths += 1
        shop.shelf.dies_at = None
        shop.assert_sound()
        assert shop.last_good("logical") == good
        shop.retain()
        shop.retain()
        shop.assert_sound()
        results.add((tuple(shop.seqs()), len(shop.shelf.all_keys())))
        if deaths < writes:
            break
    assert deaths >= 8
    assert len(results) == 1, "whenever it died, the same is left"


def test_weeks_of_nights_keep_their_promises(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    assert nights(shop, random.Random(1), 50, deaths=0.2) <= 5
    assert len(shop.ages()) < 90
