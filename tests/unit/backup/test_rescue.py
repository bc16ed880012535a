"""What was hidden or replaced comes back as it was, nothing else is touched, and the sets are whole afterwards."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pasargad_ops.backup import rescue as rescuing
from pasargad_ops.backup.config import BackupConfig
from pasargad_ops.backup.context import Context
from pasargad_ops.backup.errors import BackupError, Code
from pasargad_ops.backup.expiry import carry_out
from pasargad_ops.backup.objects import Stored
from pasargad_ops.backup.rescue import RescueRequest, rescue
from pasargad_ops.backup.rescued import version_now
from pasargad_ops.backup.walk import inspect
from pasargad_ops.outcome import Outcome
from tests.unit.backup.frame import settings
from tests.unit.backup.sets import Cluster, Shelf

REPO = "physical/g1"


class Bucket(Cluster):
    """A cluster whose sets lie in a bucket with versions, and the host that rescues them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        values = settings(self.directory, storage={"bucket": "backups"})
        self.context = Context(BackupConfig.from_mapping(values))
        self.memory = self.context.config.memory_file
        self.context.__dict__["objects"] = self.shelf

    def rescue(self, at: datetime, *, apply: bool = True, lists: bool = False) -> Outcome:
        return rescue(self.context, RescueRequest(at, apply, lists))

    def repository(self, *names: str, content: str = "as it was") -> list[str]:
        keys = [f"{self.place.root}{REPO}/{name}" for name in names]
        for key in keys:
            self.shelf.put(key, f"{key} {content}".encode())
        return keys

    def content(self) -> dict[str, bytes]:
        return {key: self.shelf.get(key) for key in self.shelf.all_keys() if not key.startswith(self.place.rescued)}

    def assert_whole(self) -> None:
        chain = self.walk()
        assert chain.findings == ()
        for entry in chain.offered:
            assert inspect(self.shelf, entry) == ()


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    return Bucket(tmp_path)


def later(bucket: Bucket, **length: float) -> datetime:
    """Let time pass; return the moment before."""
    before = bucket.shelf.now()
    bucket.shelf.clock += timedelta(**(length or {"minutes": 10}))
    return before


def ruin(bucket: Bucket) -> None:
    """Do what a stolen key that writes can do: hide the half, replace the rest."""
    for number, key in enumerate(bucket.shelf.all_keys()):
        if number % 2:
            bucket.shelf.hide(key)
        else:
            bucket.shelf.put(key, bucket.shelf.get(key)[::-1])


def test_a_ruined_bucket_is_whole_again(bucket: Bucket) -> None:
    bucket.days(4)
    backup = "backup/main/20260101F"
    bucket.repository(f"{backup}/backup.manifest", f"{backup}/bundle/1", f"{backup}/bundle/2", "archive/main/15-1/0001")
    before, at = bucket.content(), later(bucket)
    ruin(bucket)
    assert bucket.walk().findings
    outcome = bucket.rescue(at)
    assert outcome.changed and "the chain is sound" in outcome.summary
    assert bucket.content() == before
    bucket.assert_whole()


def test_a_rescued_set_is_told_from_one_that_somebody_replaced_again(bucket: Bucket) -> None:
    """A copy has another version than was committed: only a signed word of the host makes it the same."""
    (entry,) = bucket.days(1)
    key, at = entry.manifest.objects[0].key, later(bucket)
    bucket.shelf.put(key, bucket.shelf.get(key))
    assert [finding.fault.value for finding in inspect(bucket.shelf, bucket.walk().entries[0])] == ["replaced"]
    bucket.rescue(at)
    bucket.assert_whole()
    bucket.shelf.put(key, bucket.shelf.get(key))
    assert [finding.fault.value for finding in inspect(bucket.shelf, bucket.walk().entries[0])] == ["replaced"]
    # And again, from a time after the first rescue.
    bucket.rescue(bucket.shelf.now() - timedelta(seconds=1))
    bucket.assert_whole()


