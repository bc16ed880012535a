"""Sets go in steps, and a crash between any two of them leaves no set that is offered and incomplete."""

from __future__ import annotations

import contextlib
import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pasargad_ops.backup.errors import BackupError, Code
from pasargad_ops.backup.expiry import Expired, carry_out
from pasargad_ops.backup.manifest import Manifest, Part
from pasargad_ops.backup.retention import Held, Now, Policy, decide
from pasargad_ops.backup.signatures import load_signer, make_key
from pasargad_ops.backup.walk import inspect
from tests.unit.backup.sets import BEGINNING, Cluster, Died, Shelf

POLICY = Policy(days=4, weekly=2, monthly=2, minimum=2, most_percent=50)


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path)


def run_ids(cluster: Cluster, *numbers: int) -> list[str]:
    return [entry.manifest.run_id for entry in cluster.walk().entries if entry.seq in numbers]


def run(cluster: Cluster, *, delete: tuple[int, ...] = (), mark: tuple[int, ...] = (), **more: Any) -> Expired:
    return carry_out(
        cluster.shelf,
        cluster.walk(),
        delete=run_ids(cluster, *delete),
        mark=[(run_id, "old") for run_id in run_ids(cluster, *mark)],
        **{"signer": cluster.signer, "trusted": cluster.trusted, **more},
    )


def assert_nothing_lies(cluster: Cluster) -> None:
    chain = cluster.walk()
    assert chain.findings == ()
    for entry in chain.offered:
        assert inspect(cluster.shelf, entry) == ()


def test_a_set_is_marked_then_deleted_and_the_chain_stays_sound(cluster: Cluster) -> None:
    entries = cluster.days(6)
    run(cluster, mark=(2, 3))
    assert [entry.seq for entry in cluster.walk().offered] == [1, 4, 5, 6]
    assert_nothing_lies(cluster)
    done = run(cluster, delete=(2, 3))
    assert done.deleted == (entries[1].manifest.run_id, entries[2].manifest.run_id)
    assert done.hidden[:3] == (*(part.key for part in entries[1].manifest.objects), entries[1].key)
    assert [entry.seq for entry in cluster.walk().entries] == [1, 4, 5, 6]
    assert_nothing_lies(cluster)
    cluster.commit("next")
    assert_nothing_lies(cluster)


def test_a_tombstone_that_carries_the_link_must_not_vanish(cluster: Cluster) -> None:
    cluster.days(6)
    run(cluster, mark=(2, 3))
    run(cluster, delete=(2, 3))
    cluster.shelf.hide(cluster.place.tombstone(3))
    assert [(finding.fault.value, finding.seq) for finding in cluster.walk().findings] == [("removed", 3)]


def test_a_tombstone_of_another_set_carries_no_link(cluster: Cluster) -> None:
    cluster.days(6)
    run(cluster, mark=(2, 3))
    run(cluster, delete=(2, 3))
    cluster.shelf.put(cluster.place.tombstone(3), cluster.shelf.get(cluster.place.tombstone(2)))
    assert [(finding.fault.value, finding.seq) for finding in cluster.walk().findings] == [
        ("swapped", 3),
        ("removed", 3),
    ]


def test_what_is_older_than_all_kept_sets_need_not_be_read(cluster: Cluster) -> None:
    """A chain of years is as quick to walk as one of a month: the youngest tombstone below all sets closes it."""
    cluster.days(8)
    run(cluster, mark=(2, 3))
    run(cluster, delete=(2, 3), mark=(1, 4))
    run(cluster, delete=(1, 4))
    for seq in (1, 2, 3):
        cluster.shelf.hide(cluster.place.tombstone(seq))
    assert_nothing_lies(cluster)
    assert [entry.seq for entry in cluster.walk().entries] == [5, 6, 7, 8]


def test_a_deleted_manifest_that_comes_back_is_not_offered(cluster: Cluster) -> None:
    entries = cluster.days(4)
    old = cluster.shelf.get(entries[1].key)
    run(cluster, mark=(2,))
    run(cluster, delete=(2,))
    cluster.shelf.put(entries[1].key, old)
    assert [entry.seq for entry in cluster.walk().offered] == [1, 3, 4]


