"""Uploads in a bucket, against a real S3 server on the loopback."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import requests
from django.core.files.base import ContentFile
from moto.server import ThreadedMotoServer

from pasargad.storefront.storage import BucketStorage


@pytest.fixture
def bucket(settings) -> Iterator[BucketStorage]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings.STORAGE = replace(
        settings.STORAGE, bucket="media", prefix="shop", endpoint_url=f"http://{host}:{port}", access_key_id="test",
        secret_access_key="test", addressing_style="path", public_url="",
    )  # fmt: skip
    storage = BucketStorage()
    storage._client.create_bucket(Bucket="media")
    yield storage
    server.stop()


def test_a_file_is_stored_served_and_deleted(bucket):
    name = bucket.save("products/ab/lamp.webp", ContentFile(b"picture"))
    assert name == "products/ab/lamp.webp" and bucket.exists(name) and bucket.size(name) == 7
    assert bucket.open(name).read() == b"picture"
    # The bucket's owner lets the world read; the shop itself needs no such right.
    bucket._client.put_object_acl(Bucket="media", Key=f"shop/{name}", ACL="public-read")
    answer = requests.get(bucket.url(name), timeout=5)
    assert answer.content == b"picture" and answer.headers["Content-Type"] == "image/webp"
    assert "immutable" in answer.headers["Cache-Control"]
    bucket.delete(name)
    assert not bucket.exists(name)
    with pytest.raises(FileNotFoundError):
        bucket.open(name)


def test_a_public_address_stands_before_the_bucket_s_own(bucket, settings):
    settings.STORAGE = replace(settings.STORAGE, public_url="https://cdn.example")
    assert bucket.url("a b.jpeg") == "https://cdn.example/shop/a%20b.jpeg"
