"""Whatever somebody with the bucket's keys does to the chain is found and named."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pasargad_ops.backup.chain import TOMBSTONE
from pasargad_ops.backup.errors import BackupError, Code
from pasargad_ops.backup.manifest import Part
from pasargad_ops.backup.objects import Stored
from pasargad_ops.backup.places import Place
from pasargad_ops.backup.records import to_record
from pasargad_ops.backup.signatures import seal
from pasargad_ops.backup.walk import inspect
from tests.unit.backup.sets import Cluster, example


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    made = Cluster(tmp_path)
    made.days(5)
    return made


def found(cluster: Cluster) -> set[tuple[str, int, int]]:
    return {(finding.fault.value, finding.seq, int(finding.code)) for finding in cluster.walk().findings}


def overwrite(cluster: Cluster, seq: int, body: bytes) -> None:
    cluster.shelf.put(cluster.place.manifest(seq), body)


def manifest_of(cluster: Cluster, seq: int) -> bytes:
    return cluster.shelf.get(cluster.place.manifest(seq))


def remove(cluster: Cluster) -> None:
    cluster.shelf.hide(cluster.place.manifest(3))


def remove_two(cluster: Cluster) -> None:
    cluster.shelf.hide(cluster.place.manifest(3))
    cluster.shelf.hide(cluster.place.manifest(2))


def remove_the_oldest(cluster: Cluster) -> None:
    cluster.shelf.hide(cluster.place.manifest(1))


def remove_the_newest(cluster: Cluster) -> None:
    cluster.shelf.hide(cluster.place.manifest(5))


def empty_the_bucket(cluster: Cluster) -> None:
    for key in cluster.shelf.all_keys():
        cluster.shelf.hide(key)


def swap(cluster: Cluster) -> None:
    one, other = manifest_of(cluster, 2), manifest_of(cluster, 3)
    overwrite(cluster, 2, other)
    overwrite(cluster, 3, one)


def play_an_old_one_as_the_newest(cluster: Cluster) -> None:
    overwrite(cluster, 6, manifest_of(cluster, 2))


def other_content(cluster: Cluster, seq: int) -> bytes:
    """A manifest for this number that the host itself signed, but that was never the chain's."""
    whole = json.loads(manifest_of(cluster, seq))["manifest"]
    return seal("manifest", {**whole, "host": "other"}, [cluster.signer])


def replace(cluster: Cluster) -> None:
    overwrite(cluster, 3, other_content(cluster, 3))


def replace_the_newest(cluster: Cluster) -> None:
    overwrite(cluster, 5, other_content(cluster, 5))


def fork(cluster: Cluster) -> None:
    """Two hosts saw the same end of the chain; a storage that is not consistent lets both go on from it."""
    whole = json.loads(manifest_of(cluster, 5))["manifest"]
    overwrite(cluster, 6, seal("manifest", {**whole, "seq": 6}, [cluster.signer]))


def flip(cluster: Cluster) -> None:
    raw = bytearray(manifest_of(cluster, 3))
    raw[40] ^= 1
    overwrite(cluster, 3, bytes(raw))


def truncate(cluster: Cluster) -> None:
    overwrite(cluster, 3, manifest_of(cluster, 3)[:-20])


def stranger(cluster: Cluster) -> Cluster:
    return Cluster(cluster.directory / "stranger", cluster.shelf)


def forge(cluster: Cluster) -> None:
    """A set that is whole, encrypted to our recipients and well linked, but signed by somebody else."""
    intruder = stranger(cluster)
    intruder.pins += cluster.pins
    intruder.commit("2026-01-06")


def forge_in_our_name(cluster: Cluster) -> None:
    whole = json.loads(manifest_of(cluster, 5))
    whole["manifest"] = {**whole["manifest"], "seq": 6, "prev_seq": 5}
    body = json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    overwrite(cluster, 6, body.encode())


def copy_from_another_cluster(cluster: Cluster) -> None:
    other = Cluster(cluster.directory, cluster.shelf, Place("prod", "7999"))
    other.memory = cluster.directory / "other.json"
    overwrite(cluster, 6, cluster.shelf.get(other.commit().key))


