"""A logical set is committed whole or not at all: killed, raced, starved and lied to, and always done again."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pasargad_ops.backup import claims, logical, logical_dump, set_writer, shards
from pasargad_ops.backup.context import Context
from pasargad_ops.backup.dump import Pipeline
from pasargad_ops.backup.errors import BackupError, Code
from pasargad_ops.backup.fingerprint import fingerprints
from pasargad_ops.backup.logical import LogicalRequest, backup_logical
from pasargad_ops.backup.objects import Stored
from pasargad_ops.backup.objects_s3 import S3Objects
from pasargad_ops.backup.pipes import Chain as Programs
from pasargad_ops.backup.proofs import load_proofs, note_proof
from pasargad_ops.backup.walk import inspect
from tests.backup import logical_rig, rig
from tests.backup.logical_rig import SECRET, Shop, bucket, fails, restored, sessions, until
from tests.outside.conftest import Service, free_port

ROWS = "INSERT INTO t SELECT g, md5(g::text) FROM generate_series(1, 500) g"
SMALL = f"CREATE TABLE t (id int PRIMARY KEY, word text); {ROWS}"


@pytest.fixture(scope="module")
def server() -> Iterator[rig.Server]:
    with rig.server() as found:
        found.execute(rig.odd_tables() + rig.HARD + logical_rig.ROLE + logical_rig.LARGE_OBJECTS)
        found.create("small")
        found.execute(SMALL, "small")
        yield found


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("s3")
    buckets = [{"name": "backups", "versioning": True}]
    own = {"host": "127.0.0.1", "port": free_port(), "key_id": "AKIABACKUP", "secret": SECRET, "buckets": buckets}
    service = Service("s3", folder, {"state_dir": str(folder), "s3": own})
    service.start()
    yield service
    service.kill()


@pytest.fixture(params=["directory", "s3"])
def made(request: pytest.FixtureRequest, server: rig.Server, s3: Service, tmp_path: Path) -> Shop:
    """The database with everything that is hard, in each storage."""
    storage = bucket(s3, tmp_path) if request.param == "s3" else None
    return logical_rig.shop(server, tmp_path, storage)


@pytest.fixture
def small(server: rig.Server, tmp_path: Path) -> Shop:
    """A small database in a directory."""
    return logical_rig.shop(server, tmp_path, database="small")


@pytest.fixture(autouse=True)
def nothing_left(server: rig.Server) -> Iterator[None]:
    """No test may leave a session or a thread."""
    yield
    until(lambda: sessions(server) == 0 and threading.active_count() == 1)


def test_a_set_is_complete_and_equal_after_restoring(made: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SMALL_BYTES", 1)
    monkeypatch.setattr(logical_dump, "MOST_AT_ONCE", 3)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    media = made.directory / "media"
    media.mkdir()
    (media / "فایل.jpg").write_bytes(b"x" * 5000)
    entry = made.back_up(media_paths=[str(media)], settings_paths=[made.values["signing_key_file"], "/not/there"])
    manifest = entry.manifest
    data = ["data-000", "data-001", "data-002"]
    assert [part.role for part in manifest.objects] == [*data, "globals", "media", "post", "pre", "settings"]
    assert (manifest.tier, manifest.slot, manifest.kind, manifest.exit) == ("monthly", "night", "logical", 0)
    assert (manifest.db.encoding, manifest.db.owner) == ("UTF8", "pasargad") and manifest.pg.wal_file
    assert manifest.extensions["file_fdw"] == "1.0"
    assert set(data) == {table.shard for table in manifest.tables}
    assert manifest.crypto.recipients == tuple(made.keys.recipients.read_text().split()[-1:])
    assert "AGE-SECRET" not in str(manifest) and manifest.tool.startswith("pg_dump (PostgreSQL)")
    assert manifest.attempt.endswith("claims/logical/night/attempt-1.json")
    assert manifest.times.start_ms <= manifest.times.snapshot_ms <= manifest.times.end_ms
    assert {"check", "snapshot", "fingerprints", "data", "schema", "files", "verify"} == set(manifest.durations_ms)
    assert inspect(made.context().objects, entry) == ()
    assert load_proofs(made.context().config.proofs_file)[manifest.run_id].flaw == ""
    for line in (
        'pasargad_backup_sets{job="logical",kind="logical"} 1',
        'pasargad_backup_chain_seq{job="logical"} 1',
        f'pasargad_backup_rows{{job="logical"}} {manifest.rows}',
        'pasargad_backup_object_bytes{job="logical",role="media"}',
        'pasargad_backup_phase_seconds{job="logical",phase="fingerprints"}',
        'pasargad_backup_clock_skew_seconds{job="logical"}',
    ):
        assert line in made.told()
    assert restored(made, entry, "again") == []


def test_the_slot_is_done_once_and_by_hand_twice(small: Shop) -> None:
    context = small.context()
    assert backup_logical(context, LogicalRequest()).changed
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    fails(small, Code.CLAIMED, f"logical of {today} is done", slot="")
    assert small.back_up("by-hand").manifest.tier == "daily"
    assert [entry.manifest.slot for entry in small.sets()] == [today, "by-hand"]
    fails(small, Code.CONFIG, "is no slot", slot="../up")


def test_a_dry_run_tells_and_leaves_nothing(small: Shop) -> None:
    before = sorted(path for path in (small.directory / "store").rglob("*"))
    told = backup_logical(small.context(), LogicalRequest("night"), dry_run=True)
    assert told.changed and told.summary.startswith("would back up small (")
    assert sorted(path for path in (small.directory / "store").rglob("*")) == before
    assert not (small.directory / "metrics").exists()
    small.back_up()
    told = backup_logical(small.context(), LogicalRequest("night"), dry_run=True)
    assert not told.changed and "would do nothing" in told.summary
    small.keys.recipients.write_text("")
    with pytest.raises(BackupError, match="names no recipient"):
        backup_logical(small.context(), LogicalRequest("other"), dry_run=True)


def test_writers_meanwhile_are_in_the_next_set(server: rig.Server, tmp_path: Path) -> None:
    server.create("busy")
    server.execute("CREATE TABLE a (id serial PRIMARY KEY); CREATE TABLE b (id int)", "busy")
    busy, stop = logical_rig.shop(server, tmp_path, database="busy"), threading.Event()
    written = 0

    def write() -> None:
        nonlocal written
        with contextlib.closing(server.connect("busy")) as connection, connection.cursor() as cursor:
            while not stop.is_set():
                cursor.execute(
                    "WITH new AS (INSERT INTO a DEFAULT VALUES RETURNING id) INSERT INTO b SELECT id FROM new"
                )
                connection.commit()
                written += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        until(lambda: written > 20)
        entry = busy.back_up()
        before = entry.manifest.rows
        until(lambda: 2 * written > before + 40)
    finally:
        stop.set()
        writer.join()
    counts = {table.name: table.fingerprint.count for table in entry.manifest.tables}
    assert counts['"public"."a"'] == counts['"public"."b"'] > 20
    assert 2 * written > entry.manifest.rows
    assert restored(busy, entry, "quiet") == []
    server.execute("DROP DATABASE busy", "postgres")


def test_what_cannot_be_encrypted_signed_or_dumped_is_refused_early(
    small: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the database was asked for a snapshot")

    recipients = small.keys.recipients.read_text()
    monkeypatch.setattr(logical, "dump_database", never)
    for content, words in (("", "names no recipient"), ("age1nonsense\n", "malformed recipient")):
        small.keys.recipients.write_text(content)
        fails(small, Code.KEY, words)
    small.keys.recipients.write_text(recipients)
    other = rig.keys(small.directory, "other")
    assert other.recipients.exists()
    fails(small, Code.KEY, "which is not pinned", trusted_keys=[another_pin(small)])
    cluster = small.values["cluster"]
    fails(small, Code.CONFIG, "pg_dump is not installed", cluster={**cluster, "bin_dir": "/nowhere"})
    fails(small, Code.VERSION_MISMATCH, "the server is PostgreSQL 99", cluster={**cluster, "version": 99})
    monkeypatch.undo()
    fails(small, Code.CONFIG, "the running cluster is", cluster={**cluster, "system_id": "7000000000000000001"})
    fails(small, Code.DATABASE_UNREACHABLE, "does not let us in", cluster={**cluster, "socket_dir": "/nowhere"})
    fails(small, Code.DATABASE_UNREACHABLE, "does not let us in", cluster={**cluster, "database": "missing"})
    # Each of them freed the slot.
    small.back_up()


def another_pin(made: Shop) -> str:
    from pasargad_ops.backup.signatures import make_key

    return make_key(made.directory / "another.pem")


def test_a_missing_program_is_refused(small: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    own = small.directory / "bin"
    own.mkdir()
    for name in ("zstd", "tar", "runuser"):
        (own / name).symlink_to(f"/usr/bin/{name}")

    def never(*_: object) -> None:
        raise AssertionError("the database was asked for a snapshot")

    monkeypatch.setattr(logical, "dump_database", never)
    monkeypatch.setenv("PATH", str(own))
    fails(small, Code.CONFIG, "age is not installed")


@pytest.mark.parametrize("victim", ["pg_dump", "zstd", "age"])
def test_a_program_that_dies_leaves_no_set(small: Shop, monkeypatch: pytest.MonkeyPatch, victim: str) -> None:
    start = Programs.start

    def start_and_kill(self: Programs, command: Any, **how: Any) -> None:
        start(self, command, **how)
        if Path(command[0]).name == victim and killing:
            os.kill(self._running[-1].process.pid, signal.SIGKILL)

    killing = False

    def then_kill(*args: Any, **how: Any) -> Any:
        nonlocal killing
        found, killing = fingerprints(*args, **how), True
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Programs, "start", start_and_kill)
        patch.setattr(logical_dump, "fingerprints", then_kill)
        fails(small, Code.DUMP_FAILED, f"{victim} was killed by SIGKILL")
    assert restored(small, small.back_up(), "again") == []


def failing_at(made: Shop, number: int) -> Context:
    """Return a context whose storage fails at one of its writes: where it begins, or where a stream ends."""
    context, seen = made.context(), 0

    def step(name: str) -> None:
        nonlocal seen
        if name.startswith(("before", "at the end")):
            seen += 1
            if seen == number + 1:
                raise BackupError(Code.STORAGE_TRANSIENT, f"no storage {name}", hint="try again")

    context.__dict__["objects"] = logical_rig.Watched(context.objects, step)
    return context


@pytest.mark.parametrize("number", range(10))
def test_a_failure_of_each_call_of_the_storage_is_told_and_the_next_run_converges(small: Shop, number: int) -> None:
    with pytest.raises(BackupError, match="no storage") as caught:
        backup_logical(failing_at(small, number), LogicalRequest("night"))
    assert caught.value.code == Code.STORAGE_TRANSIENT
    # Whether a manifest that failed is there, nobody knows: its objects stay.
    assert small.sets() == [] and bool(inspected(small)) == (number == 9) == ("attest" in caught.value.message)
    # The failure freed the slot at once.
    small.back_up()


def test_a_set_whose_end_could_not_be_told_is_made_once(small: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    assert backup_logical(failing_at(small, 10), LogicalRequest("night")).changed
    assert "no storage before night/attempt-1-ended.json" in capsys.readouterr().err
    small.age_claims()
    with pytest.raises(BackupError, match="is done, though") as caught:
        backup_logical(small.context(), LogicalRequest("night"))
    assert caught.value.code == Code.CLAIMED
    assert len(small.sets()) == 1 and inspected(small) == set()


def inspected(made: Shop) -> set[str]:
    """Return the objects that belong to no set; every listed set must be whole."""
    objects = made.context().objects
    for entry in made.sets():
        assert inspect(objects, entry) == ()
    kept = {part.key for entry in made.sets() for part in entry.manifest.objects}
    return {stored.key for stored in objects.list(made.context().place.root + "logical/")} - kept


def test_what_the_storage_keeps_differently_is_no_set(small: Shop) -> None:
    context = small.context()

    def tear(name: str) -> None:
        if name == "after post.age":
            (path,) = (small.directory / "store").rglob("pre.age")
            path.write_bytes(path.read_bytes()[:-1])

    context.__dict__["objects"] = logical_rig.Watched(context.objects, tear)
    with pytest.raises(BackupError, match=r"pre\.age has \d+ bytes, committed were") as caught:
        backup_logical(context, LogicalRequest("night"))
    assert caught.value.code == Code.INTEGRITY and small.sets() == [] and inspected(small) == set()


def test_a_lost_session_and_a_locked_table_leave_no_set(
    small: Shop, server: rig.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = small.context()

    def end_sessions(name: str) -> None:
        if name == "within data-000.age":
            server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'pasargad_backup'")

    context.__dict__["objects"] = logical_rig.Watched(context.objects, end_sessions)
    with pytest.raises(BackupError) as caught:
        backup_logical(context, LogicalRequest("night"))
    assert caught.value.code in (Code.DATABASE_UNREACHABLE, Code.DUMP_FAILED)
    assert small.sets() == [] and inspected(small) == set()
    from pasargad_ops.backup import snapshots

    monkeypatch.setattr(snapshots, "LOCK_WAIT_MILLISECONDS", 200)
    with contextlib.closing(server.connect("small")) as migration, migration.cursor() as cursor:
        cursor.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        fails(small, Code.DUMP_FAILED, "lock timeout")
        migration.rollback()
    small.back_up()


def test_of_two_at_once_one_commits(small: Shop) -> None:
    def other_host() -> Context:
        return small.context(run_dir=str(small.directory / secrets.token_hex(4)))

    contexts = [other_host(), other_host()]
    codes: list[int] = []

    def run(context: Context) -> None:
        try:
            backup_logical(context, LogicalRequest("night"))
            codes.append(0)
        except BackupError as error:
            codes.append(error.code)

    threads = [threading.Thread(target=run, args=(context,)) for context in contexts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [Code.DONE, Code.CLAIMED]
    assert len(small.sets("night")) == 1 and inspected(small) == set()


def test_one_that_was_late_finds_its_slot_taken(small: Shop) -> None:
    context = small.context()

    def overtake(name: str) -> None:
        if name == "after post.age":
            small.age_claims()
            other = small.context(run_dir=str(small.directory / "other"))
            assert backup_logical(other, LogicalRequest("night")).changed

    context.__dict__["objects"] = logical_rig.Watched(context.objects, overtake)
    with pytest.raises(BackupError, match="was late") as caught:
        backup_logical(context, LogicalRequest("night"))
    assert caught.value.code == Code.CLAIMED
    assert len(small.sets("night")) == 1 and inspected(small) == set()


def test_kill_9_at_any_step_lists_a_whole_set_or_none_and_the_next_run_converges(small: Shop) -> None:
    steps = re.findall(r"step \d+: (.*)", logical_rig.job(small, "whole").stderr)
    committed = next(
        number for number, name in enumerate(steps) if name.startswith("after 0000000001") or "after attest" in name
    )
    assert len(steps) == 22 and steps[-4].startswith("before attest/")
    for number, name in enumerate(steps):
        slot = f"killed-{number}"
        assert logical_rig.job(small, slot, kill_at=number).returncode == -signal.SIGKILL, name
        assert len(small.sets(slot)) == (number >= committed), name
        inspected(small)
        until(lambda: sessions(small.server) == 0)
        small.age_claims()
        again = logical_rig.job(small, slot).returncode
        assert again == (Code.CLAIMED if number >= committed else Code.DONE), (name, again)
        (entry,) = small.sets(slot)
        if number in (3, 4, committed):
            assert restored(small, entry, "again") == []
    # What the killed ones left is told apart from sets, for retention to take away.
    left = inspected(small)
    assert left and all(re.fullmatch(r"(data-000|globals|pre|post)\.age", key.rpartition("/")[2]) for key in left)


def test_sigterm_ends_programs_and_uploads_and_tells(small: Shop, tmp_path: Path) -> None:
    small.context()
    small.server.create("endless")
    # Without an end in sight: a view would not be dumped, so the rows are many.
    small.server.execute("CREATE TABLE t AS SELECT md5(g::text) FROM generate_series(1, 2000000) g", "endless")
    endless = dataclasses.replace(
        small, values={**small.values, "cluster": {**small.values["cluster"], "database": "endless"}}
    )
    endless.context()
    script = (
        "import sys, signal, os, time; from tests.backup import logical_rig as rig\n"
        "def step(name):\n"
        "    if name.startswith('within data'): os.kill(os.getppid(), signal.SIGUSR1); time.sleep(2)\n"
        "from pasargad_ops.backup.context import open_context; from pathlib import Path\n"
        "from pasargad_ops.backup.errors import BackupError\n"
        "from pasargad_ops.backup.logical import LogicalRequest, backup_logical\n"
        "context = open_context(Path(sys.argv[1])); context.__dict__['objects'] = rig.Watched(context.objects, step)\n"
        "try: backup_logical(context, LogicalRequest('night'))\n"
        "except BackupError as error: sys.exit(int(error.code))\n"
    )
    reached = threading.Event()
    before = signal.signal(signal.SIGUSR1, lambda *_: reached.set())
    try:
        running = subprocess.Popen(
            [sys.executable, "-c", script, str(endless.config_file)],
            env={**os.environ, "PYTHONPATH": "module_utils:."},
            stderr=subprocess.PIPE,
        )
        until(reached.is_set)
        assert sessions(small.server) >= 2
        running.terminate()
        until(lambda: sessions(small.server) == 0)
        _, words = running.communicate(timeout=60)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert running.returncode == Code.INTERRUPTED, words
    assert endless.sets() == [] and inspected(endless) == set()
    assert list(endless.context().objects.uploads("")) == []
    assert 'last_exit_code{job="logical"} 130' in endless.told()
    small.server.execute("DROP DATABASE endless", "postgres")


def test_a_stream_that_was_closed_under_its_reader_never_becomes_an_object(small: Shop) -> None:
    objects = small.context().objects
    writer = set_writer.SetWriter(objects, "set/", "daily")
    seen: list[bytes] = []
    pipeline = Pipeline(("sh", "-c", "exec cat /dev/urandom"), small.keys.recipients)

    class Slow:
        def __getattr__(self, name: str) -> Any:
            return getattr(objects, name)

        def write(self, key: str, chunks: Any, **how: Any) -> Stored:
            def slowly() -> Iterator[bytes]:
                for chunk in chunks:
                    seen.append(chunk)
                    if len(seen) == 2:
                        pipeline.close()
                    yield chunk

            return objects.write(key, slowly(), **how)

    writer.objects = Slow()  # type: ignore[assignment]
    with pytest.raises(BackupError, match="was not read to its end"):
        writer.write("data-000", pipeline)
    assert objects.head("set/data-000.age") is None and writer.parts == ()


def test_a_program_that_says_nothing_is_ended_with_the_others(small: Shop) -> None:
    writer = set_writer.SetWriter(small.context().objects, "set/", "daily")
    silent = Pipeline(("sleep", "1000"), small.keys.recipients)
    threading.Timer(0.3, writer.end).start()
    with pytest.raises(BackupError, match="was killed by SIGKILL"):
        writer.write("data-000", silent)
    assert writer.parts == () and inspected(small) == set()


def test_a_set_that_shrank_is_kept_and_never_good(small: Shop, server: rig.Server) -> None:
    for night in range(3):
        small.back_up(f"night-{night}")
    try:
        server.execute("DELETE FROM t WHERE id > 10", "small")
        with pytest.raises(BackupError, match="10 rows where 500 are usual") as caught:
            backup_logical(small.context(), LogicalRequest("bad"))
        assert caught.value.code == Code.INTEGRITY and "head of the chain: 4 " in caught.value.message
        (bad,) = small.sets("bad")
        proofs = small.context().config.proofs_file
        # Every check finds it whole, and it is as bad as before.
        note_proof(proofs, bad.manifest.run_id, at=time.time(), level=4, drilled=True)
        assert "10 rows" in load_proofs(proofs)[bad.manifest.run_id].flaw
        assert 'last_exit_code{job="logical"} 40' in small.told()
        # It is there, so a second run has nothing to do.
        with pytest.raises(BackupError, match="is done") as caught:
            backup_logical(small.context(), LogicalRequest("bad"))
        assert caught.value.code == Code.CLAIMED
    finally:
        server.execute(f"TRUNCATE t; {ROWS}", "small")


def test_a_set_without_rows_is_told_even_when_it_is_the_first(server: rig.Server, tmp_path: Path) -> None:
    server.create("void")
    void = logical_rig.shop(server, tmp_path, database="void")
    with pytest.raises(BackupError, match="it has no rows"):
        backup_logical(void.context(), LogicalRequest("first"))
    (entry,) = void.sets()
    # The sets that were flawed stand for no week.
    server.execute(SMALL, "void")
    assert void.back_up("second").manifest.tier == entry.manifest.tier == "monthly"
    server.execute("DROP DATABASE void", "postgres")


def test_a_damaged_chain_costs_no_backup(small: Shop) -> None:
    small.back_up("first")
    second = small.back_up("second")
    (small.directory / "store" / second.key).unlink()
    outcome = backup_logical(small.context(), LogicalRequest("third"))
    assert outcome.changed and outcome.details["seq"] == 3
    assert small.context().chain().findings


def test_object_lock_is_asked_for_as_the_tier_wants(server: rig.Server, s3: Service, tmp_path: Path) -> None:
    held = logical_rig.shop(server, tmp_path, bucket(s3, tmp_path, "locked"), database="small")
    plain = S3Objects(held.context(storage=bucket(s3, tmp_path)).config.storage)
    plain._client.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
    monthly = held.back_up("first", retain={"monthly": 400})
    daily = held.back_up("second", retain={"monthly": 400})
    objects = held.context().objects
    for part in (*(part.key for part in monthly.manifest.objects), monthly.key):
        stored = objects.head(part)
        assert stored and stored.retain_until and stored.retain_until > datetime.now(UTC) + timedelta(days=399)
    assert all(not (objects.head(part.key) or monthly.stored).retain_until for part in daily.manifest.objects)
    assert restored(held, monthly, "again") == []


def test_memory_stays_bounded_with_shards_side_by_side_into_s3(server: rig.Server, s3: Service, tmp_path: Path) -> None:
    server.create("large")
    # Rows further apart than zstd looks back, so that they stay large on the way.
    server.execute(
        "CREATE TEMP TABLE one AS SELECT string_agg(md5(random()::text), '') AS a FROM generate_series(1, 320000);"
        "CREATE TABLE t1 (a text); ALTER TABLE t1 ALTER a SET STORAGE EXTERNAL;"
        "CREATE TABLE t2 (LIKE t1 INCLUDING STORAGE);"
        "INSERT INTO t1 SELECT a FROM one, generate_series(1, 17); INSERT INTO t2 SELECT a FROM t1",
        "large",
    )
    large = logical_rig.shop(server, tmp_path, bucket(s3, tmp_path), database="large")
    large.context()
    script = (
        "import re, sys; from pathlib import Path\n"
        "from pasargad_ops.backup.context import open_context\n"
        "from pasargad_ops.backup.logical import LogicalRequest, backup_logical\n"
        "backup_logical(open_context(Path(sys.argv[1])), LogicalRequest('night'))\n"
        "print(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(large.config_file)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": "module_utils"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (entry,) = large.sets()
    peak = int(done.stdout.split()[-1]) << 10
    print(f"{peak >> 20} MiB for {entry.manifest.db.bytes} bytes in {len(entry.manifest.objects) - 3} shards")
    assert entry.manifest.db.bytes > 300_000_000
    assert min(part.bytes for part in entry.manifest.objects if part.role[:5] == "data-") > 40_000_000
    assert len([part for part in entry.manifest.objects if part.role[:5] == "data-"]) >= 2
    assert peak <= 128 << 20
    assert restored(large, entry, "again") == []
    server.execute("DROP DATABASE large", "postgres")


def test_claims_end_as_the_job_did(small: Shop) -> None:
    context = small.context()
    small.back_up()
    assert claims.look(context.objects, context.place, "logical", "night").ended == {1: 0}
