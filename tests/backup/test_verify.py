"""Verification against real sets: each kind of damage ends loudly with its own code, and what is whole ends with 0."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pasargad_ops.backup import archiver, clocks, verify_physical
from pasargad_ops.backup.chain import MANIFEST, Entry
from pasargad_ops.backup.errors import BackupError, Code
from pasargad_ops.backup.objects import Stored, Upload
from pasargad_ops.backup.objects_dir import RETAIN, DirectoryObjects
from pasargad_ops.backup.physical import PhysicalRequest, backup_physical
from pasargad_ops.backup.proofs import Proof, load_proofs
from pasargad_ops.backup.records import to_record
from pasargad_ops.backup.signatures import load_signer, make_key, seal
from pasargad_ops.backup.verify import VerifyRequest, verify
from tests.backup.jobs_rig import Host, host, logical_set
from tests.backup.pgbackrest_rig import PASSPHRASE, STANZA, run, until
from tests.backup.rig import Keys, keys


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def made(identity: Keys) -> Iterator[Host]:
    """A host with two physical and two logical sets, by turns, and WAL before and after."""
    with host() as started:
        for number, name in enumerate(("full", "diff")):
            backup_physical(started.context, PhysicalRequest(slot=name))
            started.rig.switch()
            started.rig.sql(f"INSERT INTO orders VALUES ({1000 + number}, 'between')")
            started.rig.switch()
            logical_set(started, name, identity)
        yield started


@pytest.fixture
def copy(made: Host) -> Host:
    """A copy of all that is stored, and of what the host remembers, to be damaged."""
    return made.copy()


def flip(path: Path) -> None:
    """Turn one bit in the middle of a file, as a bad disk does."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    # In place, so that what the file system keeps beside it stays as it was.
    with path.open("r+b") as file:
        file.write(content)


def entries(host: Host, kind: str) -> list[Entry]:
    return [entry for entry in host.context.chain().entries if entry.manifest.kind == kind]


def full(host: Host) -> Path:
    """The folder of the full backup."""
    return host.repository.backups / host.repository.repository.info().current[0].label


def dump(host: Host, role: str, number: int = 0) -> Path:
    """The file of an object of a logical set."""
    parts = entries(host, "logical")[number].manifest.objects
    return host.storage / next(part.key for part in parts if part.role == role)


def manifest(host: Host, seq: int) -> Path:
    return host.storage / host.place.manifest(seq)


def hole(host: Host) -> Path:
    """A segment between the two physical backups."""
    backups = host.repository.repository.info().current
    names = sorted(path.name[:24] for path in host.repository.archive.glob("*/*/0000*") if ".backup" not in path.name)
    return host.repository.wal(next(name for name in names if name > backups[0].stop_wal))


def newest(host: Host) -> Path:
    return host.repository.wal(host.rig.sql("SELECT last_archived_wal FROM pg_stat_archiver")[:24])


def replace(host: Host, path: Path, content: bytes) -> None:
    """Write an object anew through the door, as whoever has the storage's key can."""
    host.context.objects.put(path.relative_to(host.storage).as_posix(), content)


def swap(host: Host, one: Path, other: Path) -> None:
    """Let two objects change places, through the door."""
    contents = one.read_bytes(), other.read_bytes()
    replace(host, other, contents[0])
    replace(host, one, contents[1])


def foreign(host: Host) -> None:
    """Add a set that another key has signed, as the next one of the chain."""
    make_key(host.home / "foreign.pem")
    last = host.context.chain().entries[-1]
    next_one = dataclasses.replace(
        last.manifest, seq=last.seq + 1, prev_seq=last.seq, prev_sha256=last.sha256, run_id="01KDVNP200ABCDEFGHJKMNPQRS"
    )
    replace(
        host,
        manifest(host, last.seq + 1),
        seal(MANIFEST, to_record(next_one), [load_signer(host.home / "foreign.pem")]),
    )


