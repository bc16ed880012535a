"""Say who may do what with a bucket: the policy of the bucket itself, and one document for each of three roles.

The bucket's policy only forbids, whoever asks; the documents only allow. What each credential is for:

- `writer`: the database host, for logical and physical backups and WAL. It adds, and takes away nothing but what
  pgBackRest expires under `physical/`, which in a bucket with versions is hidden and stays until its lock ends.
- `janitor`: the retention job. It hides expired logical sets and manifests and writes their tombstones. A shop with
  one host runs it there under a second pair of keys; with one pair, attach both documents: that pair can hide
  everything and still remove nothing.
- `reader`: hosts that verify, drill, restore or audit. It reads, claims its slot, and reports its drills.
- the break-glass administrator (`admins` of the rules) is no document: it is kept off-line, and only it may weaken the
  bucket. No role may delete a version; lifecycle does, when its lock has ended.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .bucket_rules import BucketRules

Call = dict[str, Any]
SID = "Pasargad"
VERSION = "2012-10-17"
LEAST_TLS = 1.2
# The folders of one cluster, as places.py has them, whose objects are written once and never replaced.
WRITE_ONCE = ("attest/", "expired/", "claims/", "logical/")
# What each statement is missed for.
MISSED = {
    "": "the storage does not refuse what no job of ours does",
    SID + "TlsOnly": "whoever is on the way could read and change what is sent",
    SID + "TlsVersion": "connections of broken kinds are taken",
    SID + "NoKeysOfClients": "who holds a writer's key could encrypt backups under a key of its own",
    SID + "Encryption": "objects could be stored under another encryption than the bucket's",
    SID + "EncryptionKey": "objects could be stored under a key of somebody else",
    SID + "WriteOnce": "manifests, tombstones, claims and sets could be replaced",
    SID + "NoShortLock": "objects could be written that can be deleted at once",
    SID + "NoEndlessLock": "objects could be locked, and have to be paid for, without end",
    SID + "NoSoftLock": "locks could be set that administrators may remove",
    SID + "AdminOnly": "whoever holds the keys of any role could weaken the bucket or delete versions",
}
SETTINGS_READ = (
    "s3:GetBucketVersioning",
    "s3:GetBucketObjectLockConfiguration",
    "s3:GetLifecycleConfiguration",
    "s3:GetBucketPublicAccessBlock",
    "s3:GetEncryptionConfiguration",
    "s3:GetBucketPolicy",
)
WEAKENING = (
    "s3:DeleteObjectVersion",
    "s3:BypassGovernanceRetention",
    "s3:PutObjectLegalHold",
    "s3:PutBucketVersioning",
    "s3:PutBucketObjectLockConfiguration",
    "s3:PutLifecycleConfiguration",
    "s3:PutEncryptionConfiguration",
    "s3:PutBucketPublicAccessBlock",
    "s3:PutBucketOwnershipControls",
    "s3:PutBucketAcl",
    "s3:PutObjectAcl",
    "s3:PutObjectVersionAcl",
    "s3:PutReplicationConfiguration",
    "s3:PutBucketPolicy",
    "s3:DeleteBucketPolicy",
    "s3:DeleteBucket",
)


def bucket_policy(current: Mapping[str, Call], rules: BucketRules, cipher: Mapping[str, str]) -> dict[str, Call]:
    """Return the statements by Sid: ours, never milder than they stand, and those of others.

    `cipher` is the default encryption that stands, as bucket_rules.encryption returns it. Nothing here names an
    environment, so that environments that share a bucket do not undo each other. With no administrators named,
    nothing can be reserved for them, and the last statement is missing.
    """
    ours = {statement["Sid"]: statement for statement in _statements(current, rules, cipher)}
    others = {sid: statement for sid, statement in current.items() if not sid.startswith(SID)}
    return {**others, **ours}


def _statements(current: Mapping[str, Call], rules: BucketRules, cipher: Mapping[str, str]) -> list[Call]:
    everything = [*rules.arn(), *rules.arn("*")]
    written = ["s3:PutObject"]
    locked = ["s3:PutObject", "s3:PutObjectRetention"]
    sse, sse_key = "s3:x-amz-server-side-encryption", "s3:x-amz-server-side-encryption-aws-kms-key-id"
    own_key = "s3:x-amz-server-side-encryption-customer-algorithm"
    remaining = "s3:object-lock-remaining-retention-days"

    def number(name: str, condition: str, key: str, wanted: float, harder: Any) -> Call:
        stands = _number(current.get(SID + name, {}).get("Condition", {}).get(condition, {}).get(key))
        return {condition: {key: f"{wanted if stands is None else harder(stands, wanted):g}"}}

    statements = [
        _deny("TlsOnly", ["s3:*"], everything, {"Bool": {"aws:SecureTransport": "false"}}),
        _deny(
            "TlsVersion", ["s3:*"], everything, number("TlsVersion", "NumericLessThan", "s3:TlsVersion", LEAST_TLS, max)
        ),
        # Whoever holds a writer's key could otherwise lock backups away under a key of its own.
        _deny("NoKeysOfClients", written, rules.arn("*"), {"Null": {own_key: "false"}}),
        # A request that names no encryption gets the bucket's own, so only another one is refused.
        _deny(
            "Encryption",
            written,
            rules.arn("*"),
            {"Null": {sse: "false"}, "StringNotEquals": {sse: cipher["algorithm"]}},
        ),
        # The parts of an upload cannot be sent under a condition; the request that ends it can.
        _deny(
            "WriteOnce",
            written,
            rules.arn(*(f"{rules.above}*/{folder}*" for folder in WRITE_ONCE)),
            {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}},
        ),
        # A lock that a request names takes the place of the bucket's. The day that has begun does not count.
        _deny(
            "NoShortLock",
            locked,
            rules.arn("*"),
            number("NoShortLock", "NumericLessThan", remaining, rules.lock_days - 1, max),
        ),
        _deny(
            "NoEndlessLock",
            locked,
            rules.arn("*"),
            number("NoEndlessLock", "NumericGreaterThan", remaining, _longest_lock(rules), max),
        ),
        _deny("NoSoftLock", locked, rules.arn("*"), {"StringEquals": {"s3:object-lock-mode": "GOVERNANCE"}}),
    ]
    if cipher.get("key"):
        named = {"Null": {sse_key: "false"}, "StringNotEquals": {sse_key: cipher["key"]}}
        statements.append(_deny("EncryptionKey", written, rules.arn("*"), named))
    if rules.admins:
        others = {"ArnNotLike": {"aws:PrincipalArn": list(rules.admins)}}
        statements.append(_deny("AdminOnly", list(WEAKENING), everything, others))
    return statements


def tls_trial(stands: Mapping[str, Call], rules: BucketRules, key: str) -> dict[str, Call]:
    """Return the statements that stand and one that refuses a single key, which nothing has, over plain HTTP.

    A storage behind a proxy may take every request for such a one; `TlsOnly` would then shut out everybody, also who
    comes to take it back.
    """
    trial = _deny("TlsTrial", ["s3:GetObject"], rules.arn(key), {"Bool": {"aws:SecureTransport": "false"}})
    return {**stands, trial["Sid"]: trial}


def _longest_lock(rules: BucketRules) -> int:
    """Return after how many days no set is kept by anything of ours: nobody needs a longer lock."""
    return max(rules.longest_days.values()) + rules.lock_days + rules.backstop_days


def _deny(name: str, actions: Sequence[str], resources: Sequence[str], condition: Call) -> Call:
    return {
        "Sid": SID + name,
        "Effect": "Deny",
        "Principal": "*",
        "Action": list(actions),
        "Resource": list(resources),
        "Condition": condition,
    }


def _number(value: Any) -> float | None:
    try:
        return float(value[0] if isinstance(value, list) else value)
    except (TypeError, ValueError, IndexError):
        return None


def canonical(statement: Call) -> Call:
    """Return a statement in one form, because storages hand back lists of one as plain words and in another order."""

    def settled(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: settled(value[key]) for key in sorted(value)}
        if isinstance(value, list):
            plain = sorted(
                json.dumps(settled(one), sort_keys=True) if isinstance(one, dict) else str(one) for one in value
            )
            return plain[0] if len(plain) == 1 else plain
        return str(value).lower() if isinstance(value, bool) else str(value)

    principal = statement.get("Principal")
    everybody = {"Principal": "*"} if principal in ({"AWS": "*"}, {"AWS": ["*"]}) else {}
    return dict(settled({**statement, **everybody}))


def is_public(statement: Call) -> bool:
    """Tell whether a statement allows something to everybody."""
    form = canonical(statement)
    return form.get("Effect") == "Allow" and form.get("Principal") == "*" and not form.get("Condition")


def role_documents(rules: BucketRules) -> dict[str, Call]:
    """Return the IAM documents of writer, reader and janitor.

    Listing is not bound to a prefix: the door asks for the time by a listing without one, and tells keys, no contents.
    The claims are every role's, because each job takes its slot there; none of them can be replaced or taken away.
    """
    own, clusters = rules.arn(f"{rules.root}*"), f"{rules.root}*/"
    look = _allow("Look", ["s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads"], rules.arn())
    read = ["s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectRetention", "s3:ListMultipartUploadParts"]

    def under(*folders: str) -> list[str]:
        return rules.arn(*(f"{clusters}{folder}*" for folder in folders))

    return {
        "writer": _document(
            look,
            _allow("Read", read, own),
            _allow("Write", ["s3:PutObject"], under("physical/", "logical/", "attest/", "claims/", "drills/")),
            _allow("Announce", ["s3:PutObject"], rules.arn(f"{rules.root}clusters/*")),
            _allow("Lock", ["s3:PutObjectRetention"], under("logical/", "attest/")),
            # Lifecycle goes by the tag: nobody may tie it to what pgBackRest keeps.
            _allow("Tag", ["s3:PutObjectTagging"], under("logical/")),
            _allow("ExpirePhysical", ["s3:DeleteObject"], under("physical/")),
            _allow("EndUploads", ["s3:AbortMultipartUpload"], own),
            *_use_key(rules),
        ),
        "reader": _document(
            look,
            _allow("Read", read, own),
            _allow("ReadSettings", SETTINGS_READ, rules.arn()),
            _allow("Claim", ["s3:PutObject"], under("claims/", "drills/")),
            *_use_key(rules),
        ),
        "janitor": _document(
            look,
            _allow("Read", read, own),
            _allow("Mark", ["s3:PutObject"], under("expired/", "claims/")),
            _allow("HideExpired", ["s3:DeleteObject"], under("logical/", "attest/")),
            _allow("EndUploads", ["s3:AbortMultipartUpload"], own),
            *_use_key(rules),
        ),
    }


def _use_key(rules: BucketRules) -> list[Call]:
    actions = ["kms:Decrypt", "kms:GenerateDataKey"]
    return [_allow("UseKey", actions, [rules.kms_key])] if rules.kms_key else []


def _allow(name: str, actions: Iterable[str], resources: list[str]) -> Call:
    return {"Sid": SID + name, "Effect": "Allow", "Action": list(actions), "Resource": resources}


def _document(*statements: Call) -> Call:
    return {"Version": VERSION, "Statement": list(statements)}
