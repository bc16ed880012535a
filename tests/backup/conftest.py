"""A storage of its own, a proxy before it, and what is asked for a bucket there."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pasargad_ops.backup.bucket import BucketRequest, bucket_apply
from pasargad_ops.backup.bucket_rules import BucketRules
from pasargad_ops.backup.objects import Storage
from pasargad_ops.backup.objects_s3 import S3Objects
from tests.backup.bucket_rig import (
    KEY_ID,
    QUICK,
    ROOT,
    SECRET,
)
from tests.backup.s3_proxy import Proxy
from tests.outside.conftest import Service, free_port


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run the lab's S3."""
    folder = tmp_path_factory.mktemp("s3")
    own = {"host": "127.0.0.1", "port": free_port(), "key_id": KEY_ID, "secret": SECRET, "buckets": []}
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
def request_(proxy: Proxy) -> BucketRequest:
    """Return what is asked for a bucket that does not exist yet."""
    rules = BucketRules(f"b-{secrets.token_hex(6)}", "prod", admins=(ROOT,))
    return BucketRequest(rules, KEY_ID, SECRET, proxy.url, "us-east-1", "path", patience=QUICK)


@pytest.fixture(scope="module")
def standing(s3: Service) -> BucketRequest:
    """Return a bucket that is as it should be, and is left so by each test."""
    rules = BucketRules(f"b-{secrets.token_hex(6)}", "prod", admins=(ROOT,))
    request = BucketRequest(rules, KEY_ID, SECRET, s3.url, "us-east-1", "path", patience=QUICK)
    bucket_apply(request, dry_run=False)
    return request


@pytest.fixture
def client(request_: BucketRequest) -> Any:
    """Return the client of an administrator."""
    return request_.open()._client


@pytest.fixture
def objects(request_: BucketRequest, tmp_path: Path) -> Callable[[], S3Objects]:
    """Return a function that opens the bucket as jobs do."""
    for name, value in (("id", KEY_ID), ("secret", SECRET)):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text(value)
    files = {"key_id_file": tmp_path / "id", "secret_file": tmp_path / "secret"}
    place = Storage(request_.rules.bucket, "", request_.endpoint_url, "us-east-1", "path", **files)
    return lambda: S3Objects(place, patience=QUICK, least_part=5 << 20)
