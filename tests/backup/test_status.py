"""The minute's beat, the screen and retention with a real cluster and a real repository, whole and broken by turns."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pasargad_ops.backup import heartbeat, status
from pasargad_ops.backup.errors import BackupError, Code
from pasargad_ops.backup.physical import PhysicalRequest, backup_physical
from pasargad_ops.backup.proofs import note_proof
from pasargad_ops.backup.retain import RetainRequest, retain
from tests.backup.jobs_rig import Host, host, logical_set
from tests.backup.pgbackrest_rig import PASSPHRASE
from tests.backup.rig import keys


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host with a set of each kind, and a beat after them that was archived."""
    identity = keys(tmp_path_factory.mktemp("keys"))
    with host() as started:
        for number in range(2):
            backup_physical(started.context, PhysicalRequest(slot=f"p{number}"))
        logical_set(started, "l", identity)
        heartbeat.beat_once(started.context)
        started.rig.switch()
        yield started


@pytest.fixture(autouse=True)
def an_old_example_is_not_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """The logical set of the rig tells the times of an example."""
    monkeypatch.setattr(status, "LATE_SECONDS", 10.0 * 366 * 86400)


def lines(found: Host) -> tuple[int, dict[str, str]]:
    outcome = status.status(found.context)
    return outcome.details["code"], {line[:15].strip(): line[15:].strip() for line in outcome.details["lines"]}


def test_a_beat_is_a_row_and_its_metrics(made: Host) -> None:
    first = heartbeat.beat_once(made.context)
    second = heartbeat.beat_once(made.context)
    assert second.details["seq"] == first.details["seq"] + 1
    assert (first.details["code"], first.changed) == (0, True)
    text = (made.context.config.metrics_dir / heartbeat.FILE).read_text()
    found = {family.name: family.samples[0].value for family in text_string_to_metric_families(text)}
    assert abs(found["pasargad_backup_heartbeat_timestamp_seconds"] - time.time()) < 5
    assert time.time() - found["pasargad_backup_wal_last_archived_timestamp_seconds"] < 300
    assert (found["pasargad_backup_wal_failing"], found["pasargad_backup_wal_failed_total"]) == (0, 0)


def test_a_failing_archiver_is_told_by_a_beat_and_by_the_screen(made: Host) -> None:
    with made.archive_command("false"):
        made.rig.sql("SELECT pg_create_restore_point('x'), pg_switch_wal()")
        deadline = time.monotonic() + 30
        while heartbeat.beat_once(made.context).details["code"] != Code.ARCHIVER:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        text = (made.context.config.metrics_dir / heartbeat.FILE).read_text()
        found = {family.name: family.samples[0].value for family in text_string_to_metric_families(text)}
        assert found["pasargad_backup_wal_failed_total"] >= 1
        assert found["pasargad_backup_wal_oldest_ready_seconds"] > 0
        code, shown = lines(made)
        assert (code, "pg_stat_archiver" in shown["next"]) == (Code.ARCHIVER, True)
    assert heartbeat.beat_once(made.context).details["code"] == 0


def test_a_missing_table_is_named(made: Host) -> None:
    made.rig.sql("ALTER TABLE pasargad_ops.heartbeat RENAME TO other")
    try:
        with pytest.raises(BackupError, match=r"no table pasargad_ops.heartbeat") as caught:
            heartbeat.beat_once(made.context)
        assert caught.value.code is Code.CONFIG
        code, shown = lines(made)
        assert (code, "NO heartbeat" in shown["loss now"]) == (Code.RPO_OVER, True)
    finally:
        made.rig.sql("ALTER TABLE pasargad_ops.other RENAME TO heartbeat")


def test_a_whole_host_is_shown_whole(made: Host) -> None:
    code, shown = lines(made)
    assert code == 0, shown
    assert shown["physical set"].startswith("set 2, ") and "2 sets" in shown["physical set"]
    assert shown["chain"].endswith("sound") and " to " in shown["restorable"]
    assert status.sets(made.context).summary == "3 sets"


def test_without_a_database_the_sets_are_still_shown(made: Host) -> None:
    other = made.copy()
    other.more = {"cluster": {**other.settings["cluster"], "socket_dir": "/nowhere"}}
    code, shown = lines(other)
    assert code == Code.DATABASE_UNREACHABLE
    assert shown["now"].startswith("UNKNOWN: ") and shown["chain"].endswith("sound") and " to " in shown["restorable"]
    with pytest.raises(BackupError) as caught:
        heartbeat.beat_once(other.context)
    assert caught.value.code is Code.DATABASE_UNREACHABLE


def test_without_a_storage_the_database_is_still_shown(made: Host) -> None:
    other = made.copy()
    shutil.rmtree(other.storage)
    code, shown = lines(other)
    assert code == Code.CONFIG
    assert shown["sets"].startswith("UNKNOWN: ") and shown["loss now"].startswith("WAL arrived ")
    assert shown["restorable"] == "NO point in time"


def proven(found: Host) -> None:
    for entry in found.context.chain().entries:
        path = found.context.config.proofs_file
        note_proof(path, entry.manifest.run_id, at=time.time(), level=2, drilled=True)


def labels(found: Host) -> list[str]:
    return [backup.label for backup in found.context.repository.info().backups]


def test_retention_takes_nothing_that_is_young(made: Host) -> None:
    other = made.copy()
    proven(other)
    before = labels(other)
    outcome = retain(other.context, RetainRequest())
    assert (outcome.changed, labels(other)) == (False, before)
    assert len(other.context.chain().offered) == 3


def test_a_backup_that_was_expired_by_hand_is_given_up_only_by_hand(made: Host) -> None:
    other = made.copy()
    proven(other)
    last = labels(other)[-1]
    other.context.repository._program.must("expire", f"--set={last}")
    assert last not in labels(other)
    with pytest.raises(BackupError, match=f"no longer lists {last}") as caught:
        retain(other.context, RetainRequest())
    assert caught.value.code is Code.RETENTION_REFUSED
    assert len(other.context.chain().offered) == 3
    outcome = retain(other.context, RetainRequest(force=True))
    assert len(outcome.details["marked"]) == 1
    assert [entry.seq for entry in other.context.chain().offered] == [1, 3]
    assert len(retain(other.context, RetainRequest()).details["deleted"]) == 1
    chain = other.context.chain()
    assert ([entry.seq for entry in chain.entries], chain.findings) == ([1, 3], ())


def test_a_repository_with_a_wrong_key_deletes_nothing(made: Host) -> None:
    other = made.copy()
    proven(other)
    other.altered(PASSPHRASE, "another passphrase")
    before = sorted(path.name for path in Path(other.storage).rglob("*"))
    with pytest.raises(BackupError) as caught:
        retain(other.context, RetainRequest())
    assert caught.value.code is Code.KEY
    assert sorted(path.name for path in Path(other.storage).rglob("*")) == before
