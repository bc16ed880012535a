"""What writer, reader and janitor really ask a storage for, held against the document of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from pasargad_ops.backup.bucket import BucketRequest, bucket_apply, bucket_audit
from pasargad_ops.backup.bucket_policies import role_documents
from pasargad_ops.backup.objects_s3 import S3Objects
from tests.backup.bucket_rig import (
    PLACE,
    ids,
)
from tests.backup.s3_proxy import Fault, Proxy, Seen, refuse
from tests.policies import effect, judge


def test_a_readers_keys_are_enough_for_the_audit(request_: BucketRequest, proxy: Proxy) -> None:
    bucket_apply(request_, dry_run=False)
    asked: list[str] = []

    def by_reader(seen: Seen) -> Fault | None:
        path, _, query = seen.path.partition("?")
        environ = {"PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": METHODS.get(seen.kind, "GET")}
        want = judge.asked_of({**environ, "HTTP_IF_NONE_MATCH": "*"})
        asked.append(want.action)
        return None if may("reader", request_, want) else refuse(403, "AccessDenied")

    proxy.fault = by_reader
    assert ids(bucket_audit(request_)) == []
    assert {"s3:ListBucket", "s3:GetBucketPolicy", "s3:PutObject"} <= set(asked)
    proxy.fault = lambda seen: refuse(403, "AccessDenied") if "?policy" in seen.path else None
    hidden = bucket_audit(dataclasses.replace(request_, accept=("policy.admins",)))
    assert ids(hidden) == ["policy"]


METHODS = {"put": "PUT", "head": "HEAD"}


def may(role: str, request_: BucketRequest, want: Any) -> bool:
    """Tell whether a role's document allows a request."""
    statements = role_documents(request_.rules)[role]["Statement"]
    return effect(statements, want.action, want.resource) == "Allow"


def logical_and_physical(objects: S3Objects) -> None:
    until = datetime.now(UTC) + timedelta(days=100)
    prefix = PLACE.logical(until, "R")
    objects.put(f"{PLACE.claims}logical/2026-11-28/attempt-1.json", b"{}", once=True)
    objects.write(f"{prefix}data-000.age", [b"x" * (6 << 20), b"y"], retain_until=until, tier="weekly")
    objects.write(f"{prefix}post.age", [b"z"], retain_until=until, tier="weekly")
    objects.put(PLACE.manifest(7), b"{}", once=True, retain_until=until)
    objects.put(f"{PLACE.root}physical/g1/backup/main/backup.info", b"x")
    objects.put(f"{PLACE.root}physical/g1/backup/main/backup.info", b"y")
    objects.hide(f"{PLACE.root}physical/g1/backup/main/backup.info")
    assert [each.key for each in objects.list(PLACE.manifests)] == [PLACE.manifest(7)]
    assert objects.get(PLACE.manifest(7)) == b"{}"
    assert list(objects.uploads("")) == []


def verify_and_drill(objects: S3Objects) -> None:
    objects.put(f"{PLACE.claims}drill/2026-11-28/attempt-1.json", b"{}", once=True)
    for stored in objects.list(PLACE.root):
        assert sum(len(chunk) for chunk in objects.read(stored.key)) == stored.bytes
    for stored in objects.versions(PLACE.root):
        assert len(objects.get(stored.key, version=stored.version)) == stored.bytes


def expire(objects: S3Objects) -> None:
    objects.put(PLACE.tombstone(7), b"{}", once=True)
    for stored in objects.list(f"{PLACE.root}logical/"):
        assert objects.head(stored.key) is not None
        objects.hide(stored.key)
    objects.hide(PLACE.manifest(7))
    for upload in objects.uploads(PLACE.root):
        objects.abort(upload)


def test_the_documents_are_enough_for_what_each_role_does(
    request_: BucketRequest, objects: Callable[[], S3Objects], client: Any
) -> None:
    bucket_apply(request_, dry_run=False)
    for role, work in (("writer", logical_and_physical), ("reader", verify_and_drill), ("janitor", expire)):
        if role == "janitor":
            dead = {"Bucket": request_.rules.bucket, "Key": f"{PLACE.root}physical/g1/dead"}
            client.create_multipart_upload(**dead)
        door = objects()
        asked: list[Any] = []

        def remember(request: Any, asked: list[Any] = asked, **_: object) -> None:
            path, _, query = request.url.partition("://")[2].partition("?")
            told = {"PATH_INFO": "/" + path.partition("/")[2], "QUERY_STRING": query, "REQUEST_METHOD": request.method}
            asked.append(judge.asked_of(told))
            if "x-amz-tagging" in request.headers:
                asked.append(dataclasses.replace(asked[-1], action="s3:PutObjectTagging"))
            if "x-amz-object-lock-mode" in request.headers:
                asked.append(dataclasses.replace(asked[-1], action="s3:PutObjectRetention"))

        door._client.meta.events.register("before-send.s3", remember)
        work(door)
        assert asked
        refused = {(want.action, want.resource) for want in asked if not may(role, request_, want)}
        assert refused == set(), role
