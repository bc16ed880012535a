"""Know each setting of a bucket: how it is read and written, which parts it has, and what a wrong part costs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from . import bucket_rules as wanted
from .bucket_door import BucketDoor, NotAccepted, NotSupported
from .bucket_policies import MISSED, VERSION, bucket_policy, canonical
from .bucket_rules import BucketRules, Call

APPLY = "ansible-playbook playbooks/backup-bucket.yml"
OTHER = "use another storage, or accept this finding"
NOT_SUPPORTED = "not supported by this storage"
# A setting in parts that are compared, told and, where a storage refuses the whole, written one by one.
Parts = dict[str, Any]


@dataclass(frozen=True)
class Finding:
    """What is wrong with a bucket: which check says so, what it means, what was seen, and what mends it."""

    id: str
    problem: str
    evidence: str
    fix: str

    def line(self) -> str:
        """Say it in one line."""
        return f"{self.id}: {self.problem} ({self.evidence}); {self.fix}"


@dataclass(frozen=True)
class Setting:
    """One setting: `unpack` makes parts of what the storage tells, `pack` the parameters of what is written.

    `problems` says what a part is missed for, by the last word of its name; the empty name stands for all others.
    """

    name: str
    read: str
    write: str
    absent: str
    problems: Mapping[str, str]
    unpack: Callable[[Call], Parts]
    pack: Callable[[Parts], Call]
    want: Callable[[Parts, BucketRules, Call], Parts]
    divisible: bool = False

    def look(self, door: BucketDoor) -> Parts:
        """Return the parts that stand; none where it is not set. Raises NotSupported."""
        answer = door.read(self.read, frozenset([self.absent]))
        return {} if answer is None else self.unpack(answer)

    def put(self, door: BucketDoor, stands: Parts, target: Parts) -> tuple[Parts, dict[str, str]]:
        """Write the target; returns what stands then, and why each part that was refused does not.

        Where a storage refuses the whole of many rules, each is tried on top of what it has taken so far.
        """
        changed = [name for name in target if not same(stands.get(name), target[name])]
        try:
            door.write(self.write, **self.pack(target))
            return target, {}
        except (NotAccepted, NotSupported) as error:
            if isinstance(error, NotSupported) or not self.divisible:
                return stands, dict.fromkeys(changed, error.message)
        taken, refused = {name: part for name, part in stands.items() if name in target}, {}
        for name in changed:
            more = {**taken, name: target[name]}
            try:
                door.write(self.write, **self.pack(more))
                taken = more
            except (NotAccepted, NotSupported) as error:
                refused[name] = error.message
        return taken, refused

    def findings(self, stands: Parts, target: Parts, refused: Mapping[str, str]) -> list[Finding]:
        """Tell each part that is not as it should be."""
        found = []
        for name in [*target, *(name for name in stands if name not in target)]:
            if same(stands.get(name), target.get(name)):
                continue
            seen = f"{shown(stands.get(name))} instead of {shown(target.get(name))}"
            if name not in stands:
                seen = "missing"
            elif name not in target:
                seen = f"a rule of somebody else: {shown(stands[name])}"
            if name in refused:
                seen = f"{NOT_SUPPORTED}: {refused[name]}"
            where = f"{self.name}.{_short(name)}" if name else self.name
            found.append(Finding(where, self.problem(name), seen, OTHER if name in refused else f"run {APPLY}"))
        return found

    def problem(self, name: str = "") -> str:
        """Say what a part is missed for."""
        return self.problems.get(_short(name), self.problems[""])


def _short(name: str) -> str:
    """Return the last word of the name of a part that is ours."""
    return name.rpartition(" ")[2] if name.startswith(f"{wanted.OURS} ") else name


def same(one: Any, other: Any) -> bool:
    """Whether two parts mean the same, in whatever form a storage hands them back."""
    if isinstance(one, dict) and isinstance(other, dict):
        return canonical(one) == canonical(other)
    return bool(one == other)


def shown(value: Any) -> str:
    """Return a part as one line."""
    return "nothing" if value in (None, "", {}) else json.dumps(value, sort_keys=True)


def _lock(told: Call) -> Parts:
    rule = told.get("ObjectLockConfiguration", {}).get("Rule", {}).get("DefaultRetention", {})
    days = (rule.get("Days") or 0) + 365 * (rule.get("Years") or 0)
    if told.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") != "Enabled":
        return {}
    return {"enabled": True, "default": {"mode": rule.get("Mode") or "", "days": days}}


def _cipher(told: Call) -> Parts:
    rules = told["ServerSideEncryptionConfiguration"]["Rules"] or [{}]
    default = rules[0].get("ApplyServerSideEncryptionByDefault", {})
    return {"": {"algorithm": default.get("SSEAlgorithm", ""), "key": default.get("KMSMasterKeyID", "")}}


def _pack_cipher(parts: Parts) -> Call:
    cipher = parts[""]
    default = {"SSEAlgorithm": cipher["algorithm"], **({"KMSMasterKeyID": cipher["key"]} if cipher["key"] else {})}
    # One data key for many objects: without it every segment of WAL would be a request to KMS.
    more = {"BucketKeyEnabled": True} if cipher["algorithm"].startswith("aws:kms") else {}
    return {"ServerSideEncryptionConfiguration": {"Rules": [{"ApplyServerSideEncryptionByDefault": default, **more}]}}


def _statements(told: Call) -> Parts:
    listed = json.loads(told["Policy"]).get("Statement", [])
    each = listed if isinstance(listed, list) else [listed]
    return {str(one.get("Sid") or f"unnamed-{number}"): one for number, one in enumerate(each, 1)}


def _rules(told: Call) -> Parts:
    return {str(rule.get("ID") or f"unnamed-{number}"): _plain(rule) for number, rule in enumerate(told["Rules"], 1)}


def _plain(rule: Call) -> Call:
    """Return a lifecycle rule without the empty parts that storages add."""
    return {name: value for name, value in rule.items() if value not in (None, [], {}, "")}


VERSIONING = Setting(
    "versioning",
    "get_bucket_versioning",
    "put_bucket_versioning",
    "",
    {"": "what is hidden or written over is gone"},
    lambda told: {"": told.get("Status", "")},
    lambda parts: {"VersioningConfiguration": {"Status": parts[""]}},
    lambda stands, rules, cipher: {"": wanted.versioning()},
)
OBJECT_LOCK = Setting(
    "object-lock",
    "get_object_lock_configuration",
    "put_object_lock_configuration",
    "ObjectLockConfigurationNotFoundError",
    {"": "whoever has the keys can delete backups for good"},
    _lock,
    lambda parts: {
        "ObjectLockConfiguration": {
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": parts["default"]["mode"], "Days": parts["default"]["days"]}},
        }
    },
    lambda stands, rules, cipher: {"enabled": True, "default": wanted.object_lock(stands.get("default"), rules)},
)
PUBLIC_ACCESS = Setting(
    "public-access-block",
    "get_public_access_block",
    "put_public_access_block",
    "NoSuchPublicAccessBlockConfiguration",
    {"": "a policy or an ACL could open the backups to everybody"},
    lambda told: dict(told["PublicAccessBlockConfiguration"]),
    lambda parts: {"PublicAccessBlockConfiguration": parts},
    lambda stands, rules, cipher: wanted.public_access_block(),
)
ENCRYPTION = Setting(
    "encryption",
    "get_bucket_encryption",
    "put_bucket_encryption",
    "ServerSideEncryptionConfigurationNotFoundError",
    {"": "objects lie in the storage as they were sent"},
    _cipher,
    _pack_cipher,
    lambda stands, rules, cipher: {"": wanted.encryption(stands.get(""), rules)},
)
LIFECYCLE = Setting(
    "lifecycle",
    "get_bucket_lifecycle_configuration",
    "put_bucket_lifecycle_configuration",
    "NoSuchLifecycleConfiguration",
    {
        "": "a rule takes away or buries what must stay",
        "uploads": "what dead uploads left is paid for without end",
        "hidden": "hidden versions are gone too soon to be taken back, or paid for without end",
        "daily": "sets that no retention job took are paid for without end",
        "weekly": "sets that no retention job took are paid for without end",
        "monthly": "sets that no retention job took are paid for without end",
    },
    _rules,
    lambda parts: {"LifecycleConfiguration": {"Rules": list(parts.values())}},
    lambda stands, rules, cipher: wanted.lifecycle(stands, rules),
    divisible=True,
)
POLICY = Setting(
    "policy",
    "get_bucket_policy",
    "put_bucket_policy",
    "NoSuchBucketPolicy",
    MISSED,
    _statements,
    lambda parts: {"Policy": json.dumps({"Version": VERSION, "Statement": list(parts.values())})},
    lambda stands, rules, cipher: bucket_policy(stands, rules, cipher),
    divisible=True,
)
# In the order in which they are set: each makes the next safe, and the policy may shut out who set the others.
SETTINGS = (VERSIONING, OBJECT_LOCK, PUBLIC_ACCESS, ENCRYPTION, LIFECYCLE, POLICY)
