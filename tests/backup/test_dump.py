"""A dump is whole and encrypted, or it is an error; whatever dies leaves nothing behind."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import hashlib
import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest

from pasargad_ops.backup.dump import Made, Pipeline, check_recipients, pack, read_back, snapshot
from pasargad_ops.backup.errors import BackupError, Code
from pasargad_ops.backup.pipes import BLOCK
from pasargad_ops.backup.shards import Shard, commands, plan
from tests.backup import rig

ENDLESS = ("sh", "-c", "exec cat /dev/urandom")
MIB = 1 << 20


@pytest.fixture(scope="module")
def server() -> Iterator[rig.Server]:
    with rig.server() as found:
        found.execute(
            "CREATE TABLE t (id int PRIMARY KEY, word text); INSERT INTO t SELECT g, g FROM generate_series(1, 50) g"
        )
        yield found


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> rig.Keys:
    return rig.keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """No test may leave a child, a thread or a descriptor."""
    before = open_pipes()
    yield
    gc.collect()
    until(lambda: set(children()) <= {"postgres"} and threading.active_count() == 1 and open_pipes() == before)


def children(pid: int | None = None) -> dict[str, int]:
    """Return the names and numbers of a process's children."""
    found = {}
    for task in Path(f"/proc/{pid or os.getpid()}/task").iterdir():
        with contextlib.suppress(OSError):
            for child in (task / "children").read_text().split():
                found[Path(f"/proc/{child}/comm").read_text().strip()] = int(child)
    return found


def open_pipes() -> int:
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            count += os.readlink(entry).startswith(("pipe:", "/memfd:"))
    return count


