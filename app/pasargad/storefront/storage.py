"""Uploads in an S3 bucket: as much of Django's storage as the shop uses."""

from __future__ import annotations

import mimetypes
from functools import cached_property
from typing import Any
from urllib.parse import quote

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from django.conf import settings
from django.core.files.base import ContentFile, File
from django.core.files.storage import Storage
from django.utils.deconstruct import deconstructible

# Names follow from contents, so a file never changes under its name.
CACHE_CONTROL = "public, max-age=31536000, immutable"


@deconstructible
class BucketStorage(Storage):
    """Keeps files under `S3_MEDIA_PREFIX` in `S3_MEDIA_BUCKET`."""

    @cached_property
    def _client(self) -> Any:
        own = settings.STORAGE
        return boto3.client(
            "s3",
            endpoint_url=own.endpoint_url,
            region_name=own.region,
            aws_access_key_id=own.access_key_id,
            aws_secret_access_key=own.secret_access_key,
            verify=own.ca_bundle or None,
            config=Config(s3={"addressing_style": own.addressing_style}, retries={"mode": "standard"}),
        )

    def _key(self, name: str) -> str:
        prefix = settings.STORAGE.prefix.strip("/")
        return f"{prefix}/{name}" if prefix else name

    def _open(self, name: str, mode: str = "rb") -> File:
        try:
            answer = self._client.get_object(Bucket=settings.STORAGE.bucket, Key=self._key(name))
        except ClientError as error:
            raise FileNotFoundError(name) from error
        return ContentFile(answer["Body"].read(), name)

    def _save(self, name: str, content: File) -> str:
        content.seek(0)
        self._client.put_object(
            Bucket=settings.STORAGE.bucket,
            Key=self._key(name),
            Body=content.read(),
            ContentType=mimetypes.guess_type(name)[0] or "application/octet-stream",
            CacheControl=CACHE_CONTROL,
        )
        return name

    def exists(self, name: str) -> bool:
        try:
            self._client.head_object(Bucket=settings.STORAGE.bucket, Key=self._key(name))
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return False
            raise
        return True

    def delete(self, name: str) -> None:
        self._client.delete_object(Bucket=settings.STORAGE.bucket, Key=self._key(name))

    def size(self, name: str) -> int:
        return self._client.head_object(Bucket=settings.STORAGE.bucket, Key=self._key(name))["ContentLength"]

    def url(self, name: str | None) -> str:
        own = settings.STORAGE
        base = own.public_url or f"{own.endpoint_url}/{own.bucket}"
        return f"{base.rstrip('/')}/{quote(self._key(name or ''))}"