def test_a_forged_word_about_a_rescue_is_not_believed(bucket: Bucket) -> None:
    (entry,) = bucket.days(1)
    key, at = entry.manifest.objects[0].key, later(bucket)
    bucket.shelf.put(key, b"evil")
    bucket.rescue(at)
    (record,) = bucket.shelf.list(bucket.place.rescued)
    bucket.shelf.put(record.key, bucket.shelf.get(record.key).replace(b'"now":"2"', b'"now":"1"'))
    assert [finding.fault.value for finding in bucket.walk().findings] == ["forged"]
    assert inspect(bucket.shelf, bucket.walk().entries[0])


def test_the_plan_comes_first_and_touches_nothing(bucket: Bucket) -> None:
    entries = bucket.days(2)
    at = later(bucket, hours=1)
    for part in entries[0].manifest.objects:
        bucket.shelf.hide(part.key)
    bucket.shelf.put(entries[1].key, b"{}")
    bucket.draft()
    before = dict(bucket.shelf.kept)
    outcome = bucket.rescue(at, apply=False)
    assert not outcome.changed and "2 objects" not in outcome.summary and "3 objects could" in outcome.summary
    assert outcome.details["lines"] == [
        "attest: 1 replaced, " + outcome.details["lines"][0].split(", ")[1] + ", the newest of 2026-01-02 03:00:00 UTC",
        "logical: 2 hidden, 200 B, the newest of 2026-01-01 03:00:00 UTC",
        "2 objects are younger and stay as they are",
    ]
    assert bucket.shelf.kept == before
    assert rescue(bucket.context, RescueRequest(at, apply=True), dry_run=True).changed is False
    assert bucket.shelf.kept == before


def test_younger_sets_stay(bucket: Bucket) -> None:
    first = bucket.commit("first")
    at = later(bucket)
    second = bucket.commit("second")
    bucket.shelf.hide(first.manifest.objects[0].key)
    bucket.rescue(at)
    assert [entry.manifest.run_id for entry in bucket.walk().offered] == [
        first.manifest.run_id,
        second.manifest.run_id,
    ]
    bucket.assert_whole()


def test_what_was_hidden_before_that_time_stays_hidden(bucket: Bucket) -> None:
    """The bucket keeps what was hidden long ago: it was not there at the time that is asked for."""
    (key,) = bucket.repository("archive/main/15-1/0001")
    later(bucket)
    bucket.shelf.hide(key)
    at = later(bucket)
    assert bucket.rescue(at).changed is False
    assert bucket.shelf.head(key) is None


def test_what_was_hidden_and_written_again_before_that_time_comes_back(bucket: Bucket) -> None:
    (key,) = bucket.repository("archive/main/15-1/0001", content="old")
    later(bucket)
    bucket.shelf.hide(key)
    later(bucket)
    bucket.repository("archive/main/15-1/0001", content="new")
    at = later(bucket)
    bucket.shelf.hide(key)
    bucket.rescue(at)
    assert bucket.shelf.get(key).endswith(b"new")


def test_in_the_same_second_it_was_there(bucket: Bucket) -> None:
    """S3 tells whole seconds: who hides what was written in the same second must not win."""
    (key,) = bucket.repository("archive/main/15-1/0001")
    bucket.shelf.hide(key)
    bucket.rescue(bucket.shelf.now())
    assert bucket.shelf.head(key) is not None


def test_a_second_rescue_finds_nothing(bucket: Bucket) -> None:
    bucket.days(3)
    at = later(bucket)
    ruin(bucket)
    bucket.rescue(at)
    before = {key: len(versions) for key, versions in bucket.shelf.kept.items()}
    outcome = bucket.rescue(at)
    assert (outcome.changed, "everything is as it was" in outcome.summary) == (False, True)
    assert {key: len(versions) for key, versions in bucket.shelf.kept.items()} == before