def until(done: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, (children(), threading.enumerate(), open_pipes())
        time.sleep(0.01)


def make(command: tuple[str, ...], keys: rig.Keys, **settings: object) -> Pipeline:
    return Pipeline(command, keys.recipients, **settings)  # type: ignore[arg-type]


def sealed(content: bytes, keys: rig.Keys, tmp_path: Path) -> tuple[bytes, Made]:
    (tmp_path / "content").write_bytes(content)
    pipeline = make(("cat", str(tmp_path / "content")), keys)
    return b"".join(pipeline), pipeline.made


@pytest.mark.parametrize("size", [1, 65_536, MIB - 1, MIB, 3 * MIB + 7])
def test_what_goes_in_comes_out_and_is_counted_and_hashed(keys: rig.Keys, tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "content").write_bytes(content)
    pipeline = make(("cat", str(tmp_path / "content")), keys)
    chunks = list(pipeline)
    assert [len(chunk) for chunk in chunks[:-1]] == [BLOCK] * (len(chunks) - 1)
    whole, made = b"".join(chunks), pipeline.made
    assert whole.startswith(b"age-encryption.org/v1\n") and (size < 64 or content[:64] not in whole)
    assert (made.plain_bytes, made.bytes, made.sha256) == (size, len(whole), hashlib.sha256(whole).hexdigest())
    between = subprocess.run(
        ["age", "-d", "-i", str(keys.identity)], input=whole, capture_output=True, check=True
    ).stdout
    assert (made.zstd_bytes, made.zstd_sha256) == (len(between), hashlib.sha256(between).hexdigest())
    assert b"".join(read_back(iter(chunks), keys.identity)) == content
    assert [one.name for one in made.programs] == ["cat", "zstd", "age"]
    assert 0 < made.peak_rss_bytes < 1 << 30 and made.seconds > 0 and made.cpu_seconds > 0
    json.dumps(dataclasses.asdict(made))


def test_a_program_that_fails_never_gives_its_last_block(keys: rig.Keys) -> None:
    for command in ("head -c 3000000 /dev/urandom; echo out of paper >&2; exit 3", "echo out of paper >&2; exit 3"):
        got = []
        with pytest.raises(BackupError, match="sh ended with code 3: out of paper") as caught:
            for chunk in make(("sh", "-c", command), keys):
                got.append(chunk)  # noqa: PERF402
        assert caught.value.code == Code.DUMP_FAILED and caught.value.hint
        # It is no whole file of age's: without the last block it cannot be opened to its end.
        opened = subprocess.run(
            ["age", "-d", "-i", str(keys.identity)], input=b"".join(got), capture_output=True, check=False
        )
        assert opened.returncode != 0


def test_an_end_with_0_and_no_byte_is_no_dump(keys: rig.Keys) -> None:
    with pytest.raises(BackupError, match="true ended with 0 and wrote nothing"):
        list(make(("true",), keys))


@pytest.mark.parametrize("victim", ["cat", "zstd", "age"])
def test_kill_9_of_any_program_is_an_error_that_names_it(keys: rig.Keys, victim: str) -> None:
    pipeline = make(ENDLESS, keys)
    got = 0
    with pytest.raises(BackupError, match=f"{'sh' if victim == 'cat' else victim} was killed by SIGKILL") as caught:
        for _ in pipeline:
            got += 1
            if got == 2:
                os.kill(children()[victim], signal.SIGKILL)
    assert caught.value.code == Code.DUMP_FAILED
    with pytest.raises(BackupError, match="was not read to its end"):
        _ = pipeline.made


def test_an_early_end_of_the_reader_leaves_no_process(keys: rig.Keys) -> None:
    with make(ENDLESS, keys) as pipeline:
        next(iter(pipeline))
        assert set(children()) == {"cat", "zstd", "age"}
    assert children() == {}
    forgotten = iter(make(ENDLESS, keys))
    next(forgotten)
    del forgotten
    gc.collect()
    assert children() == {}


def test_a_stalled_reader_is_ended_from_another_thread(keys: rig.Keys) -> None:
    pipeline = make(ENDLESS, keys)
    blocks = iter(pipeline)
    next(blocks)
    threading.Thread(target=pipeline.close).start()
    until(lambda: not children())
    assert list(blocks) == []
    with pytest.raises(BackupError, match="was not read to its end"):
        _ = pipeline.made


def test_a_reader_that_waits_is_ended_from_another_thread(keys: rig.Keys) -> None:
    pipeline = make(("sleep", "1000"), keys)
    threading.Timer(0.3, pipeline.close).start()
    with pytest.raises(BackupError, match="was killed by SIGKILL"):
        list(pipeline)


def test_a_program_that_says_nothing_for_too_long_is_ended(keys: rig.Keys) -> None:
    with pytest.raises(BackupError, match=r"sh: nothing came for 0\.3 s"):
        list(make(("sh", "-c", "sleep 1000 & sleep 1000"), keys, quiet_seconds=0.3))


def test_kill_9_of_the_job_itself_ends_the_programs(keys: rig.Keys) -> None:
    script = (
        "import sys, time; from pathlib import Path; from pasargad_ops.backup.dump import Pipeline\n"
        f"for n, _ in enumerate(Pipeline({ENDLESS!r}, Path({str(keys.recipients)!r}))):\n"
        "    n or print('going', flush=True)"
    )
    env = {**os.environ, "PYTHONPATH": "module_utils"}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=env) as job:
        assert job.stdout is not None and job.stdout.readline() == b"going\n"
        members = children(job.pid)
        assert set(members) == {"cat", "zstd", "age"}
        job.kill()
    until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in members.values()))


def test_a_missing_program_and_unusable_recipients_are_refused_before_anything_runs(
    keys: rig.Keys, tmp_path: Path
) -> None:
    with pytest.raises(BackupError, match="no-such-dump is not installed") as caught:
        list(make(("no-such-dump",), keys))
    assert caught.value.code == Code.CONFIG
    for content in (None, "", "# only a comment\n", keys.identity.read_text()):
        path = tmp_path / "recipients"
        if content is not None:
            path.write_text(content)
        with pytest.raises(BackupError) as caught:
            check_recipients(path)
        assert caught.value.code == Code.KEY
        assert "AGE-SECRET-KEY-" not in str(caught.value)
        with pytest.raises(BackupError):
            iter(Pipeline(ENDLESS, path))
    (tmp_path / "recipients").write_text("age1nonsense\n")
    with pytest.raises(BackupError, match="malformed recipient") as caught:
        list(Pipeline(ENDLESS, tmp_path / "recipients"))
    assert caught.value.code == Code.KEY


