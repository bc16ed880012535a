"""Physical drills against a real cluster and repository: where they end, what they notice, what a kill leaves."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg2.extensions import connection as Connection

from pasargad_ops.backup import canary, drill_physical, drill_target
from pasargad_ops.backup.archiver import wal_arrives
from pasargad_ops.backup.drill import DrillRequest, drill
from pasargad_ops.backup.drill_checks import Looked, look_into
from pasargad_ops.backup.errors import BackupError, Code
from pasargad_ops.backup.facts import beat
from pasargad_ops.backup.physical import PhysicalRequest, backup_physical
from pasargad_ops.backup.proofs import load_proofs
from pasargad_ops.backup.scratch import Scratch, ScratchPlace
from pasargad_ops.backup.signatures import unseal
from pasargad_ops.lock import held
from pasargad_ops.outcome import Outcome
from tests.backup.jobs_rig import Host, host
from tests.backup.pgbackrest_rig import PASSPHRASE, next_second, own, run, until
from tests.services import postgres_programs

SEEDS = range(12)
SHOP = """
CREATE TABLESPACE aside LOCATION '{side}';
CREATE TABLE marks (id bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp()) TABLESPACE aside;
CREATE TABLE lines (id bigserial PRIMARY KEY, purchase int NOT NULL REFERENCES orders, note text);
INSERT INTO lines (purchase, note) SELECT 1 + g % 500, md5(g::text) FROM generate_series(1, 2000) g;
"""
# A row is committed some microseconds after it has told its time.
COMMIT = timedelta(milliseconds=50)
DIES = """
import os, signal
from pasargad_ops.backup import drill, drill_physical
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
{when}
drill.drill(context, drill.DrillRequest(seed=2))
"""


def sell(made: Host, seconds: float) -> None:
    """Let the shop live for a while: a mark every few milliseconds, now and then a new segment and a heartbeat."""
    end, number = time.monotonic() + seconds, 0
    with made.context.database() as connection:
        while time.monotonic() < end:
            made.rig.sql("INSERT INTO marks DEFAULT VALUES")
            number += 1
            if number % 12 == 0:
                beat(connection)
                wal_arrives(connection, seconds=20)


@pytest.fixture(scope="module")
def shared() -> Iterator[Host]:
    """A shop with three sets and sales between and after them; its tests spoil nothing."""
    with host() as made:
        for statement in SHOP.format(side=made.rig.root / "side").strip().splitlines():
            made.rig.sql(statement)
        for kind in ("full", "diff", "full"):
            backup_physical(made.context, PhysicalRequest(kind=kind, slot=f"{time.monotonic_ns()}"))  # type: ignore[arg-type]
            next_second()
            sell(made, 3)
        yield made


@pytest.fixture
def shop(shared: Host) -> Iterator[Host]:
    """The same cluster with a storage and a memory of its own, to be damaged."""
    made = shared.copy()
    yield made
    for path in (made.storage, made.home):
        shutil.rmtree(path, ignore_errors=True)


def value(made: Host, kind: str, name: str, **labels: str) -> float:
    """Return what Prometheus would read of a drill."""
    inside = ",".join(f'{key}="{word}"' for key, word in {"type": kind, **labels}.items() if word)
    text = (made.home / f"metrics/backup_drill-{kind}.prom").read_text()
    found = re.search(
        rf"^pasargad_restore_drill_{name}{re.escape('{' + inside + '}' if inside else '')} (\S+)$", text, re.M
    )
    assert found, text
    return float(found[1])


def reports(made: Host) -> list[dict[str, Any]]:
    """Return the signed reports in the storage, oldest first."""
    context = made.context
    keys = [stored.key for stored in context.objects.list(f"{context.place.root}drills/")]
    return sorted(
        (unseal("drill", context.objects.get(key), context.trusted, key) for key in keys),
        key=lambda body: body["at_ms"],
    )


def nothing_is_left(made: Host) -> None:
    """See that no drill left files or programs behind, and that the living cluster is well."""
    scratch = made.home / "scratch"
    assert not scratch.exists() or [*scratch.iterdir()] == []
    assert subprocess.run(["pgrep", "-f", str(scratch)], capture_output=True, check=False).stdout == b""
    assert made.rig.sql("SELECT 1") == "1"


def fails(made: Host, code: Code, words: str, request: DrillRequest | None = None) -> BackupError:
    """Run a drill that must fail loudly: code, metric, signed report, notice, and nothing left."""
    before = len(reports(made))
    with pytest.raises(BackupError, match=words) as caught:
        drill(made.context, request or DrillRequest())
    kind = request.kind if request else "physical"
    assert caught.value.code == code and caught.value.hint
    assert value(made, kind, "success") == 0 and time.time() - value(made, kind, "timestamp_seconds") < 60
    (*_, last) = reports(made)
    assert len(reports(made)) == before + 1 and last["code"] == code and last["kind"] == kind
    assert any(notice["urgent"] and notice["code"] == code for notice in made.notices())
    nothing_is_left(made)
    return caught.value


@contextlib.contextmanager
def looking(act: Callable[[Connection], None], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a test look into what was restored, before the drill does."""

    def look(connection: Connection, *, behind: Any = None) -> Looked:
        act(connection)
        connection.rollback()
        return look_into(connection, behind=behind)

    with monkeypatch.context() as patch:
        patch.setattr(drill_physical, "look_into", look)
        yield


