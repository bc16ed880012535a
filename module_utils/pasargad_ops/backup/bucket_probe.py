"""Find out what no setting tells: whether a storage keeps its promises about conditions, sums and time.

Nothing can be deleted from a bucket with Object Lock, so what a probe leaves is one object, once in the bucket's life:
a storage that keeps its promises refuses every later attempt.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from urllib.parse import urlsplit

from .bucket_door import BucketDoor, NotAccepted, NotSupported
from .bucket_policies import tls_trial
from .bucket_rules import BucketRules
from .bucket_settings import APPLY, NOT_SUPPORTED, OTHER, POLICY, Finding, Parts
from .errors import BackupError, Code

BODY = b"Written once, to see that a second time is refused.\n"
SKEW = timedelta(seconds=60)
TWICE = "two jobs can take one slot, and a manifest can be replaced"
DAMAGE = "what is damaged on its way would be kept as it came"


def look_at_address(endpoint_url: str) -> list[Finding]:
    """Tell whether anybody on the way can read and change what is sent; loopback is no way."""
    address = urlsplit(endpoint_url)
    if address.scheme != "http" or _is_loopback(address.hostname or ""):
        return []
    return [
        Finding(
            "endpoint",
            "whoever is on the way reads and changes what is sent",
            endpoint_url,
            "set pasargad_s3_endpoint_url to the https:// address of the storage",
        )
    ]


def look_at_clock(storage_time: datetime) -> list[Finding]:
    """Tell how far the clocks are apart; ages are told by the storage's, which has whole seconds."""
    skew = datetime.now(UTC) - storage_time
    if abs(skew) <= SKEW:
        return []
    return [
        Finding(
            "clock",
            "retention deletes nothing beyond five minutes, and S3 refuses requests beyond fifteen",
            f"this machine is {skew.total_seconds():+.0f} s off the storage",
            "set the clock (timedatectl; chronyc tracking)",
        )
    ]


def look_at_promises(door: BucketDoor, rules: BucketRules, *, may_write: bool) -> list[Finding]:
    """Try a second write under `If-None-Match: *`, and one with a wrong sum; writes the probe only with `may_write`."""
    once, wrong = f"{rules.root}probe/once.txt", f"{rules.root}probe/wrong-sum.txt"
    if not door.has(once):
        if not may_write:
            return [Finding("conditions", TWICE, "no probe has been written yet", f"run {APPLY}")]
        if refused := door.put_once(once, BODY):
            return [Finding("conditions", TWICE, f"{NOT_SUPPORTED}: {refused}", OTHER)]
    found = []
    second = door.put_once(once, BODY)
    # A reader's keys may not write at all: then the object that is there is all that can be said.
    if second not in ("PreconditionFailed", "AccessDenied"):
        seen = f"{NOT_SUPPORTED}: {second}" if second else "a second write under If-None-Match: * was taken"
        found.append(Finding("conditions", TWICE, seen, OTHER))
    other = base64.b64encode(hashlib.md5(BODY[1:], usedforsecurity=False).digest()).decode()
    if door.has(wrong) or (may_write and not door.put_once(wrong, BODY, ContentMD5=other)):
        found.append(Finding("checksums", DAMAGE, f"{wrong} was taken under a wrong Content-MD5", OTHER))
    return found


def knows_tls(door: BucketDoor, rules: BucketRules, policy: Parts) -> bool:
    """Tell whether the storage takes these requests for what they are; leaves a statement that the next write removes.

    A storage that does not know the condition refuses the trial, and later the statement.
    """
    key = f"{rules.root}probe/nothing"
    try:
        door.write(POLICY.write, **POLICY.pack(tls_trial(policy, rules, key)))
        door.has(key)
    except (NotAccepted, NotSupported):
        return True
    except BackupError as error:
        if error.code is not Code.STORAGE_DENIED:
            raise
        return False
    return True


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