@pytest.mark.parametrize("seen", [1, 2])
def test_the_memory_of_a_set_that_went_is_no_fault(cluster: Cluster, seen: int) -> None:
    """A drill host last looked when the set still was there; it may be older than what closes the chain."""
    cluster.days(seen)
    remembered = cluster.memory.read_text()
    cluster.days(5 - seen)
    run(cluster, mark=(1, 2))
    run(cluster, delete=(1, 2))
    cluster.memory.write_text(remembered)
    assert_nothing_lies(cluster)


def test_nothing_goes_that_was_not_marked_in_an_earlier_run(cluster: Cluster) -> None:
    cluster.days(4)
    before = cluster.shelf.all_keys()
    with pytest.raises(BackupError, match="not marked in an earlier run") as caught:
        run(cluster, delete=(2,), mark=(2,))
    assert caught.value.code is Code.RETENTION_REFUSED
    assert cluster.shelf.all_keys() == before


def test_the_end_of_the_chain_stays(cluster: Cluster) -> None:
    cluster.days(4)
    with pytest.raises(BackupError, match="the end of the chain") as caught:
        run(cluster, mark=(2, 4))
    assert caught.value.code is Code.RETENTION_REFUSED
    assert [entry.seq for entry in cluster.walk().offered] == [1, 2, 3, 4]


def test_nothing_goes_while_the_chain_is_not_sound(cluster: Cluster) -> None:
    cluster.days(5)
    run(cluster, mark=(2,))
    cluster.shelf.hide(cluster.place.manifest(3))
    before = cluster.shelf.all_keys()
    with pytest.raises(BackupError, match="not sound") as caught:
        run(cluster, delete=(2,))
    assert caught.value.code is Code.RETENTION_REFUSED
    assert cluster.shelf.all_keys() == before


def test_a_host_whose_tombstones_nobody_believes_writes_none(cluster: Cluster, tmp_path: Path) -> None:
    cluster.days(3)
    make_key(tmp_path / "other.pem")
    with pytest.raises(BackupError) as caught:
        run(cluster, mark=(1,), signer=load_signer(tmp_path / "other.pem"))
    assert caught.value.code is Code.KEY
    assert len(cluster.walk().offered) == 3


def with_part(draft: Manifest, key: str, cluster: Cluster) -> Manifest:
    stored = cluster.shelf.head(key) or cluster.shelf.put(key, b"picture")
    part = Part(key, "media", stored.bytes, stored.sha256, stored.version)
    return dataclasses.replace(draft, objects=(*draft.objects, part))


def test_an_object_that_a_kept_set_names_stays(cluster: Cluster) -> None:
    shared, alone = f"{cluster.place.root}media/a", f"{cluster.place.root}media/b"
    cluster.commit("1", draft=with_part(with_part(cluster.draft(), shared, cluster), alone, cluster))
    cluster.commit("2", draft=with_part(cluster.draft(), shared, cluster))
    run(cluster, mark=(1,))
    run(cluster, delete=(1,))
    assert shared in cluster.shelf.all_keys()
    assert alone not in cluster.shelf.all_keys()
    assert_nothing_lies(cluster)


def test_no_object_outside_the_clusters_place_is_touched(cluster: Cluster) -> None:
    foreign = "v1/prod/7999/attest/0000000001.json"
    cluster.commit("1", draft=with_part(cluster.draft(), foreign, cluster))
    cluster.commit("2")
    run(cluster, mark=(1,))
    run(cluster, delete=(1,))
    assert foreign in cluster.shelf.all_keys()


def test_what_pgbackrest_wrote_is_left_to_it(cluster: Cluster) -> None:
    draft = cluster.draft("1", kind="physical")
    entry = cluster.commit(draft=draft)
    cluster.commit("2")
    run(cluster, mark=(1,))
    assert run(cluster, delete=(1,)).hidden == (entry.key,)


