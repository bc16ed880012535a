"""Say how a bucket for backups should be: versions, Object Lock, lifecycle, encryption, and nobody from outside.

Pure: what stands comes in, what should stand goes out, and that is never weaker than what stands. The system
identifier of a cluster is not known before there is one, so lifecycle rules name `v1/ENV/` and the tag `tier`, which
only objects of logical sets carry. No rule of ours removes current objects of `physical/`, where pgBackRest's sets
stand on each other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import BackupError, Code
from .manifest import TIERS
from .places import NAME

Call = dict[str, Any]
LOCK_MODE = "COMPLIANCE"
# A full backup may go only when the next one stands, up to a week later; three days are for a run that failed.
LEAST_LOCK_SLACK_DAYS = 7 + 3
OURS = "pasargad"
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
PRINCIPAL = re.compile(r"arn:aws[a-z-]*:(iam|sts)::[0-9]{12}:(root|(user|role|assumed-role)/.+)")
KMS_KEY = re.compile(r"arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+")
# Reading from the others takes hours, so that no check and no restore could.
CLASSES_READ_AT_ONCE = ("STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR")
STRENGTH = {"": 0, "AES256": 1, "aws:kms": 2, "aws:kms:dsse": 3}
PUBLIC_ACCESS_BLOCK = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


@dataclass(frozen=True)
class BucketRules:
    """What a bucket of one environment holds, for how long, and who may weaken it; raises BackupError (CONFIG).

    `undo_days` is how long a hidden version at least remains; `backstop_days` after what retention keeps, lifecycle
    takes away what no retention job took. `archive` names a storage class for a tier, from its 30th day on. `admins`
    are the ARNs that alone may weaken the bucket, `kms_key` is an ARN, `prefix` lies before every key.
    """

    bucket: str
    env: str
    prefix: str = ""
    retention_days: int = 30
    weekly: int = 12
    monthly: int = 12
    lock_days: int = 40
    undo_days: int = 7
    backstop_days: int = 60
    abort_days: int = 2
    archive: Mapping[str, str] = field(default_factory=dict)
    kms_key: str = ""
    admins: tuple[str, ...] = ()
    partition: str = "aws"

    def __post_init__(self) -> None:
        least = self.retention_days + LEAST_LOCK_SLACK_DAYS
        for fine, problem, hint in (
            (BUCKET.fullmatch(self.bucket), f"{self.bucket!r} is no name of a bucket", "set pasargad_s3_backup_bucket"),
            (
                NAME.fullmatch(self.env),
                f"an environment cannot be called {self.env!r}",
                "use small letters, digits, dot, dash and underscore",
            ),
            (
                self.retention_days >= 1 and self.lock_days >= least,
                f"a lock of {self.lock_days} days does not cover a retention of {self.retention_days} days",
                f"lock for at least {least} days: 7 until the next full backup stands, and 3 to spare",
            ),
            (
                min(self.undo_days, self.abort_days, self.weekly, self.monthly) >= 1,
                "days and numbers of sets begin at 1",
                "check undo_days, abort_days, weekly and monthly",
            ),
            (
                self.backstop_days >= LEAST_LOCK_SLACK_DAYS,
                f"{self.backstop_days} days are too few before lifecycle takes what retention did not",
                f"use at least {LEAST_LOCK_SLACK_DAYS}: lifecycle knows neither the chain nor the newest good set",
            ),
            (
                set(self.archive) <= set(TIERS) and set(self.archive.values()) <= set(CLASSES_READ_AT_ONCE),
                f"{dict(self.archive)} is no choice of storage classes",
                f"tiers are {', '.join(TIERS)}, classes that are read at once {', '.join(CLASSES_READ_AT_ONCE)}",
            ),
            (
                all(PRINCIPAL.fullmatch(one) for one in self.admins),
                f"not every administrator is an ARN of a user, role or account: {', '.join(self.admins)}",
                "for example arn:aws:iam::123456789012:role/break-glass",
            ),
            (not self.kms_key or KMS_KEY.fullmatch(self.kms_key), "the KMS key is no ARN", "give the key's full ARN"),
        ):
            if not fine:
                raise BackupError(Code.CONFIG, problem, hint=hint)

    @property
    def above(self) -> str:
        """What lies before the keys of all environments."""
        own = self.prefix.strip("/")
        return f"{own}/v1/" if own else "v1/"

    @property
    def root(self) -> str:
        """What the keys of this environment begin with."""
        return f"{self.above}{self.env}/"

    def arn(self, *keys: str) -> list[str]:
        """Return the ARNs of keys (with `*`), or of the bucket."""
        whole = f"arn:{self.partition}:s3:::{self.bucket}"
        return [f"{whole}/{key}" for key in keys] or [whole]

    @property
    def longest_days(self) -> Mapping[str, int]:
        """How long retention keeps a set of each tier, in days."""
        return {"daily": self.retention_days, "weekly": self.weekly * 7, "monthly": self.monthly * 31}


def versioning() -> str:
    """Return the state of versions: hiding must never be removing."""
    return "Enabled"


def object_lock(current: Mapping[str, Any] | None, rules: BucketRules) -> Call:
    """Return mode and days of the default lock; GOVERNANCE becomes COMPLIANCE, longer days stay."""
    return {"mode": LOCK_MODE, "days": max(rules.lock_days, int((current or {}).get("days", 0)))}


def public_access_block() -> Call:
    """Return the four switches that no policy and no ACL can go round."""
    return dict.fromkeys(PUBLIC_ACCESS_BLOCK, True)


def encryption(current: Mapping[str, Any] | None, rules: BucketRules) -> Call:
    """Return the default encryption as algorithm and key; a stronger one stays, and so does its key."""
    stands = {"algorithm": "", "key": "", **(current or {})}
    wanted = {"algorithm": "aws:kms" if rules.kms_key else "AES256", "key": rules.kms_key}
    if STRENGTH.get(stands["algorithm"], 0) >= STRENGTH[wanted["algorithm"]] and rules.kms_key in ("", stands["key"]):
        return stands
    return wanted


def lifecycle(current: Mapping[str, Call], rules: BucketRules) -> dict[str, Call]:
    """Return the lifecycle rules by id: ours, with longer days where they stand, and harmless ones of others."""
    ours = _own_rules(rules)
    kept = {name: rule for name, rule in current.items() if name not in ours and not is_harmful(rule, rules)}
    return {**kept, **{name: _longer(current.get(name, {}), rule) for name, rule in ours.items()}}


def is_harmful(rule: Call, rules: BucketRules) -> bool:
    """Tell whether a rule of somebody else removes or buries objects of this environment."""
    prefix = _prefix_of(rule)
    if rule.get("Status") != "Enabled" or not (prefix.startswith(rules.root) or rules.root.startswith(prefix)):
        return False
    expires = {"Days", "Date"} & rule.get("Expiration", {}).keys()
    noncurrent = rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays", rules.undo_days) < rules.undo_days
    moves = [*rule.get("Transitions", []), *rule.get("NoncurrentVersionTransitions", [])]
    return bool(expires) or noncurrent or any(move.get("StorageClass") not in CLASSES_READ_AT_ONCE for move in moves)


def _own_rules(rules: BucketRules) -> dict[str, Call]:
    def rule(name: str, where: Call, **does: Any) -> tuple[str, Call]:
        whole = f"{OURS} {rules.root} {name}"
        return whole, {"ID": whole, "Status": "Enabled", "Filter": where, **does}

    everything = {"Prefix": rules.root}
    own = [
        rule("uploads", everything, AbortIncompleteMultipartUpload={"DaysAfterInitiation": rules.abort_days}),
        # Locked versions stay until their lock ends, whatever this says. Only a rule without tags may remove markers.
        rule(
            "hidden",
            everything,
            NoncurrentVersionExpiration={"NoncurrentDays": rules.undo_days},
            Expiration={"ExpiredObjectDeleteMarker": True},
        ),
    ]
    for tier, days in rules.longest_days.items():
        where = {"And": {"Prefix": rules.root, "Tags": [{"Key": "tier", "Value": tier}]}}
        moves = [{"Days": 30, "StorageClass": rules.archive[tier]}] if tier in rules.archive else []
        does = {"Transitions": moves} if moves else {}
        own.append(rule(tier, where, Expiration={"Days": max(days, rules.lock_days) + rules.backstop_days}, **does))
    return dict(own)


def _longer(current: Call, wanted: Call) -> Call:
    """Return the wanted rule with the days of the one that stands where they keep objects longer."""
    merged = dict(wanted)
    for part, days in (("Expiration", "Days"), ("NoncurrentVersionExpiration", "NoncurrentDays")):
        stands = current.get(part, {}).get(days, 0)
        if days in wanted.get(part, {}) and stands > wanted[part][days]:
            merged[part] = {**wanted[part], days: stands}
    return merged


def _prefix_of(rule: Call) -> str:
    where = rule.get("Filter") or {}
    return str(where.get("Prefix") or where.get("And", {}).get("Prefix") or rule.get("Prefix") or "")