def test_a_rescue_that_dies_anywhere_is_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rescuing, "BATCH", 3)
    monkeypatch.setattr(rescuing, "AT_ONCE", 1)
    deaths = 0
    for writes in range(40):
        (tmp_path / str(writes)).mkdir()
        bucket = Bucket(tmp_path / str(writes))
        bucket.days(3)
        before, at = bucket.content(), later(bucket)
        ruin(bucket)
        bucket.shelf.dies_at = bucket.shelf.writes + writes
        try:
            bucket.rescue(at)
        except BackupError:
            deaths += 1
        bucket.shelf.dies_at = None
        assert set(bucket.shelf.kept) >= set(before), "nothing is ever deleted"
        bucket.rescue(at)
        assert bucket.content() == before
        bucket.assert_whole()
    assert 5 < deaths < 40, "the last runs must get to their end"


def test_a_version_that_is_gone_does_not_keep_the_others_away(bucket: Bucket) -> None:
    entries = bucket.days(3)
    at = later(bucket)
    lost = entries[0].manifest.objects[0].key
    for entry in entries:
        for part in entry.manifest.objects:
            bucket.shelf.hide(part.key)
    whole = bucket.shelf.bring_back

    def bring_back(key: str, version: str) -> Stored:
        if key == lost:
            raise BackupError(Code.INTEGRITY, f"{key} does not exist")
        return whole(key, version)

    bucket.shelf.bring_back = bring_back  # type: ignore[method-assign]
    with pytest.raises(BackupError, match="5 objects are back; the chain is sound, but 1 could not be") as caught:
        bucket.rescue(at)
    assert caught.value.code is Code.INTEGRITY
    assert len([entry for entry in bucket.walk().offered if not inspect(bucket.shelf, entry)]) == 2


def test_a_storage_that_refuses_ends_it_and_what_is_back_is_signed(bucket: Bucket) -> None:
    bucket.days(2)
    at = later(bucket)
    ruin(bucket)
    whole, calls = bucket.shelf.bring_back, 0

    def bring_back(key: str, version: str) -> Stored:
        nonlocal calls
        calls += 1
        if calls > 2:
            raise BackupError(Code.STORAGE_DENIED, "not yours")
        return whole(key, version)

    bucket.shelf.bring_back = bring_back  # type: ignore[method-assign]
    with pytest.raises(BackupError) as caught:
        bucket.rescue(at)
    assert caught.value.code is Code.STORAGE_DENIED
    bucket.shelf.bring_back = whole  # type: ignore[method-assign]
    bucket.rescue(at)
    bucket.assert_whole()


def test_a_chain_that_is_broken_afterwards_is_told_by_its_code(bucket: Bucket) -> None:
    entries = bucket.days(3)
    bucket.shelf.hide(entries[1].key)
    at = later(bucket)
    bucket.shelf.hide(entries[0].manifest.objects[0].key)
    with pytest.raises(BackupError, match="1 objects are back, but the chain is NOT sound: set 2 is gone") as caught:
        bucket.rescue(at)
    assert (caught.value.code, "earlier time" in caught.value.hint) == (Code.CHAIN, True)


def test_what_retention_took_away_since_then_stays_away(bucket: Bucket) -> None:
    entries = bucket.days(6)
    at = later(bucket)
    ids = [entry.manifest.run_id for entry in entries[1:3]]
    keys: dict[str, Any] = {"signer": bucket.signer, "trusted": bucket.trusted}
    carry_out(bucket.shelf, bucket.walk(), delete=[], mark=[(run_id, "old") for run_id in ids], **keys)
    carry_out(bucket.shelf, bucket.walk(), delete=ids, mark=[], **keys)
    assert bucket.rescue(at).changed is False
    assert [entry.seq for entry in bucket.walk().entries] == [1, 4, 5, 6]
    # A tombstone that somebody forged takes nothing away.
    bucket.shelf.put(bucket.place.tombstone(5), b"{}")
    bucket.shelf.hide(entries[4].key)
    with pytest.raises(BackupError, match="1 objects are back"):
        bucket.rescue(at)
    assert bucket.shelf.head(entries[4].key) is not None