def roll_back(host: Host) -> None:
    """Put the storage back to where it was before the last set."""
    gone = manifest(host, 4)
    shutil.rmtree(dump(host, "pre", 1).parent)
    gone.unlink()


IN_THE_CHAIN = {"deleted manifest", "swapped manifests", "flipped byte in a manifest"}
IN_THE_CHAIN |= {"foreign signed manifest", "rolled back bucket"}
Damage = Callable[[Host], object]
DAMAGES: dict[str, tuple[Damage, int, Code, str]] = {
    "flipped byte in a physical file": (lambda h: flip(full(h) / "bundle/1"), 2, Code.INTEGRITY, "files of backup"),
    "flipped byte in the list of files": (lambda h: flip(full(h) / "backup.manifest"), 1, Code.INTEGRITY, "set 1: "),
    "flipped byte in WAL": (lambda h: flip(hole(h)), 2, Code.INTEGRITY, "files of the WAL"),
    "truncated physical file": (
        lambda h: os.truncate(full(h) / "bundle/1", 2**20),
        0,
        Code.INTEGRITY,
        "has 1048576 bytes",
    ),
    "lost physical file": (lambda h: (full(h) / "bundle/1").unlink(), 0, Code.INTEGRITY, "bundle/1 is gone"),
    "lost backup": (lambda h: shutil.rmtree(full(h)), 0, Code.INTEGRITY, "is gone before its time"),
    "lost backup.info": (lambda h: (full(h).parent / "backup.info").unlink(), 1, Code.INTEGRITY, "backup.info is miss"),
    "deleted WAL": (lambda h: hole(h).unlink(), 1, Code.WAL_GAP, "is missing"),
    "deleted newest WAL": (lambda h: newest(h).unlink(), 1, Code.WAL_GAP, "is missing"),
    "wrong passphrase": (lambda h: h.altered(PASSPHRASE, "another-one-altogether"), 1, Code.KEY, "unable to load"),
    "deleted manifest": (lambda h: manifest(h, 2).unlink(), 0, Code.CHAIN, "set 2 is gone"),
    "swapped manifests": (
        lambda h: swap(h, manifest(h, 2), manifest(h, 4)),
        0,
        Code.CHAIN,
        "holds the manifest of set",
    ),
    "flipped byte in a manifest": (lambda h: flip(manifest(h, 2)), 0, Code.INTEGRITY, "is not what was written"),
    "foreign signed manifest": (foreign, 0, Code.KEY, "0000000005.json"),
    "rolled back bucket": (roll_back, 0, Code.CHAIN, "the chain ends with set 3, but this host has seen set 4"),
    "replaced dump": (lambda h: replace(h, dump(h, "data-000"), b"mine"), 0, Code.INTEGRITY, "has 4 bytes"),
    "flipped byte in a dump": (
        lambda h: flip(dump(h, "data-000")),
        2,
        Code.INTEGRITY,
        "is not what was written|damaged",
    ),
    "zeroed dump of the same size": (
        lambda h: replace(h, dump(h, "pre"), bytes(dump(h, "pre").stat().st_size)),
        0,
        Code.INTEGRITY,
        "has another digest",
    ),
    "swapped dumps": (lambda h: swap(h, dump(h, "pre"), dump(h, "post")), 0, Code.INTEGRITY, "holds what .* should"),
    "dump of another set": (
        lambda h: replace(h, dump(h, "pre"), dump(h, "pre", 1).read_bytes()),
        0,
        Code.INTEGRITY,
        "has another digest|bytes, committed were",
    ),
    "truncated dump": (lambda h: os.truncate(dump(h, "pre", 1), 99), 0, Code.INTEGRITY, "has 99 bytes"),
    "lost dump": (lambda h: dump(h, "globals").unlink(), 0, Code.INTEGRITY, "globals.age is gone"),
}


