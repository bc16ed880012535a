"""One contract for both storages: the lab's own S3 (moto behind a door that checks signatures) and a directory."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pasargad_ops.backup.errors import BackupError, Code
from pasargad_ops.backup.objects import AlreadyThere, NotThere, Objects, Storage, Stored, Upload, open_objects
from pasargad_ops.backup.objects_dir import DirectoryObjects
from pasargad_ops.backup.objects_s3 import S3Objects
from pasargad_ops.backup.objects_s3_faults import Patience
from tests.outside.conftest import Service, free_port

ROOT = Path(__file__).parents[2]
KEY_ID, SECRET = "AKIABACKUP", "right/secret+key"
MIB = 1 << 20
BODY = secrets.token_bytes(MIB)
OLD = datetime(2020, 1, 1, tzinfo=UTC)

WRITER = """
import json, sys, time
from pathlib import Path
from pasargad_ops.backup.objects import Storage, open_objects
told = json.loads(sys.argv[1])
for name in ("directory", "key_id_file", "secret_file"):
    told[name] = told[name] and Path(told[name])
count, stall = int(sys.argv[2]), int(sys.argv[3])
def chunks():
    piece = b"x" * (1 << 20)
    for _ in range(count):
        yield piece
    print("written", flush=True)
    time.sleep(stall)
