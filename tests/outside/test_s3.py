"""S3: moto behind a door that knows its one key; boto3 is the judge."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.client import Config
from botocore.exceptions import ClientError

from .conftest import Service, read

KEY_ID, SECRET = "AKIAOUTSIDE", "right/secret+key"


@pytest.fixture
def store(run_service: Callable[..., Service]) -> Service:
    """Return a running S3 with three buckets."""
    buckets = [{"name": "backups", "versioning": True}, {"name": "media"}, {"name": "shown", "public": True}]
    return run_service("s3", key_id=KEY_ID, secret=SECRET, buckets=buckets)


def client(store: Service, key_id: str = KEY_ID, secret: str = SECRET, endpoint: str = "", **options: Any) -> Any:
    """Return boto3's own client."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint or store.url,
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}, **options),
    )


def test_objects_come_back_as_they_went(store: Service) -> None:
    s3 = client(store)
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["backups", "media", "shown"]
    for key in ("plain", "with space/and+plus&ünïcode=1.txt", "a//b"):
        s3.put_object(Bucket="media", Key=key, Body=key.encode(), ContentType="text/plain", Metadata={"who": "shop"})
        assert s3.get_object(Bucket="media", Key=key)["Body"].read() == key.encode()
    assert s3.list_objects_v2(Bucket="media", Prefix="with space/")["KeyCount"] == 1
    s3.delete_object(Bucket="media", Key="plain")
    with pytest.raises(ClientError, match="NoSuchKey"):
        s3.get_object(Bucket="media", Key="plain")


def test_large_objects_go_in_parts(store: Service) -> None:
    s3 = client(store)
    upload = s3.create_multipart_upload(Bucket="backups", Key="big")["UploadId"]
    parts = []
    for number, body in ((1, b"a" * (5 << 20)), (2, b"b")):
        answer = s3.upload_part(Bucket="backups", Key="big", UploadId=upload, PartNumber=number, Body=body)
        parts.append({"ETag": answer["ETag"], "PartNumber": number})
    s3.complete_multipart_upload(Bucket="backups", Key="big", UploadId=upload, MultipartUpload={"Parts": parts})
    assert s3.head_object(Bucket="backups", Key="big")["ContentLength"] == (5 << 20) + 1


def test_the_endpoints_own_name_is_no_bucket(store: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **more: resolve("127.0.0.1", *rest, **more))
    s3 = client(store, endpoint=store.url.replace("127.0.0.1", "s3.outside.test"))
    s3.put_object(Bucket="media", Key="k", Body=b"x")
    assert s3.get_object(Bucket="media", Key="k")["Body"].read() == b"x"


def test_versioning_is_on_where_asked(store: Service) -> None:
    s3 = client(store)
    assert s3.get_bucket_versioning(Bucket="backups")["Status"] == "Enabled"
    assert "Status" not in s3.get_bucket_versioning(Bucket="media")


def test_wrong_keys_are_refused(store: Service) -> None:
    with pytest.raises(ClientError, match="InvalidAccessKeyId"):
        client(store, key_id="AKIAOTHER").list_buckets()
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        client(store, secret="wrong").list_buckets()


def test_unsigned_and_old_signatures_are_refused(store: Service) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(store.url + "/media/plain", timeout=10)
    assert caught.value.code == 403
    with pytest.raises(ClientError, match="AccessDenied"):
        client(store, signature_version="s3").list_buckets()


def test_anybody_reads_objects_of_a_public_bucket_and_nothing_else(store: Service) -> None:
    client(store).put_object(Bucket="shown", Key="a/b.png", Body=b"picture")
    with urllib.request.urlopen(store.url + "/shown/a/b.png", timeout=10) as answer:
        assert answer.read() == b"picture"
    written = urllib.request.Request(store.url + "/shown/a/b.png", data=b"other", method="PUT")
    for refused in (written, store.url + "/shown", store.url + "/shown/?list-type=2"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(refused, timeout=10)
        assert caught.value.code == 403


def test_presigned_links_work_until_they_expire_and_for_nothing_else(store: Service) -> None:
    s3 = client(store, signature_version="s3v4")
    s3.put_object(Bucket="media", Key="a b", Body=b"hello")
    link = s3.generate_presigned_url("get_object", Params={"Bucket": "media", "Key": "a b"}, ExpiresIn=60)
    with urllib.request.urlopen(link, timeout=10) as answer:
        assert answer.read() == b"hello"
    expired = s3.generate_presigned_url("get_object", Params={"Bucket": "media", "Key": "a b"}, ExpiresIn=-1)
    for wrong in (link.replace("/a%20b", "/other"), expired):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(wrong, timeout=10)
        assert caught.value.code == 403


def test_the_board_sees_the_buckets(store: Service, run_service: Callable[..., Service]) -> None:
    client(store).put_object(Bucket="media", Key="k", Body=b"12345")
    board = run_service("board", s3_url=store.url, acme_management_url="", authority="")
    shown = {bucket["name"]: bucket for bucket in read(board, "/api/buckets")}
    assert (shown["media"]["objects"], shown["media"]["bytes"]) == (1, 5)
    assert (shown["backups"]["objects"], shown["backups"]["versioning"]) == (0, True)


def test_a_policy_forbids_what_it_names_and_nothing_else(store: Service) -> None:
    s3 = client(store)
    once = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::backups/once/*",
        "Condition": {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}},
    }
    plain = {**once, "Action": "s3:*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    s3.put_bucket_policy(Bucket="backups", Policy=json.dumps({"Version": "2012-10-17", "Statement": [once, plain]}))
    with pytest.raises(ClientError, match="explicit deny"):
        s3.put_object(Bucket="backups", Key="once/a", Body=b"x")
    s3.put_object(Bucket="backups", Key="once/a", Body=b"x", IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket="backups", Key="once/a", Body=b"x", IfNoneMatch="*")
    s3.put_object(Bucket="backups", Key="often/a", Body=b"x")
    assert s3.get_object(Bucket="backups", Key="once/a")["Body"].read() == b"x"
    upload = {"Bucket": "backups", "Key": "once/b"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    part = {"ETag": s3.upload_part(**upload, PartNumber=1, Body=b"y")["ETag"], "PartNumber": 1}
    with pytest.raises(ClientError, match="explicit deny"):
        s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [part]})
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [part]}, IfNoneMatch="*")
    # A proxy says how a request came to it.
    s3.meta.events.register(
        "before-send.s3", lambda request, **_: request.headers.update({"X-Forwarded-Proto": "http"})
    )
    with pytest.raises(ClientError, match="explicit deny"):
        s3.get_object(Bucket="backups", Key="once/a")


def test_a_body_that_is_not_what_its_sum_says_is_refused(store: Service) -> None:
    with pytest.raises(ClientError, match="BadDigest"):
        client(store).put_object(Bucket="media", Key="k", Body=b"x", ContentMD5="1B2M2Y8AsgTpgAmY7PhCfg==")
    assert client(store).list_objects_v2(Bucket="media")["KeyCount"] == 0