def found(host: Host, level: int, code: Code, words: str, **more: str) -> BackupError:
    """Verify what is damaged; it must end with the code, and tell of it everywhere."""
    with pytest.raises(BackupError, match=words) as caught:
        verify(host.context, VerifyRequest(level, **more))
    assert caught.value.code == code, caught.value.message
    assert caught.value.hint
    assert PASSPHRASE not in str(caught.value.details) and "another-one" not in caught.value.message
    assert host.metric("verify", "last_exit_code", job="verify") == code
    assert host.metric("verify", "last_verify_success", level=str(level)) == 0
    assert time.time() - host.metric("verify", "last_verify_timestamp_seconds", level=str(level)) < 60
    (notice,) = [notice for notice in host.notices() if notice["kind"] == "failure"]
    assert notice["urgent"] and notice["code"] == code and notice["title"].startswith("verify failed: ")
    return caught.value


def test_what_is_whole_ends_with_0(copy: Host, identity: Keys) -> None:
    copy.more = {"identity_file": str(identity.identity)}
    before = sum(1 for path in copy.storage.rglob("*"))
    for level in (0, 1, 2):
        outcome = verify(copy.context, VerifyRequest(level))
        assert outcome.details["proven"] == dict.fromkeys(outcome.details["proven"], level)
        assert len(outcome.details["proven"]) == 4 and not outcome.changed
        assert copy.metric("verify", "last_verify_success", level=str(level)) == 1
    metric = lambda name: copy.metric("verify", name)  # noqa: E731 - it is read five times
    assert (metric("chain_ok"), metric("chain_seq"), metric("wal_gap_segments")) == (1, 4, 0)
    assert metric("wal_ready_segments") == metric("orphan_multipart_uploads") == 0
    assert abs(metric("clock_skew_seconds")) < 1
    assert time.time() - metric("wal_last_archived_timestamp_seconds") < 600
    since = copy.repository.repository.info().current[0].opens
    assert copy.metric("verify", "oldest_restorable_timestamp_seconds", job="verify") == since
    proofs = load_proofs(copy.context.config.proofs_file)
    assert {(proof.level, proof.flaw) for proof in proofs.values()} == {(2, "")}
    assert not [notice for notice in copy.notices() if notice["kind"] == "failure"]
    assert sum(1 for path in copy.storage.rglob("*")) == before