def test_secrets_are_in_no_argument_and_in_no_message(keys: rig.Keys) -> None:
    environment = {"PGPASSWORD": "correct horse", "PGHOST": "db"}
    command = ("sh", "-c", 'head -c 3000000 /dev/urandom; echo "no $PGPASSWORD, token=abcdef here" >&2; exit 1')
    pipeline = make(command, keys, environment=environment)
    with pytest.raises(BackupError, match=r"no \*\*\*\*\*\*\*\*, token=\*\*\*\*\*\*\*\* here") as caught:
        list(pipeline)
    assert "correct horse" not in str(caught.value) + repr(pipeline)
    # Only the command that needs them is given them.
    with make(ENDLESS, keys, environment=environment) as running:
        next(iter(running))
        has = {name: b"correct horse" in Path(f"/proc/{pid}/environ").read_bytes() for name, pid in children().items()}
    assert has == {"cat": True, "zstd": False, "age": False}


def dump_command(found: rig.Server, snapshot_id: str, database: str = "") -> tuple[str, ...]:
    return commands([Shard(0, ())], snapshot=snapshot_id, database=database)["data-000"]


def test_errors_of_pg_dump_end_with_their_own_codes(server: rig.Server, keys: rig.Keys) -> None:
    with pytest.raises(BackupError, match=r"pg_dump ended with code 1: .*connection to server") as caught:
        list(Pipeline(dump_command(server, "1-1"), keys.recipients, {**server.environment, "PGHOST": "/nowhere"}))
    assert caught.value.code == Code.DATABASE_UNREACHABLE
    with pytest.raises(BackupError, match="snapshot") as caught:
        list(Pipeline(dump_command(server, "00000003-00000001-1"), keys.recipients, server.environment))
    assert caught.value.code == Code.DUMP_FAILED


def test_a_server_that_ends_the_session_mid_dump_is_an_error(server: rig.Server, keys: rig.Keys) -> None:
    server.create("mid")
    server.execute(
        "CREATE TABLE t (a text); ALTER TABLE t ALTER a SET STORAGE EXTERNAL;"
        "INSERT INTO t SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 800000) g GROUP BY g % 400",
        "mid",
    )
    connection = server.connect("mid")
    got = 0
    with contextlib.closing(connection), snapshot(connection) as held, pytest.raises(BackupError) as caught:
        for _ in Pipeline(dump_command(server, held.id), keys.recipients, {**server.environment, "PGDATABASE": "mid"}):
            got += 1
            if got == 1:
                server.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pg_dump'"
                )
    assert caught.value.code == Code.DUMP_FAILED
    assert "PQgetCopyData() failed" in str(caught.value)


def test_a_truncate_cannot_empty_a_table_under_the_snapshot(server: rig.Server, keys: rig.Keys) -> None:
    def truncate() -> None:
        server.execute("SET lock_timeout = '200ms'; TRUNCATE t")

    with contextlib.closing(server.connect()) as connection:
        with snapshot(connection) as held:
            assert [table.name for table in held.tables] == ["t"] and held.server_version >= 150000
            assert held.wal_position.count("/") == 1
            with pytest.raises(AssertionError, match="lock timeout"):
                truncate()
            server.execute("INSERT INTO t VALUES (51, 'later')")
            pipeline = Pipeline(dump_command(server, held.id), keys.recipients, server.environment)
            content = b"".join(read_back(pipeline, keys.identity))
        listed = subprocess.run(
            ["pg_restore", "--data-only", "-f", "-"], input=content, capture_output=True, check=True
        )
        assert b"50\t50\n" in listed.stdout and b"later" not in listed.stdout
        # The control: after the body nobody holds the table any more.
        truncate()


