"""Objects in a bucket of S3 or of anything that speaks it, by boto3 1.26 or later.

Conditions (`If-None-Match: *`) are set as a header: boto3 of Debian 12 has no parameter for them. Each object carries
a random mark of its writer: when an answer was lost, the mark tells whether the object that is there is ours.
"""

from __future__ import annotations

import hashlib
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlencode

from botocore.exceptions import ClientError

from .errors import BackupError, Code
from .objects import CHUNK_BYTES, AlreadyThere, Storage, Stored, Tally, Upload, check_key, check_prefix, refuse_large
from .objects_s3_client import MARK, SUM, Call, checked, connect, is_retained, kept, not_completed, stored
from .objects_s3_faults import ABSENT, BRIEF, Patience, explain, is_passing, persist, status_of
from .objects_s3_parts import MIN_PART_BYTES, Parts, part_bytes, send_all, share

T = TypeVar("T")
PATIENCE = Patience()
# S3 copies no more in one request.
LARGEST_COPY_BYTES = 5 << 30
COPY_PART_BYTES = 1 << 30


class S3Objects:
    """A bucket; may be used by several threads at once. Timeouts are seconds."""

    def __init__(
        self,
        place: Storage,
        *,
        patience: Patience = PATIENCE,
        least_part: int = MIN_PART_BYTES,
        connect_timeout: float = 10.0,
        read_timeout: float = 60.0,
    ) -> None:
        prefix = place.prefix.strip("/")
        self._place = place
        self._prefix = check_key(prefix) + "/" if prefix else ""
        self._patience = patience
        self._least_part = least_part
        self._call = threading.local()
        self._client = connect(place, connect_timeout, read_timeout)
        events = self._client.meta.events
        for operation in ("PutObject", "CompleteMultipartUpload"):
            events.register(f"before-call.s3.{operation}", self._add_condition)
        events.register("response-received.s3.CompleteMultipartUpload", self._look_into_success)

    def put(self, key: str, body: bytes, *, once: bool = False, retain_until: datetime | None = None) -> Stored:
        """Store a small object at once; raises AlreadyThere when `once` and the key exists."""
        return self._put(key, body, once=once, retain_until=retain_until, tier="")

    def write(
        self,
        key: str,
        chunks: Iterable[bytes],
        *,
        estimate: int = 0,
        once: bool = True,
        retain_until: datetime | None = None,
        tier: str = "",
        beside: int = 1,
    ) -> Stored:
        """Store a stream with about five parts in memory, shared with those `beside`; it is seen only when it is whole.

        What fits into one part goes as one object, with its sum. Whatever ends the writing, the upload is aborted.
        """
        if once and self.head(key) is not None:
            raise AlreadyThere(self._where(key))
        tally = Tally()
        least, buffers = share(self._least_part, beside)
        parts = Parts(chunks, part_bytes(estimate, least), tally, buffers)
        first, second = next(parts), next(parts, None)
        if second is None:
            return self._put(key, first, once=once, retain_until=retain_until, tier=tier)
        mark = secrets.token_hex(16)
        doing = f"write {self._where(key)}"
        started = {
            **self._named(key),
            **kept(retain_until, tier),
            "Metadata": {MARK: mark},
            "ChecksumAlgorithm": "SHA256",
        }
        upload = str(self._ask(doing, lambda: self._client.create_multipart_upload(**started))["UploadId"])
        stopped = threading.Event()

        def send(number: int, part: bytes | bytearray) -> Call:
            return self._send_part(key, upload, number, part, stopped)

        try:
            sent = send_all(parts, [first, second], send, stopped)
            self._ask_once(doing, key, mark, lambda: self._complete(key, upload, sent, once))
        except BaseException:
            self._give_up(Upload(key, upload, datetime.now(UTC)))
            raise
        return self._confirm(key, mark, tally.bytes, tally.sha256, retain_until)

    def get(self, key: str, *, version: str = "") -> bytes:
        """Return a small object; refuses more than 64 MiB, raises NotThere."""

        def fetch() -> bytes:
            answer = self._client.get_object(**self._named(key, version))
            with closing(answer["Body"]) as body:
                refuse_large(self._where(key), answer["ContentLength"])
                tally, content = Tally(), body.read()
            tally.add(content)
            tally.compare(self._where(key), answer["ContentLength"], answer.get("Metadata", {}).get(SUM, ""))
            return bytes(content)

        return self._ask(f"read {self._where(key, version)}", fetch)

    def read(self, key: str, *, version: str = "", sha256: str = "") -> Iterator[bytes]:
        """Stream an object; at the end its size and its sum are compared, with `sha256` or else with the one kept.

        A broken connection is taken up where it broke, and never in another object that has taken the key meanwhile.
        """
        doing, tally, wanted = f"read {self._where(key, version)}", Tally(), self._named(key, version)
        answer = self._ask(doing, lambda: self._client.get_object(**wanted))
        size, sha256 = answer["ContentLength"], sha256 or answer.get("Metadata", {}).get(SUM, "")
        wanted |= {"IfMatch": answer["ETag"]} | ({"VersionId": answer["VersionId"]} if "VersionId" in answer else {})
        since, failures = 0, 0
        while tally.bytes < size:
            try:
                # Entered by itself, a body hands out the raw stream, which ends early without a word.
                with closing(answer["Body"]) as body:
                    while chunk := body.read(CHUNK_BYTES):
                        tally.add(chunk)
                        yield chunk
                break
            except Exception as error:
                failures = failures + 1 if tally.bytes == since else 1
                since = tally.bytes
                if not is_passing(error) or failures >= self._patience.tries:
                    raise explain(error, doing, self._place) from error
                time.sleep(self._patience.pause(failures, random.random()))  # noqa: S311 - spreads load only
            answer = self._ask(doing, lambda: self._resume(wanted, tally.bytes))
        tally.compare(self._where(key), size, sha256)

    def head(self, key: str) -> Stored | None:
        """Return what S3 knows of the current object, None where there is none."""
        answer = self._look(key)
        if answer is None:
            # S3 says of a missing bucket what it says of a missing object.
            self._see_bucket()
        return None if answer is None else stored(key, answer)

    def list(self, prefix: str) -> Iterator[Stored]:
        """Yield the current objects whose keys begin with `prefix`, sorted by key."""
        for page in self._pages("list_objects_v2", prefix, {"ContinuationToken": "NextContinuationToken"}):
            for found in page.get("Contents", []):
                yield self._listed(found, "")

    def versions(self, prefix: str) -> Iterator[Stored]:
        """Yield also hidden and older versions, by key and the newest first; without versioning they are `null`."""
        markers = {"KeyMarker": "NextKeyMarker", "VersionIdMarker": "NextVersionIdMarker"}
        for page in self._pages("list_object_versions", prefix, markers):
            for found in page.get("Versions", []):
                yield self._listed(found, found["VersionId"])

    def hide(self, key: str) -> None:
        """Make an object unseen: a delete marker, or deletion where there are no versions; absent is fine."""
        self._ask(f"delete {self._where(key)}", lambda: self._client.delete_object(**self._named(key)))

    def markers(self, prefix: str) -> Iterator[Stored]:
        """Yield the delete markers, also those over which something was written again."""
        markers = {"KeyMarker": "NextKeyMarker", "VersionIdMarker": "NextVersionIdMarker"}
        for page in self._pages("list_object_versions", prefix, markers):
            for found in page.get("DeleteMarkers", []):
                yield self._listed({**found, "Size": 0}, found["VersionId"])

    def bring_back(self, key: str, version: str) -> Stored:
        """Make an older version the current one again, by a copy within S3: no byte passes this host."""
        doing, named = f"bring back {self._where(key, version)}", self._named(key, version)
        old = self._ask(doing, lambda: self._client.head_object(**named))
        until = old.get("ObjectLockRetainUntilDate")
        until = until if until is not None and until > self.now() else None
        asked = self._named(key)
        if old["ContentLength"] <= LARGEST_COPY_BYTES:
            made = self._ask(doing, lambda: self._client.copy_object(**asked, CopySource=named)).get("VersionId", "")
        else:
            tags = self._ask(doing, lambda: self._client.get_object_tagging(**named))["TagSet"]
            asked |= {"Metadata": old.get("Metadata", {}), "Tagging": urlencode({t["Key"]: t["Value"] for t in tags})}
            made = self._copy_in_parts(doing, key, named, asked, old["ContentLength"])
        # What was brought back carries the mark of who wrote it first.
        told = old.get("Metadata", {})
        found = self._confirm(key, told.get(MARK), old["ContentLength"], told.get(SUM, ""), until)
        if found.version != made:
            raise BackupError(
                Code.INTEGRITY,
                f"somebody wrote {self._where(key)} while it was brought back",
                hint="change the key that writes into this bucket, then run it again",
            )
        return found

    def uploads(self, prefix: str) -> Iterator[Upload]:
        """Yield uploads that were begun and not ended, also those under way."""
        markers = {"KeyMarker": "NextKeyMarker", "UploadIdMarker": "NextUploadIdMarker"}
        for page in self._pages("list_multipart_uploads", prefix, markers):
            for found in page.get("Uploads", []):
                yield Upload(self._own(found["Key"]), found["UploadId"], found["Initiated"].astimezone(UTC))

    def abort(self, upload: Upload) -> None:
        """Remove what an upload has stored so far, and see that it is gone; an upload that ended is fine."""
        self._abort(upload, self._patience)

    def now(self) -> datetime:
        """Return the time by S3's own clock, in whole seconds, UTC."""
        asked = {"Bucket": self._place.bucket}
        answer = self._ask(
            f"look at s3://{self._place.bucket}", lambda: self._client.list_objects_v2(**asked, MaxKeys=1)
        )
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date", "")
        try:
            return parsedate_to_datetime(date).astimezone(UTC)
        except ValueError:
            raise BackupError(
                Code.CONFIG,
                f"{self._place.endpoint_url} does not tell the time (Date: {date!r})",
                hint="let the proxy before it pass the Date header",
            ) from None

    def _copy_in_parts(self, doing: str, key: str, source: Call, asked: Call, size: int) -> str:
        upload = str(self._ask(doing, lambda: self._client.create_multipart_upload(**asked))["UploadId"])
        try:
            sent = []
            for number, start in enumerate(range(0, size, COPY_PART_BYTES), 1):
                part = {**self._named(key), "UploadId": upload, "PartNumber": number, "CopySource": source}
                part["CopySourceRange"] = f"bytes={start}-{min(start + COPY_PART_BYTES, size) - 1}"
                answer = self._ask(doing, partial(self._client.upload_part_copy, **part))
                sent.append({"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]})
            return self._ask(doing, lambda: self._complete(key, upload, sent, once=False))
        except BaseException:
            self._give_up(Upload(key, upload, datetime.now(UTC)))
            raise

    def _put(
        self, key: str, body: bytes | bytearray, *, once: bool, retain_until: datetime | None, tier: str
    ) -> Stored:
        mark, sha256 = secrets.token_hex(16), hashlib.sha256(body).hexdigest()
        sent = {
            **self._named(key),
            **kept(retain_until, tier),
            **checked(body),
            "Metadata": {MARK: mark, SUM: sha256},
        }

        def call() -> None:
            self._call.once = once
            self._client.put_object(**sent)

        self._ask_once(f"write {self._where(key)}", key, mark, call)
        return self._confirm(key, mark, len(body), sha256, retain_until)

    def _send_part(self, key: str, upload: str, number: int, part: bytes | bytearray, stopped: threading.Event) -> Call:
        sent = {**self._named(key), **checked(part), "UploadId": upload, "PartNumber": number}
        doing = f"write part {number} of {self._where(key)}"
        answer = self._ask(doing, lambda: self._client.upload_part(**sent), stopped=stopped)
        told = answer.get("ChecksumSHA256") or sent["ChecksumSHA256"]
        if told != sent["ChecksumSHA256"]:
            raise BackupError(Code.INTEGRITY, f"{doing}: something else has arrived", hint="run the job again")
        return {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": sent["ChecksumSHA256"]}

    def _complete(self, key: str, upload: str, sent: Sequence[Call], once: bool) -> str:
        """Put the parts together; return the version of the whole."""
        self._call.once, self._call.false_success = once, False
        try:
            answer = self._client.complete_multipart_upload(
                **self._named(key), UploadId=upload, MultipartUpload={"Parts": [*sent]}
            )
        except ClientError as error:
            if self._call.false_success:
                raise not_completed(self._where(key), status_of(error)[1]) from error
            raise
        if self._call.false_success or "ETag" not in answer:
            raise not_completed(self._where(key), "no ETag")
        return str(answer.get("VersionId", ""))

    def _add_condition(self, params: Call, **_: object) -> None:
        if getattr(self._call, "once", False):
            params["headers"]["If-None-Match"] = "*"

    def _look_into_success(self, response_dict: Call | None, **_: object) -> None:
        # S3 begins its answer before it has put the parts together, so a failure can come under status 200.
        told = response_dict or {}
        self._call.false_success = told.get("status_code") == 200 and b"<Error>" in told.get("body", b"")

    def _ask(
        self,
        doing: str,
        call: Callable[[], T],
        *,
        patience: Patience | None = None,
        stopped: threading.Event | None = None,
    ) -> T:
        try:
            return persist(call, patience or self._patience, stopped)
        except Exception as error:
            raise explain(error, doing, self._place) from error

    def _ask_once(self, doing: str, key: str, mark: str, call: Callable[[], object]) -> None:
        """Make the request that lets an object be seen; when it failed, its mark may still show that it was done."""
        try:
            persist(call, self._patience)
        except Exception as error:
            try:
                found = self._look(key, BRIEF)
            except BackupError:
                found = None
            if found is not None and found.get("Metadata", {}).get(MARK) == mark:
                return
            if status_of(error)[0] == 412:
                raise AlreadyThere(self._where(key)) from error
            raise explain(error, doing, self._place) from error

    def _confirm(self, key: str, mark: str | None, size: int, sha256: str, retain_until: datetime | None) -> Stored:
        """Return what S3 has now; raises INTEGRITY unless it is what was written and is retained as asked."""
        found = self._look(key)
        if found is not None and retain_until is not None and not is_retained(found, retain_until):
            # Parts lose it in some storages, among them what the lab uses.
            asked = {"Mode": "COMPLIANCE", "RetainUntilDate": retain_until}
            named = self._named(key, found.get("VersionId", ""))
            self._ask(
                f"retain {self._where(key)}",
                lambda: self._client.put_object_retention(**named, Retention=asked),
            )
            found = self._look(key)
        if found is None or found.get("Metadata", {}).get(MARK) != mark or found["ContentLength"] != size:
            raise BackupError(
                Code.INTEGRITY,
                f"{self._where(key)} is not what was written: "
                + ("nothing is there" if found is None else f"{found['ContentLength']} bytes instead of {size}"),
                hint="run the job again; two jobs may have written one key",
            )
        if retain_until is not None and not is_retained(found, retain_until):
            raise BackupError(
                Code.INTEGRITY, f"{self._where(key)} is not retained as asked", hint="check the bucket's Object Lock"
            )
        return replace(stored(key, found), sha256=sha256)

    def _look(self, key: str, patience: Patience | None = None) -> Call | None:
        named = self._named(key)

        def call() -> Call | None:
            try:
                return dict(self._client.head_object(**named))
            except ClientError as error:
                if status_of(error)[1] in ABSENT:
                    return None
                raise

        return self._ask(f"look at {self._where(key)}", call, patience=patience)

    def _see_bucket(self) -> None:
        if not getattr(self, "_seen", False):
            self.now()
            self._seen = True

    def _resume(self, wanted: Call, offset: int) -> Any:
        answer = self._client.get_object(**wanted, Range=f"bytes={offset}-")
        if not str(answer.get("ContentRange", "")).startswith(f"bytes {offset}-"):
            raise BackupError(
                Code.STORAGE_TRANSIENT, "the storage cannot go on where a reading broke", hint="run the job again"
            )
        return answer

    def _give_up(self, upload: Upload) -> None:
        try:
            self._abort(upload, BRIEF)
        except BackupError:
            # Why the writing ended matters more; whoever looks at uploads() finds this one.
            return

    def _abort(self, upload: Upload, patience: Patience) -> None:
        named = {**self._named(upload.key), "UploadId": upload.id}
        doing = f"abort the upload of {self._where(upload.key)}"

        def call(method: Callable[..., object]) -> bool:
            try:
                method(**named)
            except ClientError as error:
                if status_of(error)[1] in ("NoSuchUpload", "404"):
                    return False
                raise
            return True

        # A part that was on its way can arrive after the first abort.
        for _ in range(3):
            self._ask(doing, lambda: call(self._client.abort_multipart_upload), patience=patience)
            if not self._ask(doing, lambda: call(self._client.list_parts), patience=patience):
                return
        raise BackupError(Code.STORAGE_TRANSIENT, f"{doing}: parts are left", hint="run the job again")

    def _pages(self, method: str, prefix: str, markers: dict[str, str]) -> Iterator[Any]:
        """Yield a listing's pages; `markers` says which answers point to the next page by which parameters."""
        asked: Call = {"Bucket": self._place.bucket, "Prefix": self._prefix + check_prefix(prefix)}
        doing = f"list s3://{self._place.bucket}/{asked['Prefix']}"
        while True:
            page = self._ask(doing, partial(getattr(self._client, method), **asked))
            yield page
            following = {parameter: page[told] for parameter, told in markers.items() if page.get(told)}
            if not page.get("IsTruncated") or not following:
                return
            asked = {**asked, **following}

    def _named(self, key: str, version: str = "") -> Call:
        named = {"Bucket": self._place.bucket, "Key": self._prefix + check_key(key)}
        return {**named, "VersionId": version} if version else named

    def _where(self, key: str, version: str = "") -> str:
        told = f"s3://{self._place.bucket}/{self._prefix}{key}"
        return f"{told}, version {version}," if version else told

    def _own(self, full: str) -> str:
        return full.removeprefix(self._prefix)

    def _listed(self, found: Call, version: str) -> Stored:
        return Stored(self._own(found["Key"]), found["Size"], "", version, found["LastModified"].astimezone(UTC), None)