def test_thousands_of_physical_files_are_seen_by_one_listing(copy: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    head = DirectoryObjects.head

    def noted(self: DirectoryObjects, key: str) -> Stored | None:
        asked.append(key)
        return head(self, key)

    monkeypatch.setattr(DirectoryObjects, "head", noted)
    assert verify(copy.context, VerifyRequest(0)).details["sets"] == 4
    assert any("/logical/" in key for key in asked) and not any("/physical/" in key for key in asked)


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_found_and_told(copy: Host, name: str) -> None:
    damage, level, code, words = DAMAGES[name]
    damage(copy)
    if level:
        # What only reading shows, is not seen by who does not read: the level is the one that it says.
        verify(copy.context, VerifyRequest(level - 1))
    error = found(copy, level, code, words)
    assert all(each["hint"] for each in error.details["findings"])
    if name == "wrong passphrase":
        # Where nothing can be deciphered, everything else would only say so in other words.
        assert len(error.details["findings"]) == 1
    if code == Code.WAL_GAP:
        assert copy.metric("verify", "wal_gap_segments") == 1
    assert copy.metric("verify", "chain_ok") == (name not in IN_THE_CHAIN)
    with pytest.raises(BackupError) as again:
        verify(copy.context, VerifyRequest(2))
    assert again.value.code == code


def test_a_flaw_is_held_against_the_set_until_the_check_that_found_it_passes(copy: Host) -> None:
    path, proofs = full(copy) / "bundle/1", copy.context.config.proofs_file
    one, other = (entry.manifest.run_id for entry in entries(copy, "physical"))
    flip(path)
    found(copy, 2, Code.INTEGRITY, "files of backup")
    known = load_proofs(proofs)
    assert known[one].level == 0 and "is invalid" in known[one].flaw
    # The differential backup leans on the damaged one.
    assert known[other].flaw == known[one].flaw
    assert {known[entry.manifest.run_id].level for entry in entries(copy, "logical")} == {2}
    verify(copy.context, VerifyRequest(1))
    assert load_proofs(proofs)[one].flaw
    flip(path)
    verify(copy.context, VerifyRequest(2))
    assert load_proofs(proofs)[one] == Proof(2, load_proofs(proofs)[one].at, 0, "")


def test_everything_is_found_before_the_worst_of_it_is_told(copy: Host) -> None:
    hole(copy).unlink()
    dump(copy, "globals").unlink()
    manifest(copy, 1).unlink()
    copy.more = {"cluster": {**copy.settings["cluster"], "port": 5999}}
    error = found(copy, 2, Code.CHAIN, "set 1 is gone.*; and [0-9]+ more findings")
    codes = {Code(each["code"]) for each in error.details["findings"]}
    assert codes == {Code.CHAIN, Code.INTEGRITY, Code.WAL_GAP, Code.DATABASE_UNREACHABLE}


def test_a_dry_run_finds_as_much_and_keeps_it_to_itself(copy: Host) -> None:
    outcome = verify(copy.context, VerifyRequest(2), dry_run=True)
    assert outcome.summary.startswith("would say: level 2: 4 sets") and not outcome.changed
    hole(copy).unlink()
    with pytest.raises(BackupError) as caught:
        verify(copy.context, VerifyRequest(1), dry_run=True)
    assert caught.value.code == Code.WAL_GAP
    assert copy.notices() == [] and not [*(copy.home / "metrics").iterdir()]


@pytest.mark.parametrize("request_", [VerifyRequest(3), VerifyRequest(2, "9/7")])
def test_a_request_that_means_nothing_is_refused(copy: Host, request_: VerifyRequest) -> None:
    with pytest.raises(BackupError) as caught:
        verify(copy.context, request_)
    assert caught.value.code == Code.CONFIG


def test_an_archiver_that_fails_is_told(copy: Host) -> None:
    with copy.archive_command("exit 1"):
        copy.rig.sql("SELECT pg_create_restore_point('x'), pg_switch_wal()")
        failed = "SELECT last_failed_time > coalesce(last_archived_time, '-infinity') FROM pg_stat_archiver"
        until(lambda: copy.rig.sql(failed) == "t", 30)
        found(copy, 1, Code.ARCHIVER, "archiving fails: 0000")
        assert copy.metric("verify", "wal_ready_segments") >= 1


def test_an_archiver_that_hangs_is_told(copy: Host) -> None:
    copy.more = {"bounds": {"wal_silence_seconds": 0}}
    with copy.archive_command("sleep 5; exit 1"):
        copy.rig.sql("SELECT pg_create_restore_point('x'), pg_switch_wal()")
        found(copy, 1, Code.ARCHIVER, "no WAL has arrived for .* and 1 files wait")


def test_an_archiver_that_died_while_the_shop_slept_is_told(copy: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archiver, "SWITCH_SECONDS", 2)
    copy.more = {"bounds": {"wal_silence_seconds": 0}}
    copy.rig.switch()
    with copy.archive_command("exit 1"):
        found(copy, 1, Code.ARCHIVER, "no WAL has arrived for .* nor does a segment that was begun for it")


def test_a_shop_that_sleeps_is_not_taken_for_a_dead_archiver(made: Host) -> None:
    """An idle cluster archives nothing; a segment of our own shows that it would."""
    host = dataclasses.replace(made, home=made.rig.root / "sleepy", more={"bounds": {"wal_silence_seconds": 0}})
    shutil.copytree(made.home / "state", host.home / "state")
    before = made.rig.sql("SELECT last_archived_wal FROM pg_stat_archiver")
    verify(host.context, VerifyRequest(1), dry_run=True)
    assert made.rig.sql("SELECT last_archived_wal FROM pg_stat_archiver") == before
    verify(host.context, VerifyRequest(1))
    assert made.rig.sql("SELECT last_archived_wal FROM pg_stat_archiver") > before


def test_a_clock_that_is_wrong_is_told(copy: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    class Ahead:
        """The host's clock, an hour ahead of the storage's."""

        time = staticmethod(lambda: time.time() + 3600)

    monkeypatch.setattr(clocks, "time", Ahead)
    found(copy, 1, Code.CONFIG, "clock is 3600 s ahead of")
    assert 3590 < copy.metric("verify", "clock_skew_seconds") < 3610


def test_a_set_from_the_future_is_told(copy: Host, identity: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(DirectoryObjects, "now", lambda _: datetime.now(UTC) + timedelta(hours=2))
        logical_set(copy, "tomorrow", identity)
    found(copy, 0, Code.CONFIG, "set 5 was committed in the future")


def test_uploads_of_dead_runs_are_aborted(copy: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    root = copy.place.root
    now, objects = time.time(), copy.context.objects
    for hours in (1, 25):
        name = f"{now - hours * 3600:.6f}-abc~{(root + 'logical/' + str(hours)).replace('/', '%2F')}"
        (copy.storage / ".parts" / name).write_bytes(b"begun")
    outcome = verify(copy.context, VerifyRequest(1), dry_run=True)
    assert outcome.details["lines"] == ["would abort 1 uploads of dead runs"]
    assert len([*objects.uploads("")]) == 2

    def denied(_: object, upload: Upload) -> None:
        raise BackupError(Code.STORAGE_DENIED, f"{upload.key}: no", hint="let the writer abort")

    with monkeypatch.context() as patch:
        patch.setattr(DirectoryObjects, "abort", denied)
        found(copy, 1, Code.STORAGE_DENIED, "logical/25: no")
    assert copy.metric("verify", "orphan_multipart_uploads") == 1
    outcome = verify(copy.context, VerifyRequest(1))
    assert outcome.changed and outcome.details["lines"][0].startswith(f"Aborted the upload of {root}logical/25, begun")
    assert [upload.key for upload in objects.uploads("")] == [f"{root}logical/1"]
    assert copy.metric("verify", "orphan_multipart_uploads") == 0


def test_locks_that_are_too_short_are_told(copy: Host) -> None:
    def lock(days: int) -> None:
        until_ = (datetime.now(UTC) + timedelta(days=days)).isoformat().encode()
        for entry in copy.context.chain().entries:
            paths = [entry.key, *(part.key for part in entry.manifest.objects)]
            for path in paths:
                os.setxattr(copy.storage / path, RETAIN, until_)

    try:
        lock(40)
    except OSError:
        pytest.skip("this file system keeps no attributes")
    verify(copy.context, VerifyRequest(1))
    assert 39.9 < copy.metric("verify", "object_lock_min_remaining_seconds") / 86400 <= 40
    lock(20)
    error = found(copy, 1, Code.CONFIG, "is locked until .*, but must be kept 30 days")
    assert "pasargad" in error.hint


def test_what_pgbackrest_has_expired_in_time_waits_for_retention(copy: Host) -> None:
    label = copy.repository.repository.info().current[1].label
    config = copy.repository.config.config_file
    run("pgbackrest", f"--config={config}", f"--stanza={STANZA}", "expire", f"--set={label}", check=True)
    error = found(copy, 0, Code.INTEGRITY, f"backup {label} is gone before its time")
    assert len(error.details["findings"]) == 1
    copy.more = {"policy": {"days": 0}}
    outcome = verify(copy.context, VerifyRequest(2))
    assert outcome.details["lines"] == [f"Set 3 waits for retention: pgbackrest has expired {label}."]
    assert len(outcome.details["proven"]) == 3


def test_a_backup_that_nobody_attests_is_told(copy: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest(copy, 3).unlink()
    error = found(copy, 1, Code.CHAIN, "set 3 is gone")
    assert not any("no signed set" in each["what"] for each in error.details["findings"])
    # Time passes: whoever should have attested it counts as dead.
    monkeypatch.setattr(verify_physical, "WAIT", timedelta(seconds=-copy.context.config.bounds.job_seconds))
    time.sleep(1.1)
    error = found_again(copy)
    assert any("no signed set stands for backup" in each["what"] for each in error.details["findings"])


def found_again(host: Host) -> BackupError:
    with pytest.raises(BackupError) as caught:
        verify(host.context, VerifyRequest(1))
    return caught.value


def test_a_share_reads_the_newest_set_and_its_part_and_pgbackrest_with_the_last(copy: Host) -> None:
    flip(full(copy) / "bundle/1")
    outcome = verify(copy.context, VerifyRequest(2, "1/200"))
    proven = outcome.details["proven"]
    assert proven[entries(copy, "logical")[-1].manifest.run_id] == 2
    assert {proven[entry.manifest.run_id] for entry in entries(copy, "physical")} == {1}
    found(copy, 2, Code.INTEGRITY, "files of backup", share="200/200")


def test_an_identity_that_opens_nothing_is_told_apart_from_damage(copy: Host, tmp_path: Path) -> None:
    copy.more = {"identity_file": str(keys(tmp_path, "other").identity)}
    # A damaged header looks like a wrong identity: the sum tells.
    flip(dump(copy, "globals"))
    error = found(copy, 2, Code.KEY, "the identity opens nothing")
    told = {(Code(each["code"]), "globals" in each["what"]) for each in error.details["findings"]}
    assert (Code.KEY, False) in told
    assert {code for code, damaged in told if damaged} == {Code.INTEGRITY, Code.KEY}
    proofs = load_proofs(copy.context.config.proofs_file)
    whole = entries(copy, "logical")[1].manifest.run_id
    assert proofs.get(whole, Proof()).level < 2 and not proofs.get(whole, Proof()).flaw


def test_a_schema_that_is_no_dump_is_found_where_it_can_be_opened(copy: Host, identity: Keys) -> None:
    logical_set(copy, "odd", identity, pre=b"PGDMP is what it should begin with\n" * 99)
    verify(copy.context, VerifyRequest(2))
    copy.more = {"identity_file": str(identity.identity)}
    found(copy, 2, Code.INTEGRITY, "pg_restore cannot read the dump of the schema")


def test_a_storage_that_cannot_be_walked_ends_the_round_at_once(copy: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise BackupError(Code.STORAGE_TRANSIENT, "the disk does not answer", hint="look at it")

    context = copy.context
    monkeypatch.setattr(DirectoryObjects, "list", away)
    with pytest.raises(BackupError, match=r"the disk does not answer$") as caught:
        verify(context, VerifyRequest(2))
    assert caught.value.code == Code.STORAGE_TRANSIENT
    assert len(caught.value.details["findings"]) == 1


def test_a_verification_that_was_killed_leaves_nothing_in_the_way(copy: Host) -> None:
    process = copy.start(
        "import os, signal\nfrom pasargad_ops.backup import verify as v\n"
        "v.look_at_sets = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\nv.verify(context, v.VerifyRequest(1))\n"
    )
    process.communicate(timeout=60)
    assert process.returncode == -9
    verify(copy.context, VerifyRequest(1))


def test_pgbackrest_itself_says_nothing(copy: Host) -> None:
    """The fact on which this job is built: the programs end with 0 on what is found here."""
    flip(full(copy) / "bundle/1")
    hole(copy).unlink()
    for command in (["verify"], ["info", "--output=json"]):
        done = copy.repository.own(*command)
        assert isinstance(done, subprocess.CompletedProcess) and done.returncode == 0
    found(copy, 2, Code.INTEGRITY, "files of backup")
