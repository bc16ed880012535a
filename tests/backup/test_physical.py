"""The physical job against a real cluster and repository: what it attests, what it refuses, what a kill costs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pasargad_ops.backup import physical_ready
from pasargad_ops.backup.chain import Entry
from pasargad_ops.backup.errors import BackupError, Code
from pasargad_ops.backup.physical import PhysicalRequest, backup_physical
from pasargad_ops.backup.proofs import load_proofs, note_proof
from pasargad_ops.backup.verify import VerifyRequest, verify
from tests.backup.jobs_rig import GENERATION, Host, host
from tests.backup.pgbackrest_rig import PASSPHRASE, STANZA, initdb, run, until
from tests.services import postgres_programs

DIES = """
import os, signal
from pasargad_ops.backup import physical
from pasargad_ops.backup.physical import PhysicalRequest, backup_physical
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
{when}
backup_physical(context, PhysicalRequest())
"""


@pytest.fixture(scope="module")
def shared() -> Iterator[Host]:
    """A host with a full and a differential backup, for tests that spoil nothing."""
    with host() as started:
        for slot in ("first", "second"):
            backup_physical(started.context, PhysicalRequest(slot=slot))
        yield started


@pytest.fixture
def fresh() -> Iterator[Host]:
    """A host of a test's own, without a backup."""
    with host() as started:
        yield started


def sets(host: Host) -> list[Entry]:
    """Return the sets of the chain, having seen that nothing is wrong with it."""
    chain = host.context.chain()
    chain.require_sound()
    return [*chain.entries]


def refused(host: Host, code: Code, words: str, request: PhysicalRequest | None = None) -> BackupError:
    """Run the job, which must be refused loudly without having made a backup or a set."""
    before = len(sets(host)), len(host.rig.live.repository.info().backups)
    with pytest.raises(BackupError, match=words) as caught:
        backup_physical(host.context, request or PhysicalRequest(slot=f"refused-{time.monotonic_ns()}"))
    assert caught.value.code == code and caught.value.hint
    assert (len(sets(host)), len(host.rig.live.repository.info().backups)) == before
    assert host.metric("physical", "last_exit_code", job="physical") == code
    assert any(notice["urgent"] and notice["code"] == code for notice in host.notices())
    return caught.value


def test_the_first_run_makes_the_stanza_and_the_next_one_a_diff(shared: Host) -> None:
    full, diff = sets(shared)
    listed = shared.repository.repository.info().current
    assert [each.label for each in listed] == [
        entry.manifest.physical.label for entry in (full, diff) if entry.manifest.physical
    ]
    assert [each.kind for each in listed] == ["full", "diff"]
    about, manifest = full.manifest.physical, full.manifest
    assert about is not None
    assert (about.stanza, about.type, about.wal_start, about.wal_stop) == (
        STANZA,
        "full",
        listed[0].start_wal,
        listed[0].stop_wal,
    )
    assert (manifest.kind, manifest.slot, manifest.tier, manifest.host) == ("physical", "first", "weekly", "db1")
    assert manifest.tool.startswith("pgBackRest 2.")
    assert manifest.crypto.recipients == (GENERATION,)
    assert manifest.pg.system_identifier == shared.system_id and manifest.pg.wal_file == about.wal_stop
    assert manifest.heartbeat is not None and manifest.heartbeat.at_ms <= manifest.times.start_ms
    assert manifest.times.start_ms <= manifest.times.end_ms <= manifest.times.commit_ms
    assert shared.metric("physical", "sets", kind="full") == 1
    assert shared.metric("physical", "sets", kind="diff") == 1
    assert shared.metric("physical", "last_size_bytes", job="physical") == diff.manifest.bytes
    assert shared.metric("physical", "oldest_restorable_timestamp_seconds", job="physical") == listed[0].opens
    assert any(f"Head of the chain: 2 {diff.sha256}" in notice["lines"] for notice in shared.notices())


