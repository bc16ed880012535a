"""Which failures of S3 are worth another try, how long one is patient, and what the others mean for an operator."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    ParamValidationError,
    SSLError,
)
from botocore.exceptions import (
    ConnectionError as BotoConnectionError,
)
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from .errors import BackupError, Code
from .objects import NotThere, Storage

T = TypeVar("T")

# S3 answers these with 4xx although the same request may well succeed a moment later.
PASSING = {
    "BadDigest",
    "ConditionalRequestConflict",
    "OperationAborted",
    "RequestTimeout",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "RequestLimitExceeded",
}
FULL = {"QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "InsufficientStorage"}
KEYS = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "AuthFailure"}
REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301"}
ABSENT = {"NoSuchKey", "NoSuchVersion", "404", "405", "MethodNotAllowed"}
DAMAGED = {"BadDigest", "InvalidPart", "InvalidPartOrder", "EntityTooSmall", "IncompleteBody"}


@dataclass(frozen=True)
class Patience:
    """How often and how long a request is tried; seconds. Pauses are random below a bound that doubles (full jitter),
    so that hosts that failed together do not come back together."""

    tries: int = 8
    first: float = 0.5
    longest: float = 30.0
    budget: float = 900.0

    def pause(self, failures: int, luck: float, asked: float = 0.0) -> float:
        """Return the pause after so many failures; `luck` is in 0..1, `asked` what the storage wants at least."""
        return min(self.longest, max(asked, luck * self.first * 2.0**failures))


# A job that failed has only so long until it is killed, and an upload that it leaves is found by the next one.
BRIEF = Patience(tries=3, longest=2.0, budget=20.0)


def status_of(error: Exception) -> tuple[int, str]:
    """Return the HTTP status and S3's own code of an answer, 0 and nothing where there was no answer."""
    if not isinstance(error, ClientError):
        return 0, ""
    response = error.response
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)), str(
        response.get("Error", {}).get("Code", "")
    )


def is_passing(error: Exception) -> bool:
    """Whether the same request may succeed a moment later."""
    if isinstance(error, ClientError):
        status, code = status_of(error)
        if code in FULL or status in (501, 507):
            return False
        return code in PASSING or status in (408, 429) or status >= 500
    if isinstance(error, SSLError):
        return "CERTIFICATE_VERIFY_FAILED" not in str(error)
    # OSError: what urllib3 lets through while a body is read.
    return isinstance(
        error, (BotoConnectionError, HTTPClientError, IncompleteReadError, ResponseParserError, HTTPError, OSError)
    )


def persist(call: Callable[[], T], patience: Patience, stopped: threading.Event | None = None) -> T:
    """Try until it succeeds, patience ends or `stopped` is set; raises what the last try raised."""
    ends = time.monotonic() + patience.budget
    failures = 0
    while True:
        try:
            return call()
        except Exception as error:
            failures += 1
            pause = patience.pause(failures, random.random(), _asked_pause(error))  # noqa: S311 - spreads load only
            if not is_passing(error) or failures >= patience.tries or time.monotonic() + pause > ends:
                raise
            if (stopped or threading.Event()).wait(pause):
                raise


def _asked_pause(error: Exception) -> float:
    """The seconds of Retry-After, where the answer has it."""
    if isinstance(error, ClientError):
        asked = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("retry-after", "")
        if str(asked).isdigit():
            return float(asked)
    return 0.0


def explain(error: Exception, doing: str, place: Storage) -> BackupError:
    """Return what a failure means for the job and which setting an operator should look at."""
    if isinstance(error, BackupError):
        return error
    status, code = status_of(error)
    if isinstance(error, ClientError):
        found, hint = _answered(status, code, place)
        if found is Code.INTEGRITY and code in ABSENT:
            return NotThere(doing.partition(" ")[2])
        told = str(error.response.get("Error", {}).get("Message", "")) or "no reason given"
        request = error.response.get("ResponseMetadata", {}).get("RequestId", "")
        message = f"{doing}: {code or 'error'} ({status}): {told}"
        return BackupError(found, message, hint=hint, details={"request_id": request, "status": status})
    if isinstance(error, SSLError) and not is_passing(error):
        return BackupError(
            Code.CONFIG,
            f"{doing}: the certificate of {place.endpoint_url} is not trusted",
            hint="set pasargad_s3_ca_bundle to a file that holds its authority",
        )
    if is_passing(error):
        hint = f"check pasargad_s3_endpoint_url ({place.endpoint_url}) and the network, then run the job again"
        return BackupError(Code.STORAGE_TRANSIENT, f"{doing}: {error}", hint=hint)
    hint = "check pasargad_s3_endpoint_url, pasargad_s3_region and pasargad_s3_backup_bucket"
    kind = Code.CONFIG if isinstance(error, (BotoCoreError, ParamValidationError, ValueError)) else Code.INTEGRITY
    return BackupError(kind, f"{doing}: {error}", hint=hint)


def _answered(status: int, code: str, place: Storage) -> tuple[Code, str]:
    if code in FULL or status == 507:
        return Code.NO_SPACE, "free space in the storage or raise its quota; the retention job removes what is old"
    if code in KEYS:
        return (
            Code.STORAGE_DENIED,
            "check vault_pasargad_s3_access_key_id and vault_pasargad_s3_secret_access_key (and pasargad_s3_region)",
        )
    if code == "RequestTimeTooSkewed":
        return Code.STORAGE_DENIED, "set this host's clock (timedatectl; chronyc tracking)"
    if code == "NoSuchBucket":
        return Code.CONFIG, f"make the bucket, or check pasargad_s3_backup_bucket ({place.bucket})"
    if code in REGION or status == 301:
        return Code.CONFIG, f"set pasargad_s3_region (now {place.region}) to the bucket's own"
    if status in (401, 403):
        return Code.STORAGE_DENIED, f"let this key do it in the policy of the bucket {place.bucket}"
    if code in DAMAGED:
        return Code.INTEGRITY, "run the job again; if it comes back, look at the network and at the storage"
    if code == "NoSuchUpload":
        return Code.STORAGE_TRANSIENT, "run the job again; only uploads of dead runs should be aborted"
    if status == 412:
        return Code.INTEGRITY, "somebody replaced the object meanwhile: run the job again, and never two on one key"
    if code in ABSENT or status == 404:
        return Code.INTEGRITY, "list the bucket with its versions"
    if (status >= 500 and status != 501) or code in PASSING or status in (408, 429):
        return Code.STORAGE_TRANSIENT, "look at the storage's own status, then run the job again"
    return Code.CONFIG, (
        "check pasargad_s3_endpoint_url, pasargad_s3_addressing_style and what the bucket can do (Object Lock, "
        "conditional writes)"
    )
