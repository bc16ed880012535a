"""The physical leg in a bucket with versions: what pgbackrest wrote is attested by version, and a newer one is seen."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pasargad_ops.backup.errors import BackupError, Code
from pasargad_ops.backup.physical import PhysicalRequest, backup_physical
from pasargad_ops.backup.repository_objects import set_at
from pasargad_ops.backup.verify import VerifyRequest, verify
from tests.backup.jobs_rig import Host, host
from tests.backup.pgbackrest_rig import until
from tests.outside.conftest import Service, free_port

KEY_ID, SECRET, PREFIX = "AKIABACKUP", "right/secret+key", "shop"
# Before 2.58 pgbackrest speaks TLS alone, and it wants connections that are ended as nginx ends them.
NGINX = """
daemon off;
pid {root}/nginx.pid;
error_log {root}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {root}/body;
    proxy_temp_path {root}/proxy;
    fastcgi_temp_path {root}/fastcgi;
    uwsgi_temp_path {root}/uwsgi;
    scgi_temp_path {root}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {root}/tls.crt;
        ssl_certificate_key {root}/tls.key;
        client_max_body_size 0;
        location / {{
            proxy_pass {behind};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Connection "";
            proxy_request_buffering off;
        }}
    }}
}}
"""
PGBACKREST = """repo1-type=s3
repo1-s3-bucket=backups
repo1-s3-endpoint=localhost
repo1-s3-region=us-east-1
repo1-s3-uri-style=path
repo1-s3-key={key}
repo1-s3-key-secret={secret}
repo1-storage-port={port}
repo1-storage-ca-file={authority}"""


@dataclass(frozen=True)
class Bucket:
    """A bucket behind TLS, as the jobs and as pgbackrest are told of it."""

    settings: dict[str, Any]
    pgbackrest: str


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    root = tmp_path_factory.mktemp("s3")
    for path in (root, *root.parents):
        # pgbackrest reads the authority as another user.
        if path.is_relative_to("/tmp") and path != Path("/tmp"):
            path.chmod(0o755)
    buckets = [{"name": "backups", "versioning": True}]
    own = {"host": "127.0.0.1", "port": free_port(), "key_id": KEY_ID, "secret": SECRET, "buckets": buckets}
    service = Service("s3", root, {"state_dir": str(root), "s3": own})
    service.start()
    request = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "1",
    ]
    files = ["-keyout", str(root / "tls.key"), "-out", str(root / "tls.crt"), "-subj", "/CN=localhost"]
    subprocess.run([*request, *files, "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
    port = free_port()
    (root / "nginx.conf").write_text(NGINX.format(root=root, port=port, behind=service.url))
    nginx = subprocess.Popen(["nginx", "-c", str(root / "nginx.conf"), "-e", str(root / "error.log")])
    until(lambda: (root / "nginx.pid").exists())
    for name, value in (("id", KEY_ID), ("secret", SECRET)):
        (root / name).touch(0o600)
        (root / name).write_text(value)
    settings = {
        "bucket": "backups",
        "prefix": PREFIX,
        "endpoint_url": f"https://localhost:{port}",
        "region": "us-east-1",
        "addressing_style": "path",
        "ca_bundle": str(root / "tls.crt"),
        "key_id_file": str(root / "id"),
        "secret_file": str(root / "secret"),
    }
    try:
        more = PGBACKREST.format(port=port, authority=root / "tls.crt", key=KEY_ID, secret=SECRET)
        yield Bucket(settings, more)
    finally:
        nginx.terminate()
        nginx.wait(20)
        service.stop()


@pytest.fixture(scope="module")
def made(bucket: Bucket) -> Iterator[Host]:
    with host(bucket.settings, bucket.pgbackrest) as started:
        for slot in ("full", "diff"):
            backup_physical(started.context, PhysicalRequest(slot=slot))
        yield started


def test_the_repository_is_attested_by_version_and_verified(made: Host) -> None:
    context = made.context
    chain = context.chain()
    chain.require_sound()
    assert [entry.manifest.physical.type for entry in chain.entries if entry.manifest.physical] == ["full", "diff"]
    for entry in chain.entries:
        parts = entry.manifest.objects
        assert len(parts) > 3
        prefix = set_at(context.place, entry.manifest)
        assert {part.key for part in parts} == {stored.key for stored in context.objects.list(prefix)}
        for part in parts:
            stored = context.objects.head(part.key)
            assert stored is not None and part.version and part.version == stored.version
    assert made.metric("physical", "repo_bytes") > 1_000_000
    for level in (0, 1, 2):
        assert verify(made.context, VerifyRequest(level)).details["sets"] == 2
    assert abs(made.metric("verify", "clock_skew_seconds")) < 2


def test_an_object_that_was_written_anew_with_the_same_bytes_is_seen(made: Host) -> None:
    """The size is the same and even the bytes are: only the version tells that somebody was there."""
    context = made.context
    part = next(part for part in context.chain().entries[1].manifest.objects if part.role == "bundle/1")
    context.objects.put(part.key, context.objects.get(part.key))
    with pytest.raises(BackupError, match=r"bundle/1 is version .*, committed was") as caught:
        verify(made.context, VerifyRequest(0))
    assert caught.value.code == Code.INTEGRITY


def test_a_repository_in_another_bucket_place_is_refused(made: Host) -> None:
    storage = {**made.more["storage"], "prefix": "elsewhere"}
    other = dataclasses.replace(made, more={**made.more, "storage": storage})
    with pytest.raises(BackupError, match="not in the storage at") as caught:
        backup_physical(other.context, PhysicalRequest(slot="elsewhere"))
    assert caught.value.code == Code.CONFIG