def copy_from_another_environment(cluster: Cluster) -> None:
    other = Cluster(cluster.directory, cluster.shelf, Place("staging", cluster.place.system_id))
    other.memory = cluster.directory / "other.json"
    overwrite(cluster, 6, cluster.shelf.get(other.commit().key))


def forge_a_tombstone(cluster: Cluster) -> None:
    intruder = stranger(cluster)
    stone = {"env": "prod", "seq": 3, "closes": True}
    cluster.shelf.put(cluster.place.tombstone(3), seal(TOMBSTONE, stone, [intruder.signer]))
    cluster.shelf.hide(cluster.place.manifest(3))


def drop_something_strange(cluster: Cluster) -> None:
    cluster.shelf.put(f"{cluster.place.manifests}readme.txt", b"hello")


def write_with_a_newer_schema(cluster: Cluster) -> None:
    body = {**to_record(example(seq=6, prev_seq=5, prev_sha256="ab" * 32)), "schema": 2}
    overwrite(cluster, 6, seal("manifest", body, [cluster.signer]))


CHAIN, KEY, INTEGRITY = int(Code.CHAIN), int(Code.KEY), int(Code.INTEGRITY)
ROLLED_BACK = ("rolled back", 5, CHAIN)


@pytest.mark.parametrize(
    ("deed", "wanted"),
    [
        (remove, {("removed", 3, CHAIN)}),
        (remove_two, {("removed", 3, CHAIN)}),
        (remove_the_oldest, {("removed", 1, CHAIN)}),
        (remove_the_newest, {ROLLED_BACK}),
        (empty_the_bucket, {ROLLED_BACK}),
        (swap, {("swapped", 2, CHAIN), ("swapped", 3, CHAIN)}),
        (play_an_old_one_as_the_newest, {("swapped", 6, CHAIN)}),
        (replace, {("replaced", 3, CHAIN)}),
        (replace_the_newest, {("forked", 5, CHAIN)}),
        (fork, {("forked", 5, CHAIN)}),
        (flip, {("forged", 3, INTEGRITY)}),
        (truncate, {("forged", 3, INTEGRITY)}),
        (forge, {("unknown key", 6, KEY)}),
        (forge_in_our_name, {("forged", 6, INTEGRITY)}),
        (copy_from_another_cluster, {("wrong cluster", 6, CHAIN)}),
        (copy_from_another_environment, {("wrong cluster", 6, CHAIN)}),
        (forge_a_tombstone, {("unknown key", 3, KEY), ("removed", 3, CHAIN)}),
        (drop_something_strange, {("forged", 0, INTEGRITY)}),
        (write_with_a_newer_schema, {("unknown schema", 6, int(Code.VERSION_MISMATCH))}),
    ],
)
def test_each_deed_is_found_and_named(
    cluster: Cluster, deed: Callable[[Cluster], None], wanted: set[tuple[str, int, int]]
) -> None:
    assert found(cluster) == set()
    deed(cluster)
    assert found(cluster) == wanted
    with pytest.raises(BackupError) as caught:
        cluster.walk().require_sound()
    assert int(caught.value.code) in {code for _, _, code in wanted}
    assert caught.value.hint
    assert json.dumps(caught.value.details)


def test_a_sound_chain_is_required_in_silence(cluster: Cluster) -> None:
    cluster.walk().require_sound()


def test_no_forged_set_is_offered(cluster: Cluster) -> None:
    for deed in (forge, forge_in_our_name, copy_from_another_cluster, play_an_old_one_as_the_newest):
        deed(cluster)
        assert [entry.seq for entry in cluster.walk().offered] == [1, 2, 3, 4, 5]


def test_without_a_memory_a_rolled_back_bucket_looks_sound(cluster: Cluster) -> None:
    """The reason for the memory, and for telling the head where the bucket's owner cannot reach."""
    remove_the_newest(cluster)
    assert cluster.walk().findings
    cluster.memory.unlink()
    assert cluster.walk().findings == ()


def test_a_fork_is_seen_without_a_memory(cluster: Cluster) -> None:
    cluster.memory.unlink()
    fork(cluster)
    assert found(cluster) == {("forked", 5, CHAIN)}