open_objects(Storage(**told)).write("big/one", chunks(), estimate=count << 20)
print(next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")))
"""


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run the lab's S3 with one versioned bucket."""
    folder = tmp_path_factory.mktemp("s3")
    buckets = [{"name": "backups", "versioning": True}, {"name": "plain"}]
    own = {"host": "127.0.0.1", "port": free_port(), "key_id": KEY_ID, "secret": SECRET, "buckets": buckets}
    service = Service("s3", folder, {"state_dir": str(folder), "s3": own})
    service.start()
    yield service
    service.stop()


@pytest.fixture
def bucket(s3: Service, tmp_path: Path) -> Storage:
    """Return a place of its own in the bucket."""
    for name, value in (("id", KEY_ID), ("secret", SECRET)):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text(value + "\n")
    return Storage(
        "backups", f"v1/{secrets.token_hex(6)}", s3.url, "us-east-1", "path", None, tmp_path / "id", tmp_path / "secret"
    )


@pytest.fixture(params=["s3", "directory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """Return an empty place in each storage."""
    if request.param == "s3":
        found = request.getfixturevalue("bucket")
        assert isinstance(found, Storage)
        return found
    (tmp_path / "backups").mkdir()
    return Storage(prefix="v1/here", directory=tmp_path / "backups")


@pytest.fixture
def objects(place: Storage) -> Objects:
    """Return each storage; S3 with little patience, because moto answers some wrong requests with 500."""
    if place.bucket:
        return S3Objects(place, patience=Patience(tries=4, first=0.01, longest=0.05, budget=5))
    return open_objects(place)


def keys(found: Iterator[Stored]) -> list[str]:
    """Return the keys of a listing."""
    return [each.key for each in found]


def code_of(call: Callable[[], object]) -> tuple[Code, str]:
    """Return how a call fails, and its hint."""
    with pytest.raises(BackupError) as caught:
        call()
    assert caught.value.hint
    return caught.value.code, caught.value.hint


def test_what_was_put_comes_back_with_size_sum_and_time(objects: Objects) -> None:
    body, begun = b"one manifest", objects.now()
    put = objects.put("a/manifest.json", body)
    assert (put.key, put.bytes, put.sha256) == ("a/manifest.json", len(body), hashlib.sha256(body).hexdigest())
    assert begun - timedelta(seconds=1) <= put.modified <= objects.now() + timedelta(seconds=1)
    assert put.modified.tzinfo is UTC and put.retain_until is None
    assert objects.head("a/manifest.json") == put
    assert objects.get("a/manifest.json") == body
    assert b"".join(objects.read("a/manifest.json", sha256=put.sha256)) == body


@pytest.mark.parametrize("size", [0, 1, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 17 * MIB + 3])
def test_streams_of_every_length_come_back(objects: Objects, size: int) -> None:
    body = (BODY * 18)[:size]
    pieces = [body[start : start + 700_001] for start in range(0, size, 700_001)]
    written = objects.write("set/data", [b"", *pieces, b""], estimate=size, tier="daily")
    assert (written.bytes, written.sha256) == (size, hashlib.sha256(body).hexdigest())
    assert b"".join(objects.read("set/data", sha256=written.sha256)) == body
    assert list(objects.uploads("")) == []


def test_once_is_once(objects: Objects) -> None:
    objects.put("claims/1", b"first", once=True)
    for again in (
        lambda: objects.put("claims/1", b"second", once=True),
        lambda: objects.write("claims/1", [b"third"]),
        lambda: objects.write("claims/1", [BODY] * 10),
    ):
        with pytest.raises(AlreadyThere) as caught:
            again()
        assert (caught.value.code, "claims/1" in caught.value.message) == (Code.CLAIMED, True)
    assert objects.get("claims/1") == b"first"
    assert list(objects.uploads("")) == []
    objects.put("claims/1", b"replaced")
    objects.write("claims/1", [b"replaced again"], once=False)
    assert objects.get("claims/1") == b"replaced again"


def test_of_many_at_once_one_wins(objects: Objects) -> None:
    won: list[int] = []
    ready = threading.Barrier(6)

    def claim(number: int) -> None:
        ready.wait()
        try:
            objects.put("claims/slot", b"%d" % number, once=True)
            won.append(number)
        except AlreadyThere:
            return

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert objects.get("claims/slot") == b"%d" % won[0]


def test_who_loses_at_the_end_of_a_long_stream_leaves_nothing(objects: Objects) -> None:
    def overtaken() -> Iterator[bytes]:
        yield BODY * 9
        objects.put("set/data", b"faster")

    with pytest.raises(AlreadyThere):
        objects.write("set/data", overtaken())
    assert objects.get("set/data") == b"faster"
    assert list(objects.uploads("")) == []


def test_lists_are_sorted_by_key_and_know_prefixes(objects: Objects) -> None:
    made = ["a.b", "a/b", "a/b.c/d", "a0", "b/with space+and&ünïcode=1", "b/x"]
    for key in reversed(made):
        objects.put(key, key.encode())
    assert keys(objects.list("")) == made
    assert keys(objects.list("a/")) == ["a/b", "a/b.c/d"]
    assert keys(objects.list("a/b.")) == ["a/b.c/d"]
    assert keys(objects.list("nothing/here")) == []
    found = {each.key: each for each in objects.list("b/")}
    assert found["b/x"].bytes == 3
    assert found["b/x"].modified.tzinfo is UTC
    assert objects.get("b/with space+and&ünïcode=1") == "b/with space+and&ünïcode=1".encode()


def test_what_is_hidden_is_gone_and_hiding_again_is_fine(objects: Objects) -> None:
    objects.put("a/b/c", b"x")
    objects.hide("a/b/c")
    objects.hide("a/b/c")
    objects.hide("never/was")
    assert objects.head("a/b/c") is None
    assert keys(objects.list("")) == []
    objects.put("a/b/c", b"new", once=True)
    assert objects.get("a/b/c") == b"new"


def test_what_is_not_there_is_named(objects: Objects) -> None:
    assert objects.head("a/none") is None
    for reading in (lambda: objects.get("a/none"), lambda: list(objects.read("a/none"))):
        with pytest.raises(NotThere, match=r"a/none does not exist") as caught:
            reading()
        assert caught.value.code is Code.INTEGRITY
    objects.put("a/some", b"x")
    with pytest.raises(NotThere, match="version"):
        list(objects.read("a/some", version="00000000-0000-0000-0000-000000000000"))


def test_another_sum_than_expected_is_an_integrity_failure(objects: Objects) -> None:
    objects.write("set/data", [BODY] * 9)
    wrong = hashlib.sha256(b"other").hexdigest()
    assert code_of(lambda: list(objects.read("set/data", sha256=wrong)))[0] is Code.INTEGRITY


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/./b", "a/", ".parts/x", "a\0b", "k" * 901]
)
def test_keys_cannot_leave_the_place(objects: Objects, key: str) -> None:
    for call in (
        lambda: objects.put(key, b"x"),
        lambda: objects.write(key, [b"x"]),
        lambda: objects.get(key),
        lambda: objects.hide(key),
        lambda: objects.head(key),
        lambda: objects.abort(Upload(key, "1.0-aa", OLD)),
    ):
        assert code_of(call)[0] is Code.CONFIG
    assert code_of(lambda: list(objects.list("../")))[0] is Code.CONFIG


def test_large_objects_are_not_got(objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pasargad_ops.backup.objects.SMALL_BYTES", 10)
    objects.put("small", b"x" * 10)
    objects.put("large", b"x" * 11)
    assert objects.get("small") == b"x" * 10
    assert code_of(lambda: objects.get("large"))[0] is Code.INTEGRITY


@pytest.mark.parametrize(
    "error", [RuntimeError("the dump died"), OSError(32, "Broken pipe"), KeyboardInterrupt(), SystemExit(130)]
)
@pytest.mark.parametrize("pieces", [0, 3, 17])
def test_a_stream_that_breaks_leaves_nothing(objects: Objects, error: BaseException, pieces: int) -> None:
    def broken() -> Iterator[bytes]:
        for _ in range(pieces):
            yield BODY
        raise error

    with pytest.raises(type(error)) as caught:
        objects.write("set/data", broken())
    assert caught.value is error
    assert objects.head("set/data") is None
    assert list(objects.uploads("")) == []


def test_an_upload_under_way_is_shown_and_who_aborts_it_ends_its_writer(objects: Objects) -> None:
    seen: list[Upload] = []

    def aborted() -> Iterator[bytes]:
        yield BODY * 9
        yield BODY * 9
        seen.extend(objects.uploads("set/"))
        assert list(objects.uploads("other/")) == []
        for upload in seen:
            objects.abort(upload)
        yield BODY

    code, hint = code_of(lambda: objects.write("set/data", aborted()))
    assert (code, "again" in hint) == (Code.STORAGE_TRANSIENT, True)
    assert [upload.key for upload in seen] == ["set/data"]
    assert seen[0].begun.tzinfo is UTC
    assert objects.head("set/data") is None
    objects.abort(seen[0])


def start_writer(place: Storage, mebibytes: int, stall: int) -> subprocess.Popen[str]:
    """Start a process that writes to `place` and then waits."""
    told = {name: str(value) if isinstance(value, Path) else value for name, value in dataclasses.asdict(place).items()}
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, json.dumps(told), str(mebibytes), str(stall)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "module_utils")},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_writer_that_is_killed_leaves_an_upload_and_no_object(place: Storage, number: signal.Signals) -> None:
    objects = open_objects(place)
    writer = start_writer(place, 20, 60)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "written\n"
    found = list(objects.uploads(""))
    assert [upload.key for upload in found] == ["big/one"]
    writer.send_signal(number)
    assert writer.wait(20) != 0
    left = list(objects.uploads("big/"))
    assert (objects.head("big/one"), keys(objects.list(""))) == (None, [])
    assert left == (found if number == signal.SIGKILL else [])
    for upload in left:
        objects.abort(upload)
        objects.abort(upload)
    assert list(objects.uploads("")) == []


@pytest.mark.slow
def test_three_hundred_mebibytes_take_little_memory(place: Storage) -> None:
    writer = start_writer(place, 300, 0)
    told, _ = writer.communicate(timeout=120)
    assert writer.returncode == 0
    peak_kib = int(told.split()[-2])
    print(f"peak of memory: {peak_kib / 1024:.0f} MiB")
    assert peak_kib < 128 * 1024
    found = open_objects(place).head("big/one")
    assert found is not None and found.bytes == 300 * MIB


class TestDirectory:
    """What only a directory can do wrong."""

    @pytest.fixture
    def top(self, tmp_path: Path) -> Path:
        (tmp_path / "backups").mkdir()
        return tmp_path / "backups"

    def test_a_disk_that_is_not_mounted_is_not_an_empty_one(self, tmp_path: Path) -> None:
        assert code_of(lambda: open_objects(Storage(directory=tmp_path / "none")))[0] is Code.CONFIG
        assert not (tmp_path / "none").exists()

    def test_only_owner_and_group_can_read(self, top: Path) -> None:
        before = os.umask(0)
        try:
            open_objects(Storage(directory=top)).put("a/b/c", b"x")
        finally:
            os.umask(before)
        assert [(top / name).stat().st_mode & 0o777 for name in ("a/b/c", "a", "a/b", ".parts")] == [0o640] + [
            0o750
        ] * 3

    def test_a_link_that_leads_out_is_not_followed(self, top: Path, tmp_path: Path) -> None:
        (top / "out").symlink_to(tmp_path)
        (tmp_path / "secret").write_text("secret")
        (top / "file").symlink_to(tmp_path / "secret")
        objects = open_objects(Storage(directory=top))
        for call in (
            lambda: objects.put("out/x", b"x"),
            lambda: objects.get("out/secret"),
            lambda: objects.get("file"),
            lambda: list(objects.read("file")),
        ):
            assert code_of(call)[0] is Code.CONFIG
        assert keys(objects.list("")) == []

    def test_a_flipped_byte_and_a_lost_end_are_found(self, top: Path) -> None:
        objects = open_objects(Storage(directory=top))
        objects.put("a", b"hello")
        with (top / "a").open("r+b") as file:
            file.write(b"j")
        assert code_of(lambda: objects.get("a"))[0] is Code.INTEGRITY

    def test_what_is_retained_is_neither_deleted_nor_replaced(self, top: Path) -> None:
        objects = open_objects(Storage(directory=top))
        until = datetime.now(UTC) + timedelta(days=1)
        assert objects.put("a", b"x", retain_until=until).retain_until == until
        for call in (lambda: objects.hide("a"), lambda: objects.put("a", b"y")):
            assert code_of(call)[0] is Code.STORAGE_DENIED
        assert objects.get("a") == b"x"
        objects.put("b", b"x", retain_until=OLD)
        objects.hide("b")

    def test_folders_that_became_empty_go(self, top: Path) -> None:
        objects = open_objects(Storage(directory=top))
        objects.put("2026/11/23/a", b"x")
        objects.hide("2026/11/23/a")
        assert [path.name for path in top.iterdir()] == [".parts"]

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
    def test_a_full_disk_is_told(self, top: Path) -> None:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", top], check=True)
        try:
            objects = open_objects(Storage(directory=top))
            assert code_of(lambda: objects.write("a", [BODY] * 3))[0] is Code.NO_SPACE
            assert (list(objects.uploads("")), keys(objects.list(""))) == ([], [])
        finally:
            subprocess.run(["umount", top], check=True)

    def test_a_reader_of_what_is_replaced_reads_one_of_both(self, top: Path) -> None:
        objects = open_objects(Storage(directory=top))
        objects.write("a", [BODY] * 3)
        reading = objects.read("a")
        next(reading)
        objects.put("a", b"new")
        assert sum(len(chunk) for chunk in reading) == 2 * MIB

    def test_retention_without_attributes_is_refused(self, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def unknown(*_: Any) -> None:
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr(os, "setxattr", unknown)
        objects = DirectoryObjects(Storage(directory=top))
        assert objects.put("a", b"x").bytes == 1
        assert (found := objects.head("a")) is not None and found.sha256 == ""
        later = datetime.now(UTC) + timedelta(days=1)
        assert code_of(lambda: objects.put("b", b"x", retain_until=later))[0] is Code.CONFIG
        assert objects.head("b") is None


def test_a_place_must_be_set() -> None:
    assert "pasargad_s3_backup_bucket" in code_of(lambda: open_objects(Storage()))[1]


def test_the_clock_is_the_storages(objects: Objects) -> None:
    assert abs((objects.now() - datetime.now(UTC)).total_seconds()) < 3