def test_the_set_names_every_file_that_pgbackrest_wrote_as_another_user(shared: Host) -> None:
    entry = sets(shared)[0]
    assert entry.manifest.physical is not None
    folder = shared.repository.backups / entry.manifest.physical.label
    written = {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    assert {part.role: part.bytes for part in entry.manifest.objects} == written
    assert len(written) > 3
    summed = {part.role for part in entry.manifest.objects if part.sha256}
    assert summed == {"backup.manifest", "backup.manifest.copy"}
    prefix = shared.place.physical(GENERATION)
    total = sum(path.stat().st_size for path in (shared.storage / prefix).rglob("*") if path.is_file())
    assert shared.metric("physical", "repo_bytes") == total


def test_a_slot_is_served_once(shared: Host) -> None:
    with pytest.raises(BackupError) as caught:
        backup_physical(shared.context, PhysicalRequest(slot="second"))
    assert caught.value.code == Code.CLAIMED
    assert len(sets(shared)) == 2


def test_a_dry_run_says_what_would_be_done_and_leaves_no_trace(fresh: Host) -> None:
    def files() -> set[Path]:
        return {*fresh.storage.rglob("*"), *fresh.home.rglob("*")}

    context = fresh.context
    before = files()
    outcome = backup_physical(context, PhysicalRequest(), dry_run=True)
    assert outcome.details["lines"][0] == f"would make the stanza {STANZA}"
    assert outcome.details["kind"] == "full" and "would make a full backup" in outcome.summary
    assert files() == before


def test_a_request_that_means_nothing_is_refused(shared: Host) -> None:
    with pytest.raises(BackupError, match="'half' is no kind") as caught:
        backup_physical(shared.context, PhysicalRequest(kind="half"))  # type: ignore[arg-type]
    assert caught.value.code == Code.CONFIG


def killed(host: Host, when: str) -> None:
    """Run the job in a process of its own, which is killed at some point."""
    process = host.start(DIES.format(when=when))
    said, _ = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL, said


@pytest.mark.parametrize("when", ["physical.attest = die", "import pasargad_ops.backup.attest as a; a.parts = die"])
def test_a_backup_that_was_made_and_not_attested_is_attested_by_the_next_run(fresh: Host, when: str) -> None:
    killed(fresh, when)
    (backup,) = fresh.repository.repository.info().current
    assert sets(fresh) == []
    with pytest.raises(BackupError, match="has been at work since") as caught:
        backup_physical(fresh.context, PhysicalRequest())
    assert caught.value.code == Code.CLAIMED
    fresh.more = {"bounds": {"job_seconds": 1}}
    time.sleep(1.1)
    foreseen = backup_physical(fresh.context, PhysicalRequest(), dry_run=True)
    assert foreseen.details["lines"] == [f"would attest {backup.label}, which an earlier run has made"]
    outcome = backup_physical(fresh.context, PhysicalRequest())
    # The same slot needs no second backup.
    assert [each.label for each in fresh.repository.repository.info().current] == [backup.label]
    assert outcome.details["label"] == backup.label
    assert [entry.manifest.slot for entry in sets(fresh)] == [f"{time.strftime('%Y-%m-%d', time.gmtime())}"]
    # Nothing is attested twice, whatever else is made.
    backup_physical(fresh.context, PhysicalRequest(slot="another"))
    assert len(sets(fresh)) == 2
    verify(fresh.context, VerifyRequest(2))


def test_a_run_that_died_right_after_its_commit_has_served_its_slot(fresh: Host) -> None:
    killed(fresh, "physical._measure = die")
    assert len(sets(fresh)) == 1
    fresh.more = {"bounds": {"job_seconds": 1}}
    time.sleep(1.1)
    with pytest.raises(BackupError, match="done, though") as caught:
        backup_physical(fresh.context, PhysicalRequest())
    assert caught.value.code == Code.CLAIMED
    assert len(sets(fresh)) == 1


def test_a_host_that_goes_down_in_the_middle_of_a_backup_makes_it_the_next_time(fresh: Host) -> None:
    process = fresh.start(DIES.format(when=""))
    until(lambda: any(fresh.repository.backups.glob("20*F/*")), 60)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    until(lambda: not _runs(fresh))
    assert sets(fresh) == [] and fresh.repository.repository.info().current == ()
    fresh.more = {"bounds": {"job_seconds": 1}}
    time.sleep(1.1)
    outcome = backup_physical(fresh.context, PhysicalRequest())
    assert [entry.manifest.run_id for entry in sets(fresh)] == [outcome.details["run_id"]]
    verify(fresh.context, VerifyRequest(2))


def _runs(host: Host) -> bool:
    """Whether a pgbackrest of this host's settings is still at work."""
    name = str(host.repository.config.config_file)
    found = subprocess.run(["pgrep", "-f", f"pgbackrest.*{name}.*backup"], capture_output=True, check=False)
    return found.returncode == 0


def test_damage_to_what_a_dead_run_left_costs_no_backup(fresh: Host) -> None:
    killed(fresh, "physical.attest = die")
    (left,) = fresh.repository.repository.info().current
    shutil.rmtree(fresh.repository.backups / left.label)
    fresh.more = {"bounds": {"job_seconds": 1}}
    time.sleep(1.1)
    with pytest.raises(BackupError, match=f"lists {left.label}, but the storage") as caught:
        backup_physical(fresh.context, PhysicalRequest(kind="full"))
    assert caught.value.code == Code.INTEGRITY
    (entry,) = sets(fresh)
    assert entry.manifest.physical is not None and entry.manifest.physical.label != left.label


def test_a_cluster_that_is_not_the_one_of_the_settings_is_refused(fresh: Host) -> None:
    backup_physical(fresh.context, PhysicalRequest())
    fresh.more = {"cluster": {**fresh.settings["cluster"], "system_id": "7000000000000000001"}}
    with pytest.raises(BackupError, match="the running cluster is") as caught:
        backup_physical(fresh.context, PhysicalRequest(slot="x"))
    assert caught.value.code == Code.CONFIG


def test_a_repository_of_another_cluster_is_refused(shared: Host) -> None:
    copy = shared.copy()
    repository = copy.repository
    shutil.rmtree(repository.root / "backup")
    shutil.rmtree(repository.root / "archive")
    other = shared.rig.root / "other"
    initdb(other)
    create = ["pgbackrest", f"--config={repository.config.config_file}", f"--stanza={STANZA}", f"--pg1-path={other}"]
    run(*create, "--no-online", "stanza-create", check=True)
    error = refused(copy, Code.CONFIG, "repository is of cluster")
    assert "repo1-path" in error.hint


def test_a_repository_that_is_not_in_the_storage_is_refused(shared: Host) -> None:
    copy = shared.copy()
    aside = shared.rig.opened(shared.repository.root, name="aside")
    copy.more = {"physical": {**copy.settings["physical"], "config_file": str(aside.config.config_file)}}
    shutil.rmtree(copy.repository.root)
    error = refused(copy, Code.CONFIG, "not in the storage at v1/lab/")
    assert "repo1-path" in error.hint


def test_an_archiver_that_fails_is_told_before_a_backup_waits_for_it(shared: Host) -> None:
    with shared.archive_command("exit 1"):
        shared.rig.sql("SELECT pg_create_restore_point('x'), pg_switch_wal()")
        failed = "SELECT last_failed_time > coalesce(last_archived_time, '-infinity') FROM pg_stat_archiver"
        until(lambda: shared.rig.sql(failed) == "t", 30)
        refused(shared, Code.ARCHIVER, "archiving fails")
        with pytest.raises(BackupError, match="archiving fails"):
            backup_physical(shared.context, PhysicalRequest(slot="x"), dry_run=True)


def test_a_disk_that_is_too_small_is_told_before_it_is_full(shared: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(physical_ready, "free_bytes", lambda directory: 1000)
    refused(shared, Code.NO_SPACE, "1,000 are free", PhysicalRequest(kind="full", slot="small"))


def test_a_database_that_is_down_is_told(shared: Host) -> None:
    copy = shared.copy()
    copy.more = {"cluster": {**copy.settings["cluster"], "port": 5999}}
    refused(copy, Code.DATABASE_UNREACHABLE, "does not let us in")


def test_a_wrong_passphrase_makes_no_backup(shared: Host) -> None:
    copy = shared.copy()
    copy.altered(PASSPHRASE, "another-one-altogether")
    refused(copy, Code.KEY, "pgbackrest info")


def test_a_hole_in_the_wal_or_a_damaged_full_asks_for_a_full_backup(fresh: Host) -> None:
    backup_physical(fresh.context, PhysicalRequest(slot="a"))
    lost = fresh.rig.switch()
    fresh.rig.sql("CREATE TABLE later ()")
    fresh.rig.switch()
    fresh.repository.wal(lost).unlink()
    after_hole = backup_physical(fresh.context, PhysicalRequest(slot="b"))
    assert after_hole.details["kind"] == "full"
    assert backup_physical(fresh.context, PhysicalRequest(slot="c")).details["kind"] == "diff"
    context = fresh.context
    proofs, run_id = context.config.proofs_file, after_hole.details["run_id"]
    assert load_proofs(proofs)[run_id].level == 0 and not load_proofs(proofs)[run_id].flaw
    # With a flaw in the newest full one, the older one does not bridge the hole.
    note_proof(proofs, run_id, at=time.time(), level=2, flaw="a byte was flipped")
    assert backup_physical(fresh.context, PhysicalRequest(slot="d")).details["kind"] == "full"
    assert backup_physical(fresh.context, PhysicalRequest(kind="incr", slot="e")).details["kind"] == "incr"
    assert fresh.metric("physical", "sets", kind="full") == 3
    assert fresh.metric("physical", "sets", kind="incr") == 1


def test_a_cluster_that_was_promoted_takes_a_full_backup(fresh: Host) -> None:
    backup_physical(fresh.context, PhysicalRequest(slot="a"))
    control = [str(postgres_programs() / "pg_ctl"), f"--pgdata={fresh.rig.data}", "--silent", "--wait"]
    run(*control, "--mode=fast", "stop", check=True)
    standby = fresh.rig.data / "standby.signal"
    standby.touch()
    shutil.chown(standby, "postgres", "postgres")
    log = fresh.rig.root / "log/postgres.log"
    run(*control, f"--log={log}", f"--options=-c unix_socket_directories={fresh.rig.root}/sockets", "start", check=True)
    run(*control, "promote", check=True)
    until(lambda: fresh.rig.sql("SELECT pg_is_in_recovery()") == "f")
    fresh.rig.sql("CHECKPOINT")
    outcome = backup_physical(fresh.context, PhysicalRequest(slot="b"))
    assert outcome.details["kind"] == "full"
    assert sets(fresh)[-1].manifest.pg.timeline == 2
    assert backup_physical(fresh.context, PhysicalRequest(slot="c")).details["kind"] == "diff"
    # Over two timelines the second opinion may cry wolf; the first one counts on.
    verify(fresh.context, VerifyRequest(2))


def test_a_chain_that_somebody_tampered_with_costs_no_backup(shared: Host) -> None:
    """The job tells of it and goes on; the alarm is verify's."""
    first = shared.storage / shared.place.manifest(1)
    aside = shared.rig.root / "manifest"
    first.rename(aside)
    try:
        outcome = backup_physical(shared.context, PhysicalRequest(slot="tampered", kind="diff"))
        assert outcome.details["kind"] == "diff"
        assert [finding.seq for finding in shared.context.chain().findings] == [1]
    finally:
        aside.rename(first)
    # The set whose manifest was away has been attested anew, as another one.
    labels = [entry.manifest.physical.label for entry in sets(shared) if entry.manifest.physical]
    assert len(labels) == len(set(labels)) + 1