def test_a_commit_during_the_walk_looks_like_no_rollback(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = cluster.shelf.list

    def then_somebody_commits(prefix: str) -> Iterator[Stored]:
        found = list(listing(prefix))
        monkeypatch.setattr(cluster.shelf, "list", listing)
        cluster.commit("meanwhile")
        return iter(found)

    monkeypatch.setattr(cluster.shelf, "list", then_somebody_commits)
    assert found(cluster) == set()
    assert len(cluster.walk().entries) == 6


def test_the_remembered_set_may_be_older_than_the_chain(cluster: Cluster, tmp_path: Path) -> None:
    """A drill host that was off for a while has seen less; what it has seen must still be there."""
    early = cluster.walk()
    remembered = cluster.memory.read_text()
    cluster.days(2)
    cluster.memory.write_text(remembered)
    assert cluster.walk().findings == ()
    cluster.memory.write_text(remembered.replace(early.head.sha256, "ab" * 32))
    assert found(cluster) == {("forked", 5, CHAIN)}


def part(cluster: Cluster, seq: int, number: int) -> Part:
    return cluster.walk().entries[seq - 1].manifest.objects[number]


def lose_an_object(cluster: Cluster) -> None:
    cluster.shelf.hide(part(cluster, 3, 0).key)


def swap_objects(cluster: Cluster) -> None:
    one, other = part(cluster, 3, 0).key, part(cluster, 3, 1).key
    body, content = cluster.shelf.get(one), cluster.shelf.get(other)
    cluster.shelf.put(one, content)
    cluster.shelf.put(other, body)


def splice_an_object(cluster: Cluster) -> None:
    cluster.shelf.put(part(cluster, 3, 0).key, cluster.shelf.get(part(cluster, 2, 0).key))


def write_the_same_again(cluster: Cluster) -> None:
    cluster.shelf.put(part(cluster, 3, 0).key, cluster.shelf.get(part(cluster, 3, 0).key))


def in_place(cluster: Cluster, change: Callable[[bytes], bytes]) -> None:
    """A change below the storage: no new version."""
    versions = cluster.shelf.kept[part(cluster, 3, 0).key]
    body, modified = versions[0]
    assert body is not None
    versions[0] = (change(body), modified)


@pytest.mark.parametrize(
    ("deed", "wanted"),
    [
        (lose_an_object, ["removed"]),
        (swap_objects, ["swapped", "swapped"]),
        (splice_an_object, ["replaced"]),
        (write_the_same_again, ["replaced"]),
        (lambda cluster: in_place(cluster, lambda body: body[:-1]), ["changed"]),
        (lambda cluster: in_place(cluster, lambda body: b"x" + body[1:]), ["changed"]),
    ],
)
def test_an_object_that_is_not_what_was_committed_is_found(
    cluster: Cluster, deed: Callable[[Cluster], None], wanted: list[str]
) -> None:
    assert inspect(cluster.shelf, cluster.walk().entries[2]) == ()
    deed(cluster)
    entries = cluster.walk().entries
    findings = inspect(cluster.shelf, entries[2])
    assert [finding.fault.value for finding in findings] == wanted
    assert {finding.code for finding in findings} == {Code.INTEGRITY}
    assert inspect(cluster.shelf, entries[1]) == ()


def test_what_nobody_has_read_is_compared_by_size_and_version(cluster: Cluster) -> None:
    entry = cluster.walk().entries[2]
    unread = tuple(dataclasses.replace(one, sha256="") for one in entry.manifest.objects)
    entry = dataclasses.replace(entry, manifest=dataclasses.replace(entry.manifest, objects=unread))
    assert inspect(cluster.shelf, entry) == ()
    in_place(cluster, lambda body: body[:-1])
    assert [finding.fault.value for finding in inspect(cluster.shelf, entry)] == ["changed"]


def test_a_storage_without_digests_is_compared_by_size_and_version(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = cluster.shelf.head

    def without(key: str) -> Stored | None:
        stored = head(key)
        return stored and dataclasses.replace(stored, sha256="")

    monkeypatch.setattr(cluster.shelf, "head", without)
    assert inspect(cluster.shelf, cluster.walk().entries[2]) == ()
