"""Ask a storage about a bucket itself, and change it: by the client of objects_s3, and with words for what it lacks."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import ClientError

from .errors import BackupError, Code
from .objects import Storage
from .objects_s3_client import Call, checked, connect
from .objects_s3_faults import KEYS, REGION, Patience, explain, is_passing, persist, status_of

# How storages say that they have never heard of a setting.
LACKING = {"NotImplemented", "XNotImplemented", "MethodNotAllowed", "NotSupported", "UnsupportedOperation"}
NO_BUCKET = {"NoSuchBucket", "404"}
# Signed for another region, the address without one cannot make a bucket there; the client knows each region's own.
AWS_WITHOUT_REGION = "https://s3.amazonaws.com"
PATIENCE = Patience(tries=5, longest=5.0, budget=60.0)


class NotSupported(BackupError):
    """The storage lacks what was asked for."""


class NotAccepted(BackupError):
    """The storage has the setting and refuses this value of it."""


class BucketDoor:
    """One bucket of S3 or of anything that speaks it, by the keys of whoever may set it up.

    `owner` is the number of the account that must own the bucket; empty where storages have none. An object is put
    only under a key that has none yet.
    """

    def __init__(
        self, place: Storage, keys: tuple[str, str], *, owner: str = "", patience: Patience = PATIENCE
    ) -> None:
        self.place = place
        self.sent: list[str] = []
        self._patience = patience
        self._named: Call = {"Bucket": place.bucket, **({"ExpectedBucketOwner": owner} if owner else {})}
        endpoint = place.endpoint_url.rstrip("/")
        at = dataclasses.replace(place, endpoint_url="" if endpoint == AWS_WITHOUT_REGION else endpoint)
        self._client = connect(at, 10.0, 60.0, keys=keys)
        self._client.meta.events.register("before-call.s3.PutObject", self._add_condition)

    def exists(self) -> tuple[bool, datetime]:
        """Tell whether the bucket exists, and the storage's time; raises STORAGE_DENIED where it is somebody else's."""
        try:
            answer = self._call("list_objects_v2", MaxKeys=1)
        except ClientError as error:
            if status_of(error)[1] in NO_BUCKET:
                return False, _date(error.response)
            raise self._told(error, f"look at s3://{self.place.bucket}") from error
        except Exception as error:
            raise explain(error, f"look at s3://{self.place.bucket}", self.place) from error
        return True, _date(answer)

    def create(self) -> None:
        """Make the bucket with Object Lock, and without where the storage has none."""
        wanted: Call = {"ObjectLockEnabledForBucket": True}
        if self.place.region not in ("", "us-east-1"):
            wanted["CreateBucketConfiguration"] = {"LocationConstraint": self.place.region}
        try:
            self._create(wanted)
        except (NotSupported, NotAccepted):
            del wanted["ObjectLockEnabledForBucket"]
            self._create(wanted)

    def read(self, method: str, absent: frozenset[str]) -> Call | None:
        """Return a setting as the storage tells it, None where it is not set; raises NotSupported."""
        try:
            return self._call(method)
        except ClientError as error:
            if status_of(error)[1] in absent:
                return None
            raise self._told(error, f"{method} of s3://{self.place.bucket}") from error
        except Exception as error:
            raise explain(error, f"{method} of s3://{self.place.bucket}", self.place) from error

    def write(self, method: str, **value: Any) -> None:
        """Change a setting; raises NotSupported or NotAccepted where this storage cannot have it so."""
        self.sent.append(method)
        try:
            self._call(method, **value)
        except ClientError as error:
            raise self._told(error, f"{method} of s3://{self.place.bucket}") from error
        except Exception as error:
            raise explain(error, f"{method} of s3://{self.place.bucket}", self.place) from error

    def has(self, key: str) -> bool:
        """Tell whether a key has an object."""
        try:
            self._call("head_object", Key=key)
        except ClientError as error:
            if status_of(error)[0] == 404:
                return False
            raise self._told(error, f"look at s3://{self.place.bucket}/{key}") from error
        return True

    def put_once(self, key: str, body: bytes, **sums: str) -> str:
        """Put an object under `If-None-Match: *`, with other sums than its own if given; returns the error's code."""
        sent = {**self._named, "Key": key, **checked(body), **sums}

        def put() -> str:
            try:
                self._client.put_object(**sent)
            except ClientError as error:
                status, code = status_of(error)
                # A wrong sum is a passing failure to those who sent a right one.
                if code == "BadDigest" or not is_passing(error):
                    return "PreconditionFailed" if status == 412 else code or str(status)
                raise
            return ""

        try:
            return persist(put, self._patience)
        except Exception as error:
            raise explain(error, f"write s3://{self.place.bucket}/{key}", self.place) from error

    def _create(self, wanted: Call) -> None:
        where = f"make the bucket {self.place.bucket}"
        self.sent.append("create_bucket")
        try:
            persist(lambda: self._client.create_bucket(Bucket=self.place.bucket, **wanted), self._patience)
        except ClientError as error:
            code = status_of(error)[1]
            if code == "BucketAlreadyOwnedByYou":
                return
            if code == "BucketAlreadyExists":
                raise BackupError(
                    Code.CONFIG,
                    f"the bucket {self.place.bucket} belongs to somebody else",
                    hint="set pasargad_s3_backup_bucket to a name that nobody has",
                ) from error
            raise self._told(error, where) from error
        except Exception as error:
            raise explain(error, where, self.place) from error

    def _call(self, method: str, **more: Any) -> Call:
        asked = {**self._named, **more}
        return dict(persist(lambda: getattr(self._client, method)(**asked), self._patience))

    def _told(self, error: ClientError, doing: str) -> BackupError:
        status, code = status_of(error)
        known = explain(error, doing, self.place)
        if status in (405, 501) or code in LACKING:
            return NotSupported(known.code, known.message, hint="use another storage, or accept this finding")
        if status in (400, 409) and code not in KEYS | REGION and not is_passing(error):
            return NotAccepted(known.code, known.message, hint="use another storage, or accept this finding")
        if status == 403 and code not in KEYS and code != "RequestTimeTooSkewed":
            hint = f"the bucket {self.place.bucket} is somebody else's, or its policy lets only others do this"
            return BackupError(Code.STORAGE_DENIED, known.message, hint=hint, details=known.details)
        return known

    def _add_condition(self, params: Call, **_: object) -> None:
        params["headers"]["If-None-Match"] = "*"


def _date(answer: Any) -> datetime:
    told = answer["ResponseMetadata"]["HTTPHeaders"].get("date", "")
    try:
        return parsedate_to_datetime(told).astimezone(UTC)
    except (TypeError, ValueError):
        raise BackupError(
            Code.CONFIG,
            f"the storage does not tell the time (Date: {told!r})",
            hint="let the proxy before it pass Date",
        ) from None
