"""Sets are committed as one chain, whoever commits at the same time and whatever lies in the bucket."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pasargad_ops.backup import chain
from pasargad_ops.backup.errors import BackupError, Code
from pasargad_ops.backup.head_memory import recall, remember
from pasargad_ops.backup.manifest import Link, Manifest
from pasargad_ops.backup.objects import Stored
from pasargad_ops.backup.places import Place
from pasargad_ops.backup.records import to_record
from pasargad_ops.backup.signatures import load_signer, make_key, seal
from tests.unit.backup.sets import BEGINNING, Cluster, Died, Shelf

THREADS = 6


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path)


def test_each_set_names_the_one_before(cluster: Cluster) -> None:
    first, second = cluster.days(2)
    assert (first.key, second.key) == (cluster.place.manifest(1), cluster.place.manifest(2))
    assert first.manifest.prev == Link(0, "")
    assert second.manifest.prev == Link(1, hashlib.sha256(cluster.shelf.get(first.key)).hexdigest())
    walked = cluster.walk()
    assert walked.findings == ()
    assert [entry.link for entry in walked.entries] == [first.link, second.link]
    assert walked.head == second.link


def test_the_time_of_the_commit_is_the_storages(cluster: Cluster) -> None:
    cluster.shelf.clock = BEGINNING + timedelta(hours=1, milliseconds=7)
    entry = cluster.commit()
    assert entry.manifest.times.commit_ms == int(BEGINNING.timestamp() * 1000) + 3_600_007


def test_a_run_that_dies_before_its_manifest_leaves_no_set(cluster: Cluster) -> None:
    """Nor does it disturb the next run."""
    cluster.commit()
    writes = cluster.shelf.writes
    for dies_at in range(writes, writes * 2):
        cluster.shelf.dies_at = cluster.shelf.writes + dies_at - writes
        with pytest.raises(Died):
            cluster.commit("2026-01-02")
        cluster.shelf.dies_at = None
        assert len(cluster.walk().entries) == 1
    cluster.commit("2026-01-02")
    assert (len(cluster.walk().entries), cluster.walk().findings) == (2, ())


def committed_at_once(cluster: Cluster) -> list[Any]:
    """Let threads commit, who all have chosen their number before the first one writes."""
    drafts = [cluster.draft(f"slot-{number}") for number in range(THREADS)]
    meeting, met = threading.Barrier(THREADS), threading.local()

    def meet(key: str) -> None:
        if not getattr(met, "once", False):
            met.once = True
            meeting.wait(10)

    cluster.shelf.before_put = meet
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(lambda draft: cluster.commit(draft=draft), drafts))


def test_of_those_who_commit_at_once_each_gets_a_number_of_its_own(cluster: Cluster) -> None:
    entries = committed_at_once(cluster)
    walked = cluster.walk()
    assert sorted(entry.seq for entry in entries) == [1, 2, 3, 4, 5, 6]
    assert {entry.manifest.slot for entry in walked.entries} == {f"slot-{number}" for number in range(THREADS)}
    assert walked.findings == ()
    remembered = recall(cluster.memory)
    assert remembered is not None
    assert remembered.head == walked.head


def test_negative_control_without_write_once_sets_are_lost(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, Shelf(honours_once=False))
    committed_at_once(cluster)
    assert len(cluster.walk().entries) < THREADS


def test_an_answer_that_got_lost_makes_no_second_set(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The storage wrote, the answer did not come, and the write was tried again: the key is there, and it is ours."""
    put = cluster.shelf.put

    def twice(key: str, body: bytes, **more: Any) -> Stored:
        put(key, body, **more)
        return put(key, body, **more)

    draft = cluster.draft()
    monkeypatch.setattr(cluster.shelf, "put", twice)
    assert cluster.commit(draft=draft).seq == 1
    assert len(cluster.walk().entries) == 1


