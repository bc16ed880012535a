"""A rescue in the lab's own S3: copies within the bucket, with all that is known of them, also after a kill."""

from __future__ import annotations

import dataclasses
import json
import secrets
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pasargad_ops.backup import objects_s3
from pasargad_ops.backup.config import BackupConfig
from pasargad_ops.backup.context import Context
from pasargad_ops.backup.errors import BackupError, Code
from pasargad_ops.backup.objects import NotThere, Storage
from pasargad_ops.backup.objects_s3 import S3Objects
from pasargad_ops.backup.rescue import RescueRequest, rescue
from pasargad_ops.backup.walk import inspect
from tests.backup.s3_proxy import Fault, Proxy, fault_at, refuse
from tests.backup.test_objects_s3 import BODY, KEY_ID, PART, SECRET, SUM, connected, failure
from tests.outside.conftest import Service, free_port
from tests.unit.backup.frame import settings, start
from tests.unit.backup.sets import Cluster

SCRIPT = """
import json, sys
from datetime import datetime
from pasargad_ops.backup import rescue
from pasargad_ops.backup.config import BackupConfig
from pasargad_ops.backup.context import Context
from pasargad_ops.backup.errors import BackupError
rescue.BATCH, rescue.AT_ONCE = 5, 1
context = Context(BackupConfig.from_mapping(json.loads(sys.argv[1])))
try:
    print(rescue.rescue(context, rescue.RescueRequest(datetime.fromisoformat(sys.argv[2]), apply=True)).summary)
except BackupError as error:
    sys.exit(f"{error.message}")
"""


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run the lab's S3 with versioned buckets and a plain one."""
    folder = tmp_path_factory.mktemp("s3")
    buckets = [{"name": "backups", "versioning": True}, {"name": "sets", "versioning": True}, {"name": "plain"}]
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
    own = f"own/{secrets.token_hex(6)}"
    return Storage("backups", own, proxy.url, "us-east-1", "path", None, tmp_path / "id", tmp_path / "secret")


@pytest.fixture
def objects(place: Storage) -> S3Objects:
    """Return the bucket, with little patience and small parts."""
    return connected(place)


def test_an_older_version_comes_back_with_all_that_is_known_of_it(objects: S3Objects) -> None:
    first = objects.write("a", [b"as it was"], tier="weekly")
    objects.put("a", b"evil")
    objects.hide("a")
    back = objects.bring_back("a", first.version)
    assert (back.bytes, back.sha256, back.version != first.version) == (9, first.sha256, True)
    assert objects.head("a") == back
    assert objects.get("a") == b"as it was"
    named = objects._named("a")
    assert objects._client.get_object_tagging(**named)["TagSet"] == [{"Key": "tier", "Value": "weekly"}]
    assert next(objects.versions("a")).version == back.version
    assert [each.key for each in objects.markers("")] == ["a"]
    with pytest.raises(NotThere):
        objects.bring_back("a", "00000000-0000-0000-0000-000000000000")
    with pytest.raises(NotThere):
        objects.bring_back("none", first.version)


def test_a_large_one_comes_back_in_parts(objects: S3Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects_s3, "LARGEST_COPY_BYTES", PART)
    monkeypatch.setattr(objects_s3, "COPY_PART_BYTES", PART)
    first = objects.write("big/one", [BODY] * 11, tier="monthly")
    objects.put("big/one", b"evil")
    back = objects.bring_back("big/one", first.version)
    assert back.bytes == 11 << 20
    assert b"".join(objects.read("big/one", sha256=SUM)) == BODY * 11
    found = objects._client.get_object_tagging(**objects._named("big/one"))["TagSet"]
    assert found == [{"Key": "tier", "Value": "monthly"}]
    assert list(objects.uploads("")) == []


def test_a_large_one_that_cannot_come_back_leaves_no_upload(
    objects: S3Objects, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects_s3, "LARGEST_COPY_BYTES", PART)
    monkeypatch.setattr(objects_s3, "COPY_PART_BYTES", PART)
    first = objects.write("big/one", [BODY] * 11)
    objects.hide("big/one")
    proxy.fault = fault_at("part", refuse(403, "AccessDenied"), *range(proxy.count("part"), proxy.count("part") + 9))
    assert failure(lambda: objects.bring_back("big/one", first.version)).code is Code.STORAGE_DENIED
    proxy.fault = lambda _: None
    assert (objects.head("big/one"), list(objects.uploads(""))) == (None, [])


def test_what_was_locked_is_locked_as_long(objects: S3Objects, place: Storage) -> None:
    name = f"locked-{secrets.token_hex(4)}"
    objects._client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    locked = connected(dataclasses.replace(place, bucket=name))
    until = datetime.now(UTC) + timedelta(days=400)
    first = locked.put("a", b"x", retain_until=until)
    locked.hide("a")
    back = locked.bring_back("a", first.version)
    assert back.retain_until is not None and abs(back.retain_until - until) < timedelta(seconds=1)


