"""S3 that fails: a proxy between boto3 and the lab's own S3 refuses, resets, waits, flips, and cuts."""

from __future__ import annotations

import dataclasses
import hashlib
import secrets
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pasargad_ops.backup import objects_s3, objects_s3_parts
from pasargad_ops.backup.errors import BackupError, Code
from pasargad_ops.backup.objects import AlreadyThere, Storage, open_objects
from pasargad_ops.backup.objects_s3 import S3Objects
from pasargad_ops.backup.objects_s3_faults import Patience, persist
from pasargad_ops.backup.objects_s3_parts import part_bytes, share
from tests.backup.s3_proxy import Fault, Proxy, Seen, fault_at, refuse
from tests.outside.conftest import Service, free_port

KEY_ID, SECRET = "AKIABACKUP", "right/secret+key"
MIB = 1 << 20
BODY = secrets.token_bytes(MIB)
PART = 5 * MIB
STREAM = [BODY] * 11
SUM = hashlib.sha256(BODY * 11).hexdigest()
QUICK = Patience(tries=4, first=0.01, longest=0.05, budget=20)


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run the lab's S3 with a versioned bucket and a plain one."""
    folder = tmp_path_factory.mktemp("s3")
    buckets = [{"name": "backups", "versioning": True}, {"name": "plain"}, {"name": "few", "versioning": True}]
    own = {"host": "127.0.0.1", "port": free_port(), "key_id": KEY_ID, "secret": SECRET, "buckets": buckets}
    service = Service("s3", folder, {"state_dir": str(folder), "s3": own})
    service.start()
    yield service
    service.stop()


@pytest.fixture
def proxy(s3: Service) -> Iterator[Proxy]:
    """Run a proxy before S3."""
    running = Proxy(s3.url)
    yield running
    running.stop()


@pytest.fixture
def place(proxy: Proxy, tmp_path: Path) -> Storage:
    """Return a place of its own behind the proxy."""
    for name, value in (("id", KEY_ID), ("secret", SECRET)):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text(value + "\n")
    own = f"v1/{secrets.token_hex(6)}"
    return Storage("backups", own, proxy.url, "us-east-1", "path", None, tmp_path / "id", tmp_path / "secret")


@pytest.fixture
def objects(place: Storage) -> S3Objects:
    """Return the bucket, with little patience and small parts."""
    return connected(place)


def connected(place: Storage, **settings: Any) -> S3Objects:
    """Return a bucket, with little patience and small parts."""
    return S3Objects(place, **{"patience": QUICK, "least_part": PART, "read_timeout": 2.0, **settings})


def failure(call: Callable[[], object]) -> BackupError:
    """Return how a call fails."""
    with pytest.raises(BackupError) as caught:
        call()
    assert caught.value.hint
    assert SECRET not in caught.value.message + caught.value.hint
    return caught.value


def every_third_write(seen: Seen) -> Fault | None:
    """Refuse as a storage under load does."""
    return refuse(503, "SlowDown") if seen.kind in ("begin", "part", "put", "complete") and seen.same % 3 == 0 else None


PASSING = {
    "503 on every third write": every_third_write,
    "429 on a part": fault_at("part", refuse(429, "TooManyRequests"), 1),
    "429 on the end": fault_at("complete", refuse(429, "TooManyRequests"), 0),
    "500 on the begin": fault_at("begin", refuse(500, "InternalError"), 0, 1),
    "408": fault_at("part", refuse(408, "RequestTimeout"), 0),
    "RequestTimeout, which S3 says with 400": fault_at("part", refuse(400, "RequestTimeout"), 0),
    "reset in the middle of a part": fault_at("part", Fault(reset=True), 0, 2),
    "no answer": fault_at("part", Fault(wait=2.3), 1),
    "flipped byte": fault_at("part", Fault(flip=True), 0),
    "the answer to the end is lost": fault_at("complete", Fault(reset=True, forwarded=True), 0),
    "the answer to every end is lost": fault_at("complete", Fault(reset=True, forwarded=True)),
    "conflict": fault_at("put", refuse(409, "ConditionalRequestConflict"), 0),
    "a torn answer": fault_at("begin", Fault(200, b"<?xml version='1.0'?><Init"), 0),
}


@pytest.mark.parametrize("name", PASSING)
def test_what_passes_is_survived(objects: S3Objects, proxy: Proxy, name: str) -> None:
    proxy.fault = PASSING[name]
    written = objects.write("data", STREAM)
    small = objects.put("small", b"x", once=True)
    proxy.fault = lambda _: None
    assert (written.bytes, written.sha256, small.bytes) == (11 * MIB, SUM, 1)
    assert b"".join(objects.read("data", sha256=SUM)) == BODY * 11
    assert [each.key for each in objects.list("")] == ["data", "small"]