def test_the_last_word_before_the_commit_is_asked_each_time(cluster: Cluster) -> None:
    """Who lost the race for a number is asked again whether the slot is still its own."""
    asked: list[int] = []
    draft = cluster.draft("mine")
    other = Cluster(cluster.directory, cluster.shelf)

    def confirm() -> None:
        asked.append(1)
        if len(asked) == 1:
            other.commit("other")
        else:
            raise BackupError(Code.CLAIMED, "late")

    with pytest.raises(BackupError, match="late"):
        cluster.commit(draft=draft, confirm=confirm)
    assert [entry.manifest.slot for entry in cluster.walk().entries] == ["other"]


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff\xfe", b"[" * 100_000])
def test_foreign_objects_do_not_keep_a_backup_from_being_made(cluster: Cluster, body: bytes) -> None:
    cluster.commit()
    for key in (cluster.place.manifest(2), cluster.place.manifest(3), cluster.place.manifest(9_999_999_999)):
        cluster.shelf.put(key, body)
    entry = cluster.commit("2026-01-02")
    assert (entry.seq, entry.manifest.prev_seq) == (4, 1)
    walked = cluster.walk()
    assert {finding.fault.value for finding in walked.findings} == {"forged"}
    assert [one.seq for one in walked.entries] == [1, 4]


def test_a_flood_of_foreign_objects_ends_the_job_in_words(cluster: Cluster) -> None:
    for seq in range(1, chain.TRIES + 1):
        cluster.shelf.put(cluster.place.manifest(seq), b"flood")
    with pytest.raises(BackupError, match="taken by foreign objects") as caught:
        cluster.commit()
    assert caught.value.code is Code.CHAIN


def test_a_bucket_that_was_rolled_back_gets_a_new_set_and_keeps_the_gap(cluster: Cluster) -> None:
    """A backup is worth most when somebody tampers; the chain goes on from what this host remembers."""
    lost = cluster.days(3)[-1]
    cluster.shelf.hide(lost.key)
    entry = cluster.commit("after")
    assert (entry.seq, entry.manifest.prev) == (4, lost.link)
    assert [(finding.fault.value, finding.seq) for finding in cluster.walk().findings] == [("removed", 3)]


def test_a_newest_set_that_was_replaced_does_not_become_the_chains(cluster: Cluster) -> None:
    """Who holds an old key of ours could sign another set 2; the next one still names the one that this host made."""
    second = cluster.days(2)[1]
    body = {**to_record(second.manifest), "host": "other"}
    cluster.shelf.put(second.key, seal(chain.MANIFEST, body, [cluster.signer]))
    assert cluster.commit("after").manifest.prev == second.link
    assert [(finding.fault.value, finding.seq) for finding in cluster.walk().findings] == [("replaced", 2)]


def test_a_second_host_goes_on_where_the_first_one_ended(cluster: Cluster, tmp_path: Path) -> None:
    first = cluster.commit()
    second = Cluster(tmp_path / "second", cluster.shelf)
    second.pins += cluster.pins
    assert second.commit("2026-01-02").manifest.prev == first.link
    cluster.pins += second.pins
    assert cluster.walk().findings == ()
    assert cluster.commit("2026-01-03").seq == 3


def test_a_new_cluster_does_not_pass_for_the_old_one(cluster: Cluster) -> None:
    cluster.commit()
    anew = Cluster(cluster.directory, cluster.shelf, Place("prod", "7999"))
    with pytest.raises(BackupError, match="kept the sets of cluster 7412345678901234567") as caught:
        anew.commit()
    assert caught.value.code is Code.CHAIN
    assert str(cluster.memory) in caught.value.hint
    assert list(cluster.shelf.list(anew.place.manifests)) == []
    assert [finding.fault.value for finding in anew.walk().findings] == ["wrong cluster"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda draft: dataclasses.replace(draft, exit=21), "ended with 21"),
        (lambda draft: dataclasses.replace(draft, objects=()), "holds no object"),
        (lambda draft: dataclasses.replace(draft, env="staging"), "is of cluster 7412345678901234567 .staging"),
        (
            lambda draft: dataclasses.replace(draft, pg=dataclasses.replace(draft.pg, system_identifier="7999")),
            "is of cluster 7999",
        ),
    ],
)
def test_what_is_no_set_of_this_cluster_is_not_committed(
    cluster: Cluster, change: Callable[[Manifest], Manifest], words: str
) -> None:
    with pytest.raises(BackupError, match=words) as caught:
        cluster.commit(draft=change(cluster.draft()))
    assert caught.value.code is Code.INTEGRITY
    assert list(cluster.shelf.list(cluster.place.manifests)) == []


def test_a_host_whose_key_nobody_pinned_commits_nothing(cluster: Cluster, tmp_path: Path) -> None:
    make_key(tmp_path / "other.pem")
    with pytest.raises(BackupError) as caught:
        cluster.commit(signer=load_signer(tmp_path / "other.pem"))
    assert caught.value.code is Code.KEY
    assert list(cluster.shelf.list(cluster.place.manifests)) == []


def test_trouble_with_the_storage_is_not_taken_for_an_empty_chain(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.commit()
    draft = cluster.draft("next")

    def unreachable(key: str, *, version: str = "") -> bytes:
        raise BackupError(Code.STORAGE_TRANSIENT, "no answer")

    monkeypatch.setattr(cluster.shelf, "get", unreachable)
    for call in (lambda: cluster.commit(draft=draft), cluster.walk):
        with pytest.raises(BackupError) as caught:
            call()
        assert caught.value.code is Code.STORAGE_TRANSIENT


def test_the_memory_is_private_and_never_goes_back(cluster: Cluster) -> None:
    second = cluster.days(2)[1]
    assert cluster.memory.stat().st_mode & 0o777 == 0o600
    assert remember(cluster.memory, cluster.place, Link(1, "ab" * 32)) is False
    remembered = recall(cluster.memory)
    assert remembered is not None
    assert remembered.head == second.link


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", json.dumps({"env": "prod", "system_id": "7", "seq": 0, "sha256": "ab" * 32})]
)
def test_a_damaged_memory_costs_no_backup_but_is_told(cluster: Cluster, content: str) -> None:
    cluster.commit()
    cluster.memory.write_text(content)
    assert cluster.commit("2026-01-02").seq == 2
    assert cluster.memory.read_text() == content
    findings = cluster.walk().findings
    assert [(finding.fault.value, finding.code) for finding in findings] == [("unreadable memory", Code.CHAIN)]


def test_a_slots_set_is_found_by_kind(cluster: Cluster) -> None:
    entries = cluster.days(2)
    assert chain.find_slot(entries, "logical", "2026-01-02") == entries[1]
    assert chain.find_slot(entries, "physical", "2026-01-02") is None
    assert chain.find_slot(entries, "logical", "2026-01-03") is None