def test_who_writes_at_the_same_time_is_not_taken_for_the_copy(objects: S3Objects, proxy: Proxy) -> None:
    first = objects.put("a", b"as it was")
    objects.hide("a")
    looks = proxy.count("head")
    # The look at what is there now is answered with another version: somebody was quicker.
    proxy.fault = fault_at("head", Fault(headers={"x-amz-version-id": "another"}), looks + 1)
    found = failure(lambda: objects.bring_back("a", first.version))
    assert (found.code, "change the key" in found.hint) == (Code.INTEGRITY, True)


def test_a_directory_has_nothing_to_bring_back(tmp_path: Path) -> None:
    from pasargad_ops.backup.objects import open_objects

    directory = open_objects(Storage(directory=tmp_path))
    directory.put("a", b"x")
    with pytest.raises(BackupError, match="keeps no versions") as caught:
        directory.bring_back("a", "1")
    assert caught.value.code is Code.CONFIG
    assert list(directory.markers("")) == []


class Host:
    """A host whose sets lie in the bucket, with a cluster to make them."""

    def __init__(self, directory: Path, url: str, bucket: str = "sets") -> None:
        storage: dict[str, Any] = {"bucket": bucket, "prefix": f"own/{secrets.token_hex(6)}", "endpoint_url": url}
        storage |= {"region": "us-east-1", "addressing_style": "path", "key_id_file": str(directory / "id")}
        self.values = settings(directory, storage={**storage, "secret_file": str(directory / "secret")})
        self.context = Context(BackupConfig.from_mapping(self.values))
        self.cluster = Cluster(directory)
        self.cluster.shelf = self.context.objects  # type: ignore[assignment]
        self.cluster.memory = self.context.config.memory_file

    def commit(self, slot: str) -> None:
        # Cluster.draft asks the shelf in memory for its time.
        self.context.objects.clock = datetime.now(UTC)  # type: ignore[attr-defined]
        self.cluster.commit(slot)

    def whole(self) -> bool:
        chain = self.context.chain()
        return not chain.findings and all(not inspect(self.context.objects, entry) for entry in chain.offered)

    def ruin(self) -> None:
        for number, stored in enumerate(list(self.context.objects.list(self.context.place.root))):
            if number % 2:
                self.context.objects.hide(stored.key)
            else:
                self.context.objects.put(stored.key, b"evil")


@pytest.fixture
def shop(place: Storage, s3: Service, tmp_path: Path) -> Host:
    """Return a host with three sets, a moment before somebody ruins them."""
    made = Host(tmp_path, s3.url)
    for slot in ("one", "two", "three"):
        made.commit(slot)
    # S3 tells whole seconds.
    time.sleep(1.1)
    return made


def test_a_ruined_bucket_is_whole_again(shop: Host) -> None:
    assert shop.whole()
    at = shop.context.objects.now()
    time.sleep(1.1)
    shop.ruin()
    assert not shop.whole()
    outcome = rescue(shop.context, RescueRequest(at, apply=True))
    assert outcome.details["objects"] == 9
    assert shop.whole()
    assert rescue(shop.context, RescueRequest(at, apply=True)).changed is False


def test_a_rescue_that_is_killed_is_run_again(shop: Host, proxy: Proxy) -> None:
    at = shop.context.objects.now()
    time.sleep(1.1)
    shop.ruin()
    behind = {**shop.values, "storage": {**shop.values["storage"], "endpoint_url": proxy.url}}
    # The seventh copy gets no answer: the first five are signed, the sixth is not.
    copies = 0

    def stall(seen: Any) -> Fault | None:
        nonlocal copies
        copies += seen.kind == "put"
        return Fault(wait=30) if copies > 7 else None

    proxy.fault = stall
    process = start(SCRIPT, json.dumps(behind), at.isoformat())
    while copies <= 7 and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait(20) == -signal.SIGKILL, process.communicate()[1]
    assert len(list(shop.context.objects.list(shop.context.place.rescued))) == 1
    assert not shop.whole()
    second = start(SCRIPT, json.dumps(shop.values), at.isoformat())
    out, err = second.communicate(timeout=60)
    assert second.returncode == 0, err
    assert "the chain is sound" in out
    assert shop.whole()


def test_a_bucket_without_versions_is_refused(place: Storage, s3: Service, tmp_path: Path) -> None:
    made = Host(tmp_path, s3.url, "plain")
    made.commit("one")
    with pytest.raises(BackupError, match="keeps no versions") as caught:
        rescue(made.context, RescueRequest(made.context.objects.now()))
    assert caught.value.code is Code.CONFIG