def test_a_lost_answer_to_a_write_once_is_no_stranger(objects: S3Objects, proxy: Proxy) -> None:
    proxy.fault = fault_at("put", Fault(reset=True, forwarded=True), 0)
    assert objects.put("claim", b"mine", once=True).bytes == 4
    assert proxy.count("put") == 2
    with pytest.raises(AlreadyThere):
        objects.put("claim", b"mine", once=True)


LASTING = {
    "down": (refuse(503, "ServiceUnavailable"), Code.STORAGE_TRANSIENT, 4),
    "full": (refuse(507, "InsufficientStorage"), Code.NO_SPACE, 1),
    "quota": (refuse(403, "QuotaExceeded"), Code.NO_SPACE, 1),
    "denied": (refuse(403, "AccessDenied"), Code.STORAGE_DENIED, 1),
    "unknown": (refuse(401, "Unauthorized"), Code.STORAGE_DENIED, 1),
    "no bucket": (refuse(404, "NoSuchBucket"), Code.CONFIG, 1),
    "skewed": (refuse(403, "RequestTimeTooSkewed"), Code.STORAGE_DENIED, 1),
    "no conditions": (refuse(501, "NotImplemented"), Code.CONFIG, 1),
    "wrong": (refuse(400, "InvalidRequest"), Code.CONFIG, 1),
    "reset": (Fault(reset=True), Code.STORAGE_TRANSIENT, 4),
    "part gone": (refuse(400, "InvalidPart"), Code.INTEGRITY, 1),
    "always damaged": (refuse(400, "BadDigest"), Code.INTEGRITY, 4),
}


@pytest.mark.parametrize("name", LASTING)
def test_what_lasts_has_its_code_and_leaves_no_upload(objects: S3Objects, proxy: Proxy, name: str) -> None:
    fault, code, tries = LASTING[name]
    proxy.fault = fault_at("part", fault)
    assert failure(lambda: objects.write("data", STREAM)).code is code
    # Two parts are under way at once: the other one may have been tried as well.
    assert tries <= proxy.count("part") <= 2 * tries
    before = proxy.count("put")
    proxy.fault = fault_at("put", fault)
    assert failure(lambda: objects.put("small", b"x")).code is code
    assert proxy.count("put") - before == tries
    proxy.fault = lambda _: None
    assert (objects.head("data"), objects.head("small"), list(objects.uploads(""))) == (None, None, [])


def test_a_wrong_region_is_named(objects: S3Objects, proxy: Proxy) -> None:
    proxy.fault = fault_at("put", refuse(301, "PermanentRedirect"))
    found = failure(lambda: objects.put("small", b"x"))
    assert (found.code, "pasargad_s3_region" in found.hint) == (Code.CONFIG, True)


def test_an_end_that_answers_200_with_an_error_is_no_success(objects: S3Objects, proxy: Proxy) -> None:
    told = dataclasses.replace(refuse(503, "InternalError"), status=200)
    proxy.fault = fault_at("complete", told)
    found = failure(lambda: objects.write("data", STREAM))
    assert (found.code, "InternalError" in found.message or "200" in found.message) == (Code.INTEGRITY, True)
    assert proxy.count("complete") == 1
    assert (objects.head("data"), list(objects.uploads(""))) == (None, [])


@pytest.mark.parametrize("told", [{"Content-Length": "7"}, {"x-amz-meta-writer": "another"}])
def test_an_object_of_another_size_or_writer_is_no_success(
    objects: S3Objects, proxy: Proxy, told: dict[str, str]
) -> None:
    proxy.fault = fault_at("head", Fault(headers=told))
    for write in (lambda: objects.put("data", b"12345678"), lambda: objects.write("long", STREAM, once=False)):
        assert failure(write).code is Code.INTEGRITY


def test_a_reading_goes_on_where_it_broke(objects: S3Objects, proxy: Proxy) -> None:
    objects.write("data", STREAM)
    proxy.fault = fault_at("get", Fault(short=3 * MIB + 7), 0, 1, 2)
    assert b"".join(objects.read("data", sha256=SUM)) == BODY * 11
    ranges = [headers.get("range") for headers in proxy.headers_of("get")]
    assert ranges == [None, *(f"bytes={(3 * MIB + 7) * number}-" for number in (1, 2, 3))]
    proxy.fault = fault_at("get", Fault(short=10), proxy.count("get"))
    objects.put("small", b"x" * 100)
    assert objects.get("small") == b"x" * 100