@pytest.mark.parametrize(
    ("name", "how", "comes"),
    [
        ("backup/main/backup.info", "replaced", False),
        ("backup/main/backup.info.copy", "replaced", False),
        ("archive/main/archive.info", "replaced", False),
        ("backup/main/backup.info", "hidden", True),
        ("archive/main/15-1/00000001/000000010000000000000001.zst", "replaced", True),
        ("archive/main/15-1/00000001/000000010000000000000001.zst", "hidden", True),
        ("backup/main/20260101F/bundle/1", "replaced", True),
        ("backup/main/20260101F/backup.manifest", "replaced", True),
        ("backup/main/20260102F/bundle/1", "replaced", False),
        ("backup/main/20260102F/bundle/1", "hidden", True),
        ("backup/main/20260101F/pg_data/backup.info", "replaced", True),
    ],
)
def test_of_pgbackrests_own_files_only_those_that_it_replaces_itself_stay(
    bucket: Bucket, name: str, how: str, comes: bool
) -> None:
    """The backup 20260102F was under way at that time: its manifest came later."""
    bucket.repository("backup/main/20260101F/backup.manifest", "backup/main/20260102F/backup.manifest.copy")
    (key,) = bucket.repository(name)
    at = later(bucket)
    bucket.repository("backup/main/20260102F/backup.manifest")
    bucket.shelf.hide(key) if how == "hidden" else bucket.shelf.put(key, b"other")
    plan = bucket.rescue(at, apply=False)
    assert plan.details["objects"] == int(comes)
    assert any("--lists" in line for line in plan.details["lines"]) is (not comes)
    if "info" in name:
        assert bucket.rescue(at, lists=True).changed
        assert bucket.shelf.get(key).endswith(b"as it was")


def test_other_clusters_are_not_touched(bucket: Bucket) -> None:
    bucket.days(1)
    bucket.shelf.put("v1/prod/799/attest/0000000001.json", b"x")
    at = later(bucket)
    bucket.shelf.hide("v1/prod/799/attest/0000000001.json")
    assert bucket.rescue(at).changed is False


def test_what_cannot_be_asked_is_refused_before_anything_is_touched(bucket: Bucket, tmp_path: Path) -> None:
    bucket.days(1)
    before = dict(bucket.shelf.kept)
    tomorrow = bucket.shelf.now() + timedelta(days=1)
    for at, words in ((tomorrow, "in the future"), (tomorrow.replace(tzinfo=None), "time zone")):
        with pytest.raises(BackupError, match=words) as caught:
            bucket.rescue(at)
        assert caught.value.code is Code.CONFIG
    (tmp_path / "dir").mkdir()
    directory = Context(BackupConfig.from_mapping(settings(tmp_path / "dir")))
    with pytest.raises(BackupError, match="keeps no versions"):
        rescue(directory, RescueRequest(datetime.now(UTC), apply=True))
    assert bucket.shelf.kept == before


def test_a_bucket_without_versions_is_not_called_whole(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.days(1)
    at = later(bucket)
    monkeypatch.setattr(
        Shelf,
        "versions",
        lambda self, prefix: [dataclasses.replace(stored, version="null") for stored in self.list(prefix)],
    )
    with pytest.raises(BackupError, match="keeps no versions") as caught:
        bucket.rescue(at)
    assert caught.value.code is Code.CONFIG


def test_versions_are_followed_to_their_end_and_not_in_a_circle() -> None:
    moves: dict[tuple[str, str], Any] = {("a", "1"): "2", ("a", "2"): "3", ("b", "1"): "9"}
    assert version_now(moves, "a", "1") == "3"
    assert version_now({**moves, ("a", "3"): "1"}, "a", "1") == "3"
    assert version_now(moves, "c", "1") == "1"