def expire_some(cluster: Cluster) -> None:
    """The run that the sweep kills: deletes two sets and marks two."""
    chain = cluster.walk()
    wanted = {entry.manifest.run_id: entry for entry in chain.entries}
    carry_out(
        cluster.shelf,
        chain,
        delete=[run_id for run_id, entry in wanted.items() if entry.seq in (2, 3)],
        mark=[(run_id, "old") for run_id, entry in wanted.items() if entry.seq in (1, 5)],
        signer=cluster.signer,
        trusted=cluster.trusted,
    )


def ready_to_expire(directory: Path) -> Cluster:
    cluster = Cluster(directory)
    cluster.days(7)
    run(cluster, mark=(2, 3))
    return cluster


def test_a_crash_at_any_write_leaves_no_set_that_lies(tmp_path: Path) -> None:
    undisturbed = ready_to_expire(tmp_path / "undisturbed")
    begin = undisturbed.shelf.writes
    expire_some(undisturbed)
    count = undisturbed.shelf.writes - begin
    seqs = [entry.seq for entry in undisturbed.walk().entries]
    assert (count, seqs) == (8, [1, 4, 5, 6, 7])
    for step in range(count):
        cluster = ready_to_expire(tmp_path / str(step))
        cluster.shelf.dies_at = begin + step
        with pytest.raises(Died):
            expire_some(cluster)
        cluster.shelf.dies_at = None
        assert_nothing_lies(cluster)
        expire_some(cluster)
        assert_nothing_lies(cluster)
        assert [entry.seq for entry in cluster.walk().entries] == seqs
        assert len(cluster.shelf.all_keys()) == len(undisturbed.shelf.all_keys())
        writes = cluster.shelf.writes
        expire_some(cluster)
        assert cluster.shelf.writes == writes, "a plan that is carried out twice changes nothing"


def test_negative_control_objects_that_go_before_the_mark_leave_a_lie(cluster: Cluster) -> None:
    cluster.days(3)
    cluster.shelf.hide(cluster.walk().entries[0].manifest.objects[0].key)
    with pytest.raises(AssertionError):
        assert_nothing_lies(cluster)


def held_sets(cluster: Cluster, good: set[str]) -> list[Held]:
    return [
        Held(
            entry.manifest.run_id,
            datetime.fromtimestamp(entry.manifest.times.commit_ms / 1000, UTC),
            entry.manifest.kind,
            2 if entry.manifest.run_id in good else 0,
            entry.manifest.run_id in good,
            entry.manifest.bytes,
            entry.manifest.tier,
            marked=entry.marked,
        )
        for entry in cluster.walk().entries
    ]


@settings(max_examples=15)
@given(
    st.lists(st.tuples(st.sampled_from(["good", "unverified", "none"]), st.integers(0, 12)), min_size=6, max_size=25)
)
def test_no_sequence_of_backups_and_dying_retentions_loses_the_last_good_set(
    tmp_path_factory: pytest.TempPathFactory, days: list[tuple[str, int]]
) -> None:
    cluster = Cluster(tmp_path_factory.mktemp("model"), Shelf())
    good: set[str] = set()
    newest_good = ""
    for number, (kind, dies_after) in enumerate(days):
        cluster.shelf.clock = BEGINNING + timedelta(days=number)
        if kind != "none":
            entry = cluster.commit(str(number))
            if kind == "good":
                newest_good = entry.manifest.run_id
                good.add(newest_good)
        plan = decide(held_sets(cluster, good), POLICY, Now(cluster.shelf.clock, cluster.shelf.clock))
        cluster.shelf.dies_at = cluster.shelf.writes + dies_after
        with contextlib.suppress(Died):
            carry_out(
                cluster.shelf,
                cluster.walk(),
                delete=[held.run_id for held in plan.delete],
                mark=[(held.run_id, reason) for held, reason in plan.mark],
                signer=cluster.signer,
                trusted=cluster.trusted,
            )
        cluster.shelf.dies_at = None
        assert_nothing_lies(cluster)
        offered = [entry.manifest for entry in cluster.walk().offered]
        assert not newest_good or newest_good in {one.run_id for one in offered}
        young = int((cluster.shelf.clock - timedelta(days=4)).timestamp() * 1000)
        assert sum(one.times.commit_ms >= young for one in offered) == sum(
            kind != "none" for kind, _ in days[max(0, number - 4) : number + 1]
        )