def restored_marks(made: Host, request: DrillRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[int, Outcome]:
    """Drill, and return the number of the last mark that was there."""
    found: list[int] = []

    def act(connection: Connection) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*), coalesce(max(id), 0), pg_is_in_recovery() FROM marks")
            count, last, recovers = cursor.fetchone() or (0, 0, True)
            assert count == last and not recovers
            found.append(last)

    with looking(act, monkeypatch):
        outcome = drill(made.context, request)
    return found[0], outcome


def last_mark(made: Host, at: str) -> int:
    return int(made.rig.sql(f"SELECT coalesce(max(id), 0) FROM marks WHERE at <= '{at}'"))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_second_is_restored_exactly(shared: Host, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every row that was committed until then is there, and none after it."""
    monkeypatch.setattr(drill_target, "LATEST_SHARE", 0)
    found, outcome = restored_marks(shared, DrillRequest(seed=seed), monkeypatch)
    target = datetime.fromisoformat(outcome.details["target"])
    assert last_mark(shared, f"{target - COMMIT}") <= found <= last_mark(shared, f"{target}")
    assert outcome.details["seed"] == seed and 0 <= outcome.details["rpo_ms"] <= 120_000
    assert all(
        value(shared, "physical", "phase_seconds", phase=name) > 0 for name in ("fetch", "recovery", "open", "checks")
    )
    rto = sum(value(shared, "physical", "phase_seconds", phase=name) for name in ("fetch", "recovery", "open"))
    assert value(shared, "physical", "rto_seconds") == pytest.approx(rto)
    assert value(shared, "physical", "success") == 1 and value(shared, "physical", "rows_checked") > 2500
    label = outcome.details["label"]
    (entry,) = [
        one for one in shared.context.chain().entries if one.manifest.physical and one.manifest.physical.label == label
    ]
    proof = load_proofs(shared.context.config.proofs_file)[entry.manifest.run_id]
    assert (proof.level, proof.flaw) == (3, "") and time.time() - proof.drilled_at < 60
    assert reports(shared)[-1]["run_id"] == entry.manifest.run_id
    nothing_is_left(shared)


def test_the_drills_went_to_other_seconds_and_archived_nothing(shared: Host) -> None:
    """A clone that archived would have begun another timeline in the repository."""
    targets = {body["target"] for body in reports(shared) if body["code"] == 0}
    assert len(targets) >= 10
    names = shared.repository.repository.archive_names()
    assert {name.rpartition("/")[2][:8] for name in names} == {"00000001", "archive."}
    assert not any("history" in name for name in names)


def test_everything_there_is_can_be_drilled_while_more_arrives(shared: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Heartbeats of the time in which the files were copied are no fault: they had arrived when it recovered."""
    fetch = drill_physical.fetch

    def slowly(context: Any, place: ScratchPlace, target: Any) -> None:
        fetch(context, place, target)
        # Debian keeps them elsewhere.
        for name in ("postgresql.conf", "pg_hba.conf", "pg_ident.conf"):
            (place.data_dir / name).unlink()
        with shared.context.database() as connection:
            beat(connection)
            assert wal_arrives(connection, seconds=20)

    monkeypatch.setattr(drill_target, "LATEST_SHARE", 1)
    monkeypatch.setattr(drill_physical, "fetch", slowly)
    before = int(shared.rig.sql("SELECT max(id) FROM marks"))
    found, outcome = restored_marks(shared, DrillRequest(), monkeypatch)
    assert found == before and outcome.details["target"] == "the newest point"
    assert value(shared, "physical", "rpo_seconds") < 10


def test_the_first_and_the_last_second_can_be_restored(shared: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    first = datetime.fromtimestamp(shared.repository.repository.windows().windows[0].since, UTC)
    found, _ = restored_marks(shared, DrillRequest(at=first), monkeypatch)
    assert last_mark(shared, f"{first - COMMIT}") <= found <= last_mark(shared, f"{first}")
    # Nothing was written after it: the drill itself gives the recovery where to stop.
    shared.rig.sql("INSERT INTO marks DEFAULT VALUES")
    at = shared.rig.clock()
    next_second()
    found, _ = restored_marks(shared, DrillRequest(at=at), monkeypatch)
    assert found == int(shared.rig.sql("SELECT max(id) FROM marks"))


def test_settings_that_come_with_the_data_hold_no_check_back(shared: Host) -> None:
    shared.rig.sql("ALTER ROLE postgres SET statement_timeout = 1")
    try:
        assert drill(shared.context, DrillRequest(seed=2)).details["problems"] == []
    finally:
        sockets = str(shared.rig.root / "sockets")
        reset = ["psql", "-h", sockets, "-d", "postgres", "-c", "ALTER ROLE postgres RESET statement_timeout"]
        run("env", "PGOPTIONS=-c statement_timeout=0", *reset, check=True)


def test_the_shop_goes_first() -> None:
    asked = "import os; from pasargad_ops.backup.drill import be_nice; be_nice(); be_nice()"
    asked += "; os.execvp('sh', ['sh', '-c', 'nice; ionice'])"
    environment = {**os.environ, "PYTHONPATH": "module_utils"}
    done = subprocess.run([sys.executable, "-c", asked], env=environment, capture_output=True, text=True, check=True)
    nice, ionice = done.stdout.split("\n", 1)
    assert int(nice) >= 10 and ionice.strip() == "best-effort: prio 7"


def test_a_second_out_of_the_windows_is_refused(shop: Host) -> None:
    first = datetime.fromtimestamp(shop.repository.repository.windows().windows[0].since, UTC)
    for at, words in ((first - timedelta(seconds=1), "before the first"), (datetime.now(UTC) + timedelta(1), "future")):
        fails(shop, Code.TARGET_TIME, words, DrillRequest(at=at))
        with pytest.raises(BackupError, match=words):
            drill(shop.context, DrillRequest(at=at), dry_run=True)


def test_a_dry_run_says_what_would_be_done_and_touches_nothing(shop: Host) -> None:
    context = shop.context
    files = {*shop.storage.rglob("*"), *shop.home.rglob("*")}
    before = shop.rig.sql("SELECT count(*), pg_current_wal_lsn() FROM pasargad_ops.heartbeat")
    for request in (DrillRequest(), DrillRequest(at=shop.rig.clock() - timedelta(seconds=3)), DrillRequest("canary")):
        outcome = drill(context, request, dry_run=True)
        assert outcome.summary.startswith("would restore") and not outcome.changed
    assert {*shop.storage.rglob("*"), *shop.home.rglob("*")} == files
    assert shop.rig.sql("SELECT count(*), pg_current_wal_lsn() FROM pasargad_ops.heartbeat") == before


def in_reach(made: Host) -> datetime:
    """Return a moment at the end of what a copy of the storage holds, with one commit after it."""
    until_ = made.repository.repository.windows().windows[-1].until
    return datetime.fromtimestamp(until_ - 1, UTC)


@pytest.fixture
def unmarked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of the storage gets no new WAL, so that nothing can arrive there."""
    monkeypatch.setattr(drill_target, "leave_mark", lambda _: float("inf"))


@pytest.mark.parametrize("how", ["deleted", "damaged"])
def test_wal_that_a_target_needs_and_is_not_there_is_loud(
    shared: Host, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody may take the point at which such a recovery ends for the one that was asked for."""
    at = shared.rig.clock()
    next_second()
    fetch, lost = drill_physical.fetch, []

    def then(*arguments: Any) -> None:
        fetch(*arguments)
        # In it is what the drill itself has written after the target.
        newest = [*sorted(shared.repository.archive.glob("*/*/*-*"))][-1]
        lost.append((newest, newest.read_bytes()))
        if how == "deleted":
            newest.unlink()
        else:
            newest.write_bytes(newest.read_bytes()[:-400])

    monkeypatch.setattr(drill_physical, "fetch", then)
    words = "recovery ended before configured recovery target"
    try:
        error = fails(shared, Code.RESTORE_FAILED, words, DrillRequest(at=at))
    finally:
        for path, content in lost:
            path.write_bytes(content)
            own(path, 0o640)
    assert "scratch" not in error.hint, "what is named there is gone"


@pytest.mark.usefixtures("unmarked")
def test_everything_there_is_must_not_end_at_a_gap(shop: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drill_target, "LATEST_SHARE", 1)
    newest = shop.repository.repository.info().current[-1]
    after = [path for path in sorted(shop.repository.archive.glob("*/*/*-*")) if path.name[:24] > newest.stop_wal]
    after[1].unlink()
    fails(shop, Code.WAL_GAP, "is missing")


@pytest.mark.usefixtures("unmarked")
def test_a_damaged_set_is_found_and_loses_its_proof(shop: Host) -> None:
    newest = shop.repository.repository.info().current[-1]
    for bundle in (shop.repository.backups / newest.label).rglob("bundle/*"):
        content = bytearray(bundle.read_bytes())
        content[len(content) // 2] ^= 0xFF
        bundle.write_bytes(content)
    fails(shop, Code.INTEGRITY, "checksum", DrillRequest(at=in_reach(shop)))
    proofs = load_proofs(shop.context.config.proofs_file)
    entry = shop.context.chain().entries[-1]
    assert proofs[entry.manifest.run_id].flaw.startswith("a drill found") and proofs[entry.manifest.run_id].level == 0


def test_a_wrong_key_is_told_before_anything_is_copied(shop: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.altered(PASSPHRASE, "another-horse")
    monkeypatch.setattr(drill_physical, "scratch_root", lambda _: pytest.fail("it began"))
    fails(shop, Code.KEY, "pgbackrest")


@pytest.mark.parametrize(("bound", "code"), [("rto_seconds", Code.RTO_OVER), ("rpo_seconds", Code.RPO_OVER)])
def test_what_takes_too_long_is_told_with_all_that_was_measured(
    shop: Host, bound: str, code: Code, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = drill_physical.fetch

    def slowly(*arguments: Any) -> None:
        fetch(*arguments)
        time.sleep(1)

    monkeypatch.setattr(drill_physical, "fetch", slowly)
    monkeypatch.setattr(drill_target, "LATEST_SHARE", 1)
    shop.more = {"bounds": {bound: 1}}
    error = fails(shop, code, "s lost")
    assert value(shop, "physical", "rto_seconds") > 0 and value(shop, "physical", "rpo_seconds") > 0
    assert error.details["rto_ms"] > 0 and error.details["problems"] == []
    # It was restored all the same.
    proof = load_proofs(shop.context.config.proofs_file)[error.details["run_id"]]
    assert (proof.level, proof.flaw) == (3, "") and time.time() - proof.drilled_at < 60


def test_a_disk_that_is_too_small_is_told_before_anything_is_copied(shop: Host) -> None:
    with small_disk(shop, "24m"):
        fails(shop, Code.NO_SPACE, "are free")


@contextlib.contextmanager
def small_disk(made: Host, size: str) -> Iterator[None]:
    """Let drills restore to a small file system of their own."""
    scratch = made.home / "scratch"
    scratch.mkdir(exist_ok=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(scratch)], check=False)
    if mounted.returncode:
        pytest.skip("mounting needs root")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(scratch)], check=True)


def test_a_disk_that_fills_up_meanwhile_is_told_and_emptied(shop: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drill_physical, "ROOM", 0)
    monkeypatch.setattr("pasargad_ops.backup.pgbackrest.free_bytes", lambda _: 1 << 40)
    with small_disk(shop, "24m"), pytest.raises(BackupError) as caught:
        drill(shop.context, DrillRequest(seed=2))
    assert caught.value.code in (Code.NO_SPACE, Code.RESTORE_FAILED)
    assert value(shop, "physical", "success") == 0


def test_the_leftover_of_a_killed_drill_takes_no_room_from_the_next(
    shared: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    leftover = shared.home / "scratch/drill-physical"
    (leftover / "data").mkdir(parents=True)
    monkeypatch.setattr(drill_physical, "free_bytes", lambda root: 0 if root.exists() else 1 << 40)
    assert drill(shared.context, DrillRequest(seed=2)).details["problems"] == []


@pytest.mark.parametrize(
    "when",
    [
        "",
        "drill_physical.first_query = die",
        "drill_physical.amcheck = die",
        "drill_physical.checksums = die",
        "drill_physical.scratch_root.__wrapped__; drill_physical.fetch = die",
    ],
)
def test_after_a_kill_at_any_point_the_next_drill_is_clean(shared: Host, when: str) -> None:
    process = shared.start(DIES.format(when=when))
    scratch = shared.home / "scratch/drill-physical"
    if not when:
        # In the middle of the copy: what copies lives on.
        until(lambda: any((scratch / "data").glob("base/*/*")) or process.poll() is not None, 60)
        os.kill(process.pid, signal.SIGKILL)
    said, _ = process.communicate(timeout=120) if when else ("", "")
    assert process.wait(60) == -signal.SIGKILL, said
    assert scratch.exists()
    assert drill(shared.context, DrillRequest(seed=2)).details["problems"] == []
    nothing_is_left(shared)
    if process.stdout:
        process.stdout.close()


def test_a_drill_that_is_ended_clears_away(shared: Host) -> None:
    process = shared.start(DIES.format(when="drill_physical.first_query = lambda *_: __import__('time').sleep(60)"))
    until(lambda: (shared.home / "scratch/drill-physical/sockets/.s.PGSQL.5497").exists(), 60)
    time.sleep(0.5)
    process.terminate()
    said, _ = process.communicate(timeout=60)
    assert "it was ended by a signal" in said, said
    assert value(shared, "physical", "success") == 0
    nothing_is_left(shared)


def test_two_drills_do_not_share_a_place(shared: Host) -> None:
    with held(shared.context.config.run_dir / "drill-physical.lock"), pytest.raises(BackupError) as caught:
        drill(shared.context, DrillRequest())
    assert caught.value.code == Code.CLAIMED


def test_a_place_with_other_things_is_left_alone(shop: Host) -> None:
    kept = shop.home / "scratch/drill-physical/orders.txt"
    kept.parent.mkdir(parents=True)
    kept.touch()
    with pytest.raises(BackupError, match="holds other things") as caught:
        drill(shop.context, DrillRequest(seed=2))
    assert caught.value.code == Code.TARGET_REFUSED and kept.exists()


def test_a_report_that_cannot_be_written_hides_nothing(shop: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> None:
        raise BackupError(Code.STORAGE_TRANSIENT, "the storage is away")

    monkeypatch.setattr("pasargad_ops.backup.drill_report.report", away)
    with pytest.raises(BackupError) as caught:
        drill(shop.context, DrillRequest(seed=2))
    assert caught.value.code == Code.STORAGE_TRANSIENT, "a drill without its report is not done"
    monkeypatch.setattr(drill_physical, "checksums", lambda _: ["pg_checksums: a page is wrong"])
    with pytest.raises(BackupError) as caught:
        drill(shop.context, DrillRequest(seed=2))
    assert caught.value.code == Code.DRILL_FAILED and "a page is wrong" in caught.value.message


def test_recovery_is_given_whatever_the_cluster_had_allowed_itself() -> None:
    """Prepared transactions are only taken up again where there is room for them."""
    with host() as made:
        for name, number in (("max_prepared_transactions", 3), ("max_connections", 130)):
            made.rig.sql(f"ALTER SYSTEM SET {name} = {number}")
        control = [str(postgres_programs() / "pg_ctl"), f"--pgdata={made.rig.data}", "--silent", "--wait"]
        run(*control, f"--log={made.rig.root / 'log/postgres.log'}", "restart", check=True)
        backup_physical(made.context, PhysicalRequest())
        next_second()
        made.rig.sql("BEGIN; INSERT INTO orders VALUES (9001, 'prepared'); PREPARE TRANSACTION 'waiting'")
        at = made.rig.clock()
        next_second()
        found: list[tuple[Any, ...]] = []

        def look(cluster: Scratch, database: str) -> Any:
            connection = cluster.connect(database)
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT current_setting('max_connections'), current_setting('archive_mode'),"
                    " (SELECT count(*) FROM pg_prepared_xacts)"
                )
                found.extend(cursor.fetchall())
            connection.close()
            return first_query(cluster, database)

        first_query = drill_physical.first_query
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(drill_physical, "first_query", look)
            drill(made.context, DrillRequest(at=at))
        assert found == [("130", "off", 1)]
        made.rig.sql("ROLLBACK PREPARED 'waiting'")


def test_a_canary_is_noticed_in_every_way(shared: Host) -> None:
    outcome = drill(shared.context, DrillRequest("canary"))
    assert len([line for line in outcome.details["lines"] if line.startswith("noticed")]) == 10
    assert "every damage was noticed" in outcome.summary
    assert value(shared, "canary", "canary_detected", type="") == 1 and value(shared, "canary", "success") == 1
    nothing_is_left(shared)


def silent(*_: Any, **__: Any) -> list[str]:
    return []


def test_a_drill_whose_checks_are_off_is_found_blind_to_each_damage(
    shared: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    for check in ("checksums", "amcheck", "orphans", "compare_with", "emptied", "recovers_without"):
        monkeypatch.setattr(canary, check, silent)
    monkeypatch.setattr(canary, "sequences_behind", lambda _: {})
    monkeypatch.setattr(canary, "judge_end", lambda *_, **__: (0.0, []))
    error = fails(shared, Code.DRILL_FAILED, "the drill is blind to", DrillRequest("canary"))
    assert len(error.details["problems"]) == 10, error.details
    assert all(problem.startswith("the drill is blind to ") for problem in error.details["problems"])
    assert value(shared, "canary", "canary_detected", type="") == 0


def test_one_check_that_is_off_is_named(shared: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canary, "amcheck", silent)
    error = fails(
        shared, Code.DRILL_FAILED, "the drill is blind to a flipped byte, by pg_amcheck", DrillRequest("canary")
    )
    assert len(error.details["problems"]) == 1


def test_a_check_that_always_shouts_notices_nothing(shared: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canary, "checksums", lambda _: ["pg_checksums: a page is wrong"])
    error = fails(shared, Code.DRILL_FAILED, "blind to a flipped byte, by pg_checksums", DrillRequest("canary"))
    assert any("before any damage" in problem for problem in error.details["problems"])