def test_a_reading_that_never_goes_on_ends(objects: S3Objects, proxy: Proxy) -> None:
    objects.put("small", b"x" * 100)
    reading = objects.read("small")
    proxy.fault = lambda seen: (
        Fault(short=10) if seen.kind == "get" and seen.same == 0 else Fault(reset=True) if seen.kind == "get" else None
    )
    assert failure(lambda: list(reading)).code is Code.STORAGE_TRANSIENT
    assert proxy.count("get") <= 6


def test_a_reading_does_not_go_on_in_another_object(objects: S3Objects, proxy: Proxy, place: Storage) -> None:
    plain = connected(dataclasses.replace(place, bucket="plain"))
    plain.write("data", STREAM)
    proxy.fault = fault_at("get", Fault(short=3 * MIB), 0)
    reading = plain.read("data")
    next(reading)
    plain.write("data", [BODY[::-1]] * 11, once=False)
    found = failure(lambda: list(reading))
    assert (found.code, "replaced" in found.hint) == (Code.INTEGRITY, True)


def test_conditions_and_sums_go_out_whatever_boto3_knows(objects: S3Objects, proxy: Proxy) -> None:
    objects.put("once", b"x", once=True)
    objects.put("again", b"x")
    objects.write("long", STREAM)
    objects.write("long", STREAM, once=False)
    puts, ends = proxy.headers_of("put"), proxy.headers_of("complete")
    assert [headers.get("if-none-match") for headers in puts] == ["*", None]
    assert [headers.get("if-none-match") for headers in ends] == ["*", None]
    assert all("if-none-match" in headers["authorization"] for headers in (puts[0], ends[0]))
    for headers in [*puts, *proxy.headers_of("part")]:
        assert {"content-md5", "x-amz-checksum-sha256"} <= set(headers)
        assert "aws-chunked" not in headers.get("content-encoding", "")
    objects.get("once")
    assert "x-amz-checksum-mode" not in proxy.headers_of("get")[0]


def test_versions_show_what_is_hidden_and_what_was_before(place: Storage) -> None:
    # Moto copies the content of all objects of a bucket to list its versions.
    objects = connected(dataclasses.replace(place, bucket="few"))
    first = objects.put("a", b"1")
    objects.put("a", b"22")
    objects.hide("a")
    assert [(each.key, each.bytes) for each in objects.versions("")] == [("a", 2), ("a", 1)]
    assert list(objects.list("")) == []
    assert objects.get("a", version=first.version) == b"1"
    assert b"".join(objects.read("a", version=first.version)) == b"1"


