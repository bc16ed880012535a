"""Restores of a real cluster: to where they were meant, refused before anything is touched, killed at every step."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pasargad_ops import units
from pasargad_ops.backup import archiver, restore_plan
from pasargad_ops.backup import restore as job
from pasargad_ops.backup.errors import BackupError, Code
from pasargad_ops.backup.restore import RestoreRequest, restore, settle_swap
from pasargad_ops.backup.restore_swap import Service
from pasargad_ops.lock import held
from pasargad_ops.outcome import Outcome
from tests.backup.pgbackrest_rig import own, until
from tests.backup.restore_rig import Shop, make_cluster, rig

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def made() -> Iterator[Shop]:
    """One shop for all: each test leaves a cluster that serves."""
    with rig() as started:
        yield started


@pytest.fixture
def shop(made: Shop) -> Iterator[Shop]:
    """The shop, its settings as they were; what a test has left beside the cluster goes."""
    kept = made.config_file.read_text()
    yield made
    made.config_file.write_text(kept)
    made.start()
    for name in made.beside():
        shutil.rmtree(made.data.with_name(name))


def word(shop: Shop) -> str:
    return f"RESTORE-{shop.context.config.cluster.system_id[-4:]}"


def do(shop: Shop, *, service: Service | None = None, **wanted: object) -> Outcome:
    """Restore, confirmed."""
    request = RestoreRequest(**{"confirm": word(shop), **wanted})  # type: ignore[arg-type]
    return restore(shop.context, request, service=service or shop.service)


def refusal(shop: Shop, code: Code, **wanted: object) -> BackupError:
    """See a restore refused with everything as it was, and the server never asked to stop."""

    def never() -> None:
        raise AssertionError("the server was touched")

    running, beside = shop.running_since(), shop.beside()
    with pytest.raises(BackupError) as refused:
        do(shop, service=Service(never, never), **wanted)
    assert refused.value.code == code, refused.value.message
    assert refused.value.hint
    assert shop.running_since() == running
    assert shop.beside() == beside
    return refused.value


def now() -> datetime:
    return datetime.now(UTC)


def next_order(shop: Shop) -> int:
    return int(shop.sql("SELECT max(id) + 1 FROM orders"))


def test_the_plan_touches_nothing_and_names_the_word_and_the_command(shop: Shop) -> None:
    before = shop.sql("SELECT pg_postmaster_start_time()")
    outcome = restore(shop.context, RestoreRequest(), service=shop.service)
    text = "\n".join(outcome.details["lines"])
    diff = shop.entries[-1]
    assert (outcome.changed, outcome.details["confirm"]) == (False, word(shop))
    assert f"from      set {diff.seq}, {diff.manifest.physical.label}, " in text  # type: ignore[union-attr]
    assert "lost      nothing: the running cluster's last WAL is archived first" in text
    assert f"replaces  cluster {shop.system_id()}, which is kept beside" in text
    assert "time      unknown: no drill was run here" in text
    assert "this host closes no shop" in text
    config = f"pasargad-ops backup --config {shop.config_file}"
    assert text.endswith(f"next      {config} restore latest --confirm {word(shop)}")
    assert shop.sql("SELECT pg_postmaster_start_time()") == before
    assert shop.beside() == []
    again = restore(shop.context, RestoreRequest(confirm=word(shop)), dry_run=True, service=shop.service)
    assert (again.changed, again.details["confirm"]) == (False, word(shop))
    assert shop.beside() == []


def test_the_plan_counts_what_a_time_would_lose_and_tells_what_the_last_drill_took(shop: Shop) -> None:
    at = shop.clock()
    for _ in range(3):
        shop.order(next_order(shop))
    shop.switch()
    measured = {"name": "pasargad_restore_drill_rto_seconds", "value": 240.0, "words": "", "labels": {}}
    jobs = shop.root / "state/jobs"
    jobs.mkdir(exist_ok=True)
    (jobs / "drill-physical.json").write_text(json.dumps({"samples": [measured]}))
    lines = restore(shop.context, RestoreRequest(to="time", at=at)).details["lines"]
    (jobs / "drill-physical.json").unlink()
    assert any(": 3 heartbeats, the newest of " in line for line in lines)
    assert "time      about 4 min, as the last drill took" in lines


def test_to_the_newest_point_nothing_is_lost_and_it_archives_on_as_people_had_set_it(shop: Shop) -> None:
    for setting in ("archive_timeout = '55s'", "archive_command = $$" + archive_command(shop) + "$$"):
        shop.sql(f"ALTER SYSTEM SET {setting}")
    shop.sql("SELECT pg_reload_conf()")
    shop.backup("diff")
    shop.sql("ALTER SYSTEM SET work_mem = '5MB'")
    mine, identity = next_order(shop), shop.system_id()
    shop.order(mine)
    done = do(shop)
    assert int(shop.orders().split()[-1]) == mine, "also what had not been archived when the restore began"
    assert shop.system_id() == identity
    assert shop.beside() == [Path(done.details["old"]).name]
    assert shop.sql("SHOW archive_mode") == "on"
    assert (shop.data / "postgresql.auto.conf").read_text().splitlines()[2:] == [
        "archive_timeout = '55s'",
        f"archive_command = '{archive_command(shop)}'",
        "",
    ]
    assert shop.sql("SELECT timeline_id FROM pg_control_checkpoint()") == str(done.details["timeline"])
    assert any("what was set by ALTER SYSTEM since the backup is not there" in line for line in done.details["lines"])
    assert any("rm -r" in line and done.details["old"] in line for line in done.details["lines"])
    # It goes on from here: a time after the restore can be reached from a set before it.
    at = shop.order(mine + 1)
    shop.order(mine + 2)
    shop.switch()
    until(lambda: shop.context.repository.windows().timeline == done.details["timeline"], seconds=90)
    do(shop, to="time", at=at)
    assert int(shop.orders().split()[-1]) == mine + 1
    shop.sql("ALTER SYSTEM RESET ALL")
    shop.sql("SELECT pg_reload_conf()")
    shop.backup("diff")


def archive_command(shop: Shop) -> str:
    return f"pgbackrest --config={shop.root}/etc/pgbackrest.conf --stanza=main archive-push %p"


def test_to_a_time_everything_before_it_is_there_and_nothing_after_it(shop: Shop) -> None:
    mine = next_order(shop)
    at = shop.order(mine)
    shop.order(mine + 1)
    shop.switch()
    done = do(shop, to="time", at=at)
    assert shop.orders().split()[-1] == str(mine)
    kept = Path(done.details["old"])
    assert (kept / "PG_VERSION").exists() and done.details["label"]
    (shop.root / "restored").write_text(done.summary)
    assert at.isoformat(sep=" ", timespec="auto")[:19] in done.summary


def test_to_a_time_after_which_nobody_ordered(shop: Shop) -> None:
    mine = next_order(shop)
    shop.order(mine)
    time.sleep(1.1)
    at = shop.clock()
    time.sleep(1.1)
    shop.sql("SELECT pg_create_restore_point('later')")
    shop.switch()
    until(lambda: shop.context.repository.windows().windows[-1].until >= at.timestamp())
    shop.stop()
    with pytest.raises(BackupError, match="no commit after") as quiet:
        do(shop, to="time", at=at)
    assert quiet.value.code == Code.TARGET_TIME
    assert "restore latest" in quiet.value.hint
    assert shop.beside() == [], "what was fetched is gone, and the old one stays"
    shop.start()
    do(shop, to="time", at=at)
    assert shop.orders().split()[-1] == str(mine), "where the old one answers, a heartbeat makes the end"


def test_to_a_set_also_one_that_another_restore_has_left_behind(shop: Shop) -> None:
    shop.order(next_order(shop))
    entry, orders = shop.backup("full"), shop.orders()
    first = do(shop, to="set", seq=shop.entries[0].seq)
    assert shop.orders() == "1"
    assert first.details["label"] == shop.entries[0].manifest.physical.label  # type: ignore[union-attr]
    until(lambda: shop.context.repository.windows().timeline == first.details["timeline"], seconds=90)
    do(shop, to="set", seq=entry.seq)
    assert shop.orders() == orders
    shop.backup("full")


def test_where_the_old_cluster_is_gone(shop: Shop) -> None:
    shop.order(next_order(shop))
    shop.switch()
    orders = shop.orders()
    shop.stop()
    shutil.rmtree(shop.data)
    done = do(shop)
    assert shop.orders() == orders
    assert (shop.beside(), done.details["old"]) == ([], "")


def test_a_fresh_cluster_is_replaced_only_when_the_old_one_is_named_and_nothing_is_in_it(shop: Shop) -> None:
    orders, identity = shop.orders(), shop.system_id()
    shop.switch()
    shop.stop()
    kept = shop.root / "kept"
    shop.data.rename(kept)
    make_cluster(shop)
    shop.start()
    shop.sql("CREATE DATABASE elsewhere", "postgres")
    shop.sql("CREATE TABLE notes ()", "elsewhere")
    words = refusal(shop, Code.TARGET_REFUSED)
    assert words.hint.endswith(f"--system-id {identity}")
    in_use = refusal(shop, Code.TARGET_REFUSED, system_id=identity)
    assert "is in use (1 tables in elsewhere)" in in_use.message
    assert (
        f"recover.yml -e system_id={identity[:-1]}" in refusal(shop, Code.TARGET_REFUSED, system_id=identity[:-1]).hint
    )
    shop.sql("DROP TABLE notes", "elsewhere")
    shop.sql("CREATE SCHEMA pasargad_ops CREATE TABLE heartbeat ()", "elsewhere")
    fresh = shop.system_id()
    shop.stop()
    assert "whether cluster" in refusal(shop, Code.TARGET_REFUSED, system_id=identity).message
    shop.start()
    done = do(shop, system_id=identity)
    assert (shop.system_id(), shop.orders()) == (identity, orders)
    assert shop.beside() == [Path(done.details["old"]).name]
    assert fresh != identity
    shutil.rmtree(kept)


def test_what_cannot_be_reached_is_refused(shop: Shop) -> None:
    assert "no set 99" in refusal(shop, Code.TARGET_REFUSED, to="set", seq=99).message
    assert "choose a time from" in refusal(shop, Code.TARGET_TIME, to="time", at=now() - timedelta(days=9)).hint
    assert "in the future" in refusal(shop, Code.TARGET_TIME, to="time", at=now() + timedelta(hours=1)).message
    assert word(shop) in refusal(shop, Code.TARGET_REFUSED, confirm="RESTORE-0000x").hint
    ghost = shop.attest("20200101-010101F", "0" * 24, "0" * 24)
    assert "no longer has its 20200101-010101F" in refusal(shop, Code.TARGET_REFUSED, to="set", seq=ghost.seq).message


def test_a_wrong_key_a_wrong_cluster_and_another_version_are_refused(shop: Shop) -> None:
    other = shop.root / "etc/other.conf"
    other.write_text((shop.root / "etc/pgbackrest.conf").read_text().replace("correct-horse", "wrong-horse"))
    own(other, 0o600)
    shop.change(physical={"config_file": str(other)})
    refusal(shop, Code.KEY)
    shop.change(physical={"config_file": str(shop.root / "etc/pgbackrest.conf")}, cluster={"version": 14})
    refusal(shop, Code.VERSION_MISMATCH)
    shop.change(cluster={"version": int(shop.sql("SHOW server_version_num")[:-4]), "system_id": "7412345678901234567"})
    refusal(shop, Code.TARGET_REFUSED)
    shop.change(cluster={"system_id": "7412345678901234567", "data_dir": str(shop.root / "pg/none")})
    assert "the repository is that of cluster" in refusal(shop, Code.TARGET_REFUSED).message


def test_a_hole_is_refused_for_the_newest_point_and_for_a_time_in_it(shop: Shop) -> None:
    shop.order(next_order(shop))
    shop.switch()
    at = shop.order(next_order(shop))
    lost = shop.sql("SELECT pg_walfile_name(pg_current_wal_lsn())")
    shop.switch()
    shop.order(next_order(shop))
    shop.switch()
    (file,) = (shop.root / "repository/archive/main").glob(f"*/{lost[:16]}/{lost}-*")
    aside = file.rename(shop.root / file.name)
    try:
        hole = refusal(shop, Code.WAL_GAP)
        assert lost in hole.message and "restore time --at" in hole.hint
        refusal(shop, Code.TARGET_TIME, to="time", at=at)
    finally:
        aside.rename(file)


def test_a_cluster_that_cannot_be_moved_is_refused(shop: Shop) -> None:
    link = shop.data.with_name("link")
    link.symlink_to(shop.data)
    shop.change(cluster={"data_dir": str(link)})
    assert "symbolic link" in refusal(shop, Code.TARGET_REFUSED).message
    link.unlink()
    shop.change(cluster={"data_dir": str(shop.data)})
    side = shop.root / "side"
    side.mkdir()
    own(side, 0o700)
    shop.sql(f"CREATE TABLESPACE side LOCATION '{side}'")
    try:
        assert "has 1 tablespaces" in refusal(shop, Code.TARGET_REFUSED).message
        label = shop.context.repository.backup("diff")
        assert shop.context.repository.tablespaces(label) == ("side",)
    finally:
        shop.sql("DROP TABLESPACE side")
    assert f"{label} has the tablespaces side" in refusal(shop, Code.TARGET_REFUSED).message
    shop.backup("full")


def test_while_another_job_or_a_migration_is_at_work_nothing_begins(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir = shop.root / "run"
    with held(run_dir / "jobs.lock", shared=True):
        refusal(shop, Code.CLAIMED)
    monkeypatch.setattr(job, "QUIESCE_SECONDS", 0.2)
    with held(run_dir / "quiesce", doing="a migration"):
        assert "a migration is still at work" in refusal(shop, Code.CLAIMED).message


def test_where_the_last_wal_cannot_leave_the_newest_point_is_not_restored(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiver, "SWITCH_SECONDS", 1.0)
    shop.switch()
    at = shop.clock() - timedelta(seconds=1)
    mine = next_order(shop)
    shop.sql("ALTER SYSTEM SET archive_command = 'false'")
    shop.sql("SELECT pg_reload_conf()")
    shop.order(mine)
    try:
        refusal(shop, Code.ARCHIVER)
        assert shop.orders().split()[-1] == str(mine)
    finally:
        shop.sql("ALTER SYSTEM RESET archive_command")
        shop.sql("SELECT pg_reload_conf()")
    assert at < now()


def test_too_small_a_disk_is_refused_and_one_that_fills_up_meanwhile_leaves_the_old_cluster(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    shop.stop()
    small, pg = shop.root / "small", shop.data.parent
    pg.rename(small)
    pg.mkdir()
    used = int(subprocess.run(["du", "-sm", str(small)], capture_output=True, check=True, text=True).stdout.split()[0])
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={used + 20}m", "small", str(pg)], check=True)
    try:
        own(pg, 0o755)
        subprocess.run(["cp", "-a", f"{small}/main", str(pg)], check=True)
        shop.start()
        short = refusal(shop, Code.NO_SPACE)
        assert "--delta restore" in short.hint
        monkeypatch.setattr(restore_plan, "ROOM", 0.1)
        subprocess.run(["mount", "-o", f"remount,size={used + 42}m", str(pg)], check=True)
        with pytest.raises(BackupError, match="the disk is full") as full:
            do(shop)
        assert full.value.code == Code.NO_SPACE
        assert shop.beside() == []
        assert shop.orders()
    finally:
        shop.stop()
        # It has archived since it was copied, so it has to go on from where it is.
        shutil.rmtree(small / "main")
        subprocess.run(["cp", "-a", f"{pg}/main", str(small)], check=True)
        subprocess.run(["umount", str(pg)], check=True)
        pg.rmdir()
        small.rename(pg)


def test_when_the_restored_cluster_does_not_serve_the_old_one_does_and_no_restore_follows_the_other(shop: Shop) -> None:
    mine, timeline = next_order(shop), int(shop.sql("SELECT timeline_id FROM pg_control_checkpoint()"))
    shop.order(mine)
    until(lambda: shop.context.repository.windows().timeline == timeline, seconds=90)
    fails = [True]

    def start() -> None:
        shop.start()
        if fails:
            fails.clear()
            raise BackupError(Code.BROKEN, "the unit failed")

    with pytest.raises(BackupError, match="so the old one does again: the unit failed") as failure:
        do(shop, service=Service(start, shop.stop))
    assert failure.value.code == Code.RESTORE_FAILED
    assert shop.orders().split()[-1] == str(mine)
    assert shop.beside() == []
    shop.switch()
    shop.switch()
    assert shop.context.repository.windows().timeline == timeline
    server = shop.root / "etc/server.conf"
    kept = server.read_text()

    def start_without_archiving() -> None:
        if not fails:
            server.write_text(kept.replace("archive_mode = on", "archive_mode = off"))
        fails.append(True)
        shop.start()
        server.write_text(kept)

    with pytest.raises(BackupError, match="it would not archive"):
        do(shop, service=Service(start_without_archiving, shop.stop))
    assert shop.sql("SHOW archive_mode") == "on"


def test_where_the_shop_is_served_too_it_is_closed_and_stays_so_only_after_a_restore(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = shop.root / "release"
    asked: list[tuple[str, ...]] = []

    def asking(name: str, *unit: str) -> bool:
        asked.append((name, *unit))
        return name == "is_active"

    for name in ("is_active", "stop", "start_later"):
        monkeypatch.setattr(units, name, functools.partial(asking, name))
    paths = {
        name: str(root / name) for name in ("srv_dir", "etc_dir", "state_dir", "lib_dir", "backup_dir", "metrics_dir")
    }
    shut = root / "maintenance"
    release = {"domain": "shop.test", "python_tag": "cp311", "run_dir": str(shop.root / "run"), **paths}
    root.mkdir()
    file = shop.root / "etc/release.json"
    file.write_text(json.dumps({**release, "maintenance_file": str(shut), "lock_file": str(root / "lock")}))
    try:
        with held(root / "lock", doing="a deploy"):
            assert "a deploy is still at work" in refusal(shop, Code.CLAIMED).message
        assert not shut.exists()

        def fail() -> None:
            assert shut.exists() and ("stop", "pasargad-worker@blue.service") in asked
            raise BackupError(Code.BROKEN, "no")

        with pytest.raises(BackupError):
            do(shop, service=Service(shop.start, stop_once(shop, fail)))
        assert not shut.exists() and ("start_later", "pasargad-worker@blue.service") in asked
        done = do(shop)
        assert shut.exists()
        assert any(f"rm -f {shut}" in line for line in done.details["lines"])
        ends = [json.loads(line)["result"] for line in (root / "state_dir/audit.jsonl").read_text().splitlines()]
        assert ends == ["failed", "restored"]
    finally:
        file.unlink()


def stop_once(shop: Shop, act: Callable[[], None]) -> Callable[[], None]:
    """Return a stop that first acts otherwise."""
    acts = [act]
    return lambda: (acts.pop() if acts else shop.stop)()


def killed_at(shop: Shop, step: int, *more: str) -> tuple[bool, str]:
    """Restore in a process that kills itself; tell whether it did, and at what."""
    command = [sys.executable, "-m", "tests.backup.restore_driver", str(shop.root), str(step), *more]
    paths = f"{PROJECT}:{PROJECT / 'module_utils'}"
    done = subprocess.run(
        command, cwd=PROJECT, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=False
    )
    steps = [line for line in done.stdout.splitlines() if line.startswith("step ")]
    assert done.returncode in (-9, 0, 1), done.stderr
    return done.returncode == -9, f"{steps[-1]}: {done.stderr[-300:]}"


@pytest.mark.parametrize("more", [(), ("unfit",)], ids=["fit", "unfit"])
def test_killed_at_every_step_it_is_settled_and_nothing_is_lost(shop: Shop, more: tuple[str, ...]) -> None:
    mine = next_order(shop)
    shop.order(mine)
    orders, seen = shop.orders(), []
    # What comes before the check is the same for both.
    for step in range(9 if more else 1, 30):
        killed, where = killed_at(shop, step, *more)
        if not killed:
            break
        seen.append(where.partition(": ")[2].partition(":")[0])
        planned = restore(shop.context, RestoreRequest(), dry_run=True, service=shop.service)
        settled = settle_swap(shop.context, service=shop.service)
        if "cut off" in planned.summary:
            assert ("undone" if step < 8 or (step > 10 and more) else "finished") in settled.summary, where
        shop.start()
        assert shop.orders() == orders, where
        assert not (shop.root / "state/restore.json").exists()
        assert [name for name in shop.beside() if "before" not in name] == [], where
        assert not settle_swap(shop.context, service=shop.service).changed
        for name in shop.beside():
            shutil.rmtree(shop.data.with_name(name))
    if more:
        assert seen == ["check", "journal", "stop", "rename", "rename", "start"]
    else:
        steps = ["fetch", "look", "forget", "journal", "stop", "rename", "rename", "start", "check", "offer"]
        assert seen == steps
    assert shop.orders() == orders


def test_a_plan_while_a_restore_is_at_work_leaves_it_alone(shop: Shop) -> None:
    (shop.data.with_name("main.restore") / "data").mkdir(parents=True)
    (shop.root / "state/restore.json").write_text("{}")
    with held(shop.root / "run/restore.lock", doing="backup restore"), contextlib.suppress(BackupError):
        restore(shop.context, RestoreRequest(), service=shop.service)
    assert shop.data.with_name("main.restore").exists()
    (shop.root / "state/restore.json").unlink()
    with held(shop.root / "run/restore.lock", doing="backup restore"):
        refusal(shop, Code.CLAIMED, confirm="")
    assert restore(shop.context, RestoreRequest(), service=shop.service).details["code"] == 0
    assert shop.beside() == []