def test_a_table_that_comes_while_the_snapshot_is_taken_is_in_it(
    server: rig.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pasargad_ops.backup import snapshots

    lock, made = snapshots._lock, list[str]()

    def lock_late(cursor: object, names: object) -> None:
        if not made:
            made.append("newcomer")
            server.execute("CREATE TABLE newcomer (id int)")
        lock(cursor, names)  # type: ignore[arg-type]

    monkeypatch.setattr(snapshots, "_lock", lock_late)
    with contextlib.closing(server.connect()) as connection, snapshot(connection) as held:
        assert "newcomer" in {table.name for table in held.tables}
        with pytest.raises(AssertionError, match="lock timeout"):
            server.execute("SET lock_timeout = '200ms'; DROP TABLE newcomer")
    server.execute("DROP TABLE newcomer")


def test_a_lost_snapshot_and_a_held_table_are_errors(server: rig.Server, monkeypatch: pytest.MonkeyPatch) -> None:
    from pasargad_ops.backup import snapshots

    with contextlib.closing(server.connect()) as connection:
        with pytest.raises(BackupError, match="was lost") as caught, snapshot(connection):
            server.execute(f"SELECT pg_terminate_backend({connection.info.backend_pid})", "postgres")
        assert caught.value.code == Code.DATABASE_UNREACHABLE
    monkeypatch.setattr(snapshots, "LOCK_WAIT_MILLISECONDS", 200)
    with contextlib.closing(server.connect()) as migration, contextlib.closing(server.connect()) as connection:
        migration.cursor().execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(BackupError, match="lock timeout") as caught, snapshot(connection):
            pass
        assert caught.value.code == Code.DUMP_FAILED
        migration.rollback()
        # A fault of the body comes through as it is, and the session can be used again.
        with pytest.raises(ZeroDivisionError), snapshot(connection):
            _ = 1 / 0
        with snapshot(connection) as held:
            assert held.id


def test_reading_back_tells_a_wrong_key_from_damage(keys: rig.Keys, tmp_path: Path) -> None:
    whole, _ = sealed(os.urandom(3 * MIB), keys, tmp_path)
    other = rig.keys(tmp_path, "other")
    cases = [
        ([whole], other.identity, Code.KEY),
        ([whole], tmp_path / "missing", Code.KEY),
        ([whole], other.recipients, Code.KEY),
        ([whole[:-1]], keys.identity, Code.INTEGRITY),
        ([whole[: len(whole) // 2]], keys.identity, Code.INTEGRITY),
        ([whole + b"x"], keys.identity, Code.INTEGRITY),
        ([whole[:2_000_000], bytes([whole[2_000_000] ^ 1]), whole[2_000_001:]], keys.identity, Code.INTEGRITY),
        ([whole[: 65_600 + 200] + whole[2 * 65_552 :]], keys.identity, Code.INTEGRITY),
        ([b"not of age at all"], keys.identity, Code.INTEGRITY),
        ([], keys.identity, Code.INTEGRITY),
    ]
    for chunks, identity, code in cases:
        with pytest.raises(BackupError) as caught:
            list(read_back(chunks, identity))
        assert caught.value.code == code, caught.value
        assert "AGE-SECRET-KEY-" not in str(caught.value) and caught.value.hint


def test_what_is_whole_for_age_may_still_be_cut_inside(keys: rig.Keys, tmp_path: Path) -> None:
    packed = subprocess.run(["zstd", "-3", "-c"], input=os.urandom(MIB), capture_output=True, check=True).stdout
    cut = ["age", "-R", str(keys.recipients)]
    whole = subprocess.run(cut, input=packed[:-100], capture_output=True, check=True).stdout
    with pytest.raises(BackupError, match="zstd ended with code") as caught:
        list(read_back([whole], keys.identity))
    assert caught.value.code == Code.INTEGRITY


def test_a_fault_of_the_storage_comes_through_while_reading_back(keys: rig.Keys, tmp_path: Path) -> None:
    whole, _ = sealed(os.urandom(3 * MIB), keys, tmp_path)

    def broken() -> Iterator[bytes]:
        yield whole[:MIB]
        raise BackupError(Code.STORAGE_TRANSIENT, "reset")

    with pytest.raises(BackupError, match="reset") as caught:
        list(read_back(broken(), keys.identity))
    assert caught.value.code == Code.STORAGE_TRANSIENT
    early = read_back([whole], keys.identity)
    next(early)
    early.close()  # type: ignore[attr-defined]


def test_files_are_packed_and_come_back_with_odd_names(keys: rig.Keys, tmp_path: Path) -> None:
    media = tmp_path / "media"
    (media / "-dash").mkdir(parents=True)
    names = ["-dash/فایل.jpg", "new\nline", "back\\slash", "empty"]
    for number, name in enumerate(names):
        (media / name).write_bytes(b"x" * number)
    (media / "link").symlink_to("empty")
    pipeline = pack([media, keys.recipients], keys.recipients)
    with tarfile.open(fileobj=BytesIO(b"".join(read_back(pipeline, keys.identity)))) as found:
        members = {"/" + member.name: member for member in found.getmembers()}
    assert {str(media / name) for name in names} | {str(media / "link"), str(keys.recipients)} <= set(members)
    assert members[str(media / "back\\slash")].size == 2 and members[str(media / "link")].issym()
    with pytest.raises(BackupError, match=r"tar ended with code 2.*\n?.*No such file") as caught:
        list(pack([tmp_path / "missing"], keys.recipients))
    assert caught.value.code == Code.DUMP_FAILED


def test_an_upload_while_packing_is_no_fault_but_a_torn_file_is(keys: rig.Keys, tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    # The middle one is too large for all the pipes, so tar is still in it when the first blocks have come out.
    for name, size in {"a": MIB, "b": 32 * MIB, "c": 8 * MIB}.items():
        (media / name).write_bytes(os.urandom(size))

    def while_packing(work: Callable[[], object]) -> Pipeline:
        pipeline = pack([media], keys.recipients)
        for number, _ in enumerate(pipeline):
            if number == 3:
                work()
        return pipeline

    def append(path: Path) -> None:
        with path.open("ab") as file:
            file.write(b"more")

    def upload() -> None:
        (media / "uploaded").write_text("meanwhile")
        (media / "c").unlink()

    assert "media: file changed as we read it" in while_packing(upload).made.warnings
    with pytest.raises(BackupError, match="/b: file changed as we read it"):
        while_packing(lambda: append(media / "b"))
    with pytest.raises(BackupError, match="/b: File shrank"):
        while_packing(lambda: (media / "b").write_text("other"))


def test_memory_does_not_grow_with_the_table(server: rig.Server, keys: rig.Keys) -> None:
    server.create("large")
    # Rows further apart than zstd looks back, so that they stay large on the way.
    server.execute(
        "CREATE TABLE t (a text); ALTER TABLE t ALTER a SET STORAGE EXTERNAL;"
        "CREATE TEMP TABLE one AS SELECT string_agg(md5(random()::text), '') AS a FROM generate_series(1, 320000);"
        "INSERT INTO t SELECT a FROM one, generate_series(1, 30)",
        "large",
    )
    script = (
        "import json, re, sys; from pathlib import Path\n"
        "from pasargad_ops.backup.dump import Pipeline\n"
        "command, recipients, env = json.loads(sys.stdin.read())\n"
        "p = Pipeline(command, Path(recipients), env)\n"
        "for _ in p: pass\n"
        # Not ru_maxrss: it begins with what pytest used when it started this process.
        "peak = int(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])\n"
        "print(json.dumps([peak << 10, p.made.plain_bytes, p.made.bytes, p.made.peak_rss_bytes, p.made.cpu_seconds]))"
    )
    connection = server.connect("large")
    with contextlib.closing(connection), snapshot(connection) as held:
        command = commands(plan(held.tables, 1), snapshot=held.id, database="large")["data-000"]
        done = subprocess.run(
            [sys.executable, "-c", script],
            input=json.dumps([command, str(keys.recipients), {**server.environment, "PGDATABASE": "large"}]),
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": "module_utils"},
            check=False,
        )
    assert done.returncode == 0, done.stderr
    own, plain, given, members, cpu = json.loads(done.stdout)
    print(f"{own >> 20} MiB here, {members >> 20} MiB in programs, {plain} -> {given} bytes, {cpu:.1f} CPU s")
    assert plain > 300_000_000 and given > 100_000_000
    assert own < 128 * MIB