def test_listings_have_many_pages(place: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    # Moto copies the content of all objects of a bucket to list its versions.
    objects = connected(dataclasses.replace(place, bucket="few"))
    for number in range(5):
        objects.put(f"k{number}", b"x")
    client = objects._client
    for method in ("list_objects_v2", "list_object_versions"):
        whole = getattr(client, method)
        monkeypatch.setattr(client, method, lambda whole=whole, **asked: whole(**{"MaxKeys": 2, **asked}))
    for listing in (objects.list, objects.versions):
        assert [each.key for each in listing("k")] == [f"k{number}" for number in range(5)]


def test_what_is_retained_is_locked(objects: S3Objects, place: Storage) -> None:
    name = f"locked-{secrets.token_hex(4)}"
    objects._client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    locked = connected(dataclasses.replace(place, bucket=name))
    until = datetime.now(UTC) + timedelta(days=40)
    for written in (locked.put("a", b"x", retain_until=until), locked.write("b", STREAM, retain_until=until)):
        assert written.retain_until is not None
        assert abs(written.retain_until - until) < timedelta(seconds=1)
        assert locked.head(written.key) == dataclasses.replace(
            written, sha256=written.sha256 if written.key == "a" else ""
        )
        with pytest.raises(Exception, match="AccessDenied"):
            objects._client.delete_object(Bucket=name, Key=f"{place.prefix}/{written.key}", VersionId=written.version)
    locked.hide("a")
    assert locked.get("a", version=next(locked.versions("a")).version) == b"x"
    assert failure(lambda: objects.put("c", b"x", retain_until=until)).code is Code.CONFIG


@pytest.mark.parametrize(
    ("change", "code", "setting"),
    [
        ({"bucket": "none"}, Code.CONFIG, "pasargad_s3_backup_bucket"),
        ({"endpoint_url": "http://127.0.0.1:1"}, Code.STORAGE_TRANSIENT, "pasargad_s3_endpoint_url"),
        ({"endpoint_url": "no address"}, Code.CONFIG, "pasargad_s3_endpoint_url"),
        ({"ca_bundle": Path("/none")}, Code.CONFIG, "pasargad_s3_ca_bundle"),
        ({"addressing_style": "odd"}, Code.CONFIG, "pasargad_s3_addressing_style"),
        ({"key_id_file": Path("/none")}, Code.CONFIG, "vault_pasargad_s3_access_key_id"),
        ({"secret_file": None}, Code.CONFIG, "vault_pasargad_s3_secret_access_key"),
    ],
)
def test_a_wrong_setting_is_named(place: Storage, change: dict[str, Any], code: Code, setting: str) -> None:
    found = failure(lambda: connected(dataclasses.replace(place, **change)).head("a"))
    assert (found.code, setting in found.hint) == (code, True)


def test_wrong_and_open_keys_are_refused(place: Storage) -> None:
    assert place.secret_file is not None
    place.secret_file.write_text("wrong")
    found = failure(lambda: connected(place).put("a", b"x"))
    assert (found.code, "vault_pasargad_s3_secret_access_key" in found.hint) == (Code.STORAGE_DENIED, True)
    assert failure(lambda: connected(place).head("a")).code is Code.STORAGE_DENIED
    place.secret_file.chmod(0o644)
    assert "chmod" in failure(lambda: connected(place)).hint


def test_nothing_of_the_user_is_used(place: Storage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[default]\ns3 =\n  addressing_style = virtual\n")
    monkeypatch.setenv("AWS_PROFILE", "none")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIASTRANGER")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert open_objects(place).put("a", b"x").bytes == 1


def test_a_stream_of_too_many_parts_is_refused(objects: S3Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects_s3_parts, "MAX_PARTS", 2)
    found = failure(lambda: objects.write("data", STREAM))
    assert (found.code, "estimate" in found.hint) == (Code.CONFIG, True)
    assert list(objects.uploads("")) == []


def test_a_stream_is_not_read_on_after_a_failure(objects: S3Objects, proxy: Proxy) -> None:
    proxy.fault = fault_at("part", refuse(403, "AccessDenied"))
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield BODY

    assert failure(lambda: objects.write("data", endless())).code is Code.STORAGE_DENIED
    assert taken < 100


def test_the_size_of_parts() -> None:
    assert part_bytes(0) == part_bytes(9000 * 8 * MIB) == 8 * MIB
    assert part_bytes(10 << 40) * 10_000 > 11 << 40
    # However many streams there are, their parts take what those of one take.
    assert [share(8 * MIB, beside) for beside in (1, 2, 3, 4)] == [
        (8 * MIB, 5),
        (8 * MIB, 2),
        (5 * MIB, 2),
        (5 * MIB, 2),
    ]
    assert all(
        size * buffers * beside <= 40 * MIB for beside in (1, 2, 3, 4) for size, buffers in [share(8 * MIB, beside)]
    )


def test_patience() -> None:
    usual = Patience()
    assert [usual.pause(failures, 1.0) for failures in (1, 2, 3, 8)] == [1.0, 2.0, 4.0, 30.0]
    assert usual.pause(3, 0.0) == 0.0
    assert (usual.pause(1, 0.5, asked=7.0), usual.pause(1, 0.5, asked=300.0)) == (7.0, 30.0)
    calls = 0

    def fail() -> None:
        nonlocal calls
        calls += 1
        raise OSError("reset")

    with pytest.raises(OSError, match="reset"):
        persist(fail, Patience(tries=100, first=0.02, longest=0.02, budget=0.1))
    assert 2 < calls < 100
    stopped = threading.Event()
    stopped.set()
    calls = 0
    with pytest.raises(OSError, match="reset"):
        persist(fail, usual, stopped)
    assert calls == 1


def test_an_upload_that_cannot_be_aborted_hides_no_reason(
    objects: S3Objects, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects_s3, "BRIEF", Patience(tries=2, first=0.01, longest=0.02, budget=1))
    proxy.fault = lambda seen: refuse(503, "SlowDown") if seen.kind in ("abort", "parts") else None

    def broken() -> Iterator[bytes]:
        yield BODY * 11
        raise RuntimeError("the dump died")

    with pytest.raises(RuntimeError, match="the dump died"):
        objects.write("data", broken())
    proxy.fault = lambda _: None
    left = list(objects.uploads(""))
    assert [each.key for each in left] == ["data"]
    objects.abort(left[0])
    assert list(objects.uploads("")) == []
