"""Set up the bucket for backups, or audit it: what is weaker than the rules is raised to them, never the reverse."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..outcome import Outcome
from .bucket_door import PATIENCE, BucketDoor, NotSupported
from .bucket_policies import SID, is_public, role_documents
from .bucket_probe import knows_tls, look_at_address, look_at_clock, look_at_promises
from .bucket_rules import BucketRules, encryption
from .bucket_settings import (
    APPLY,
    ENCRYPTION,
    NOT_SUPPORTED,
    OBJECT_LOCK,
    OTHER,
    POLICY,
    SETTINGS,
    Finding,
    Parts,
    Setting,
)
from .bucket_settings import same as same_part
from .errors import BackupError, Code
from .objects import Storage
from .objects_s3_faults import Patience

UNLOCKED = (
    "make a new bucket, or run it with backup_bucket_lock_existing=true: AWS allows that since 2023 for a bucket with "
    "versions, it cannot be taken back, and objects that are there already stay unlocked"
)
TLS_ONLY = SID + "TlsOnly"
BLIND = "it takes every request for one by plain HTTP; let the proxy before it pass X-Forwarded-Proto"


@dataclass(frozen=True)
class BucketRequest:
    """Which bucket by which keys; `accept` are ids of findings that somebody has decided to live with.

    `owner` is the number of the account that must own it, `lock_existing` turns Object Lock on where it is off.
    """

    rules: BucketRules
    key_id: str
    secret: str = field(repr=False)
    endpoint_url: str = ""
    region: str = ""
    addressing_style: str = "auto"
    ca_bundle: Path | None = None
    owner: str = ""
    lock_existing: bool = False
    accept: tuple[str, ...] = ()
    patience: Patience = PATIENCE

    def open(self) -> BucketDoor:
        """Return the door to the bucket."""
        if not (self.key_id and self.secret):
            raise BackupError(
                Code.CONFIG,
                "no keys are given for setting up the bucket",
                hint="set backup_bucket_admin_access_key_id and backup_bucket_admin_secret_access_key",
            )
        place = Storage(
            bucket=self.rules.bucket,
            endpoint_url=self.endpoint_url,
            region=self.region,
            addressing_style=self.addressing_style,
            ca_bundle=self.ca_bundle,
        )
        return BucketDoor(place, (self.key_id, self.secret), owner=self.owner, patience=self.patience)


@dataclass
class _Seen:
    """What a walk through the settings has found: as they stood, as they stand then, and what is wrong."""

    before: dict[str, Parts] = field(default_factory=dict)
    after: dict[str, Parts] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def changed(self) -> list[str]:
        return [name for name in self.after if not _same(self.before[name], self.after[name])]


def bucket_apply(request: BucketRequest, *, dry_run: bool) -> Outcome:
    """Make the bucket and set what is weaker than the rules; may be repeated after a crash at any point.

    Details: `created`, `settings` that changed, `before`, `after`, `findings` (and as `lines`), `accepted`, `documents`
    of the roles. What a storage lacks is a finding. Raises BackupError: CONFIG, and STORAGE_DENIED for wrong keys or
    somebody else's bucket.
    """
    for finding in look_at_address(request.endpoint_url):
        raise BackupError(Code.CONFIG, f"{finding.problem}: {finding.evidence}", hint=finding.fix)
    door = request.open()
    exists, storage_time = door.exists()
    if not exists and not dry_run:
        door.create()
    seen = _Seen()
    for setting in SETTINGS:
        _visit(setting, door, request, seen, is_new=not exists, dry_run=dry_run)
    seen.findings += [*look_at_clock(storage_time), *_look_at_people(seen.after.get(POLICY.name, {}), request.rules)]
    if not dry_run:
        seen.findings += look_at_promises(door, request.rules, may_write=True)
    words = [*([] if exists else ["made"]), *(f"{name} set" for name in seen.changed)]
    return _outcome(request, seen, words or ["nothing to do"], created=not exists, changed=bool(words))


def bucket_audit(request: BucketRequest) -> Outcome:
    """Tell everything that is weaker than the rules; changes nothing, and a reader's keys are enough.

    It writes nothing either: the probe that bucket_apply left is tried again, and a storage that takes it is found out.
    """
    door = request.open()
    exists, storage_time = door.exists()
    seen = _Seen(findings=look_at_address(request.endpoint_url) + look_at_clock(storage_time))
    if not exists:
        missing = f"s3://{request.rules.bucket} does not exist"
        seen.findings.append(Finding("bucket", "no backup can be stored", missing, f"run {APPLY}"))
        return _outcome(request, seen, ["audited"], created=False, changed=False)
    for setting in SETTINGS:
        _compare(setting, door, request, seen)
    seen.findings += _look_at_people(seen.before.get(POLICY.name, {}), request.rules)
    seen.findings += look_at_promises(door, request.rules, may_write=False)
    return _outcome(request, seen, ["audited"], created=False, changed=False)


def _visit(
    setting: Setting, door: BucketDoor, request: BucketRequest, seen: _Seen, *, is_new: bool, dry_run: bool
) -> None:
    """Bring one setting to what the rules want."""
    try:
        stands = {} if is_new and dry_run else setting.look(door)
    except NotSupported as error:
        seen.findings.append(_lacking(setting, error))
        return
    target = setting.want(stands, request.rules, _cipher(seen.after, request.rules))
    seen.before[setting.name], seen.after[setting.name] = ({} if is_new else stands), stands
    if setting is OBJECT_LOCK and not (stands or is_new or request.lock_existing):
        seen.findings.append(_unlocked(setting))
    elif dry_run:
        seen.after[setting.name] = target
    else:
        refused: dict[str, str] = {}
        if not _same(stands, target):
            possible, blind = dict(target), {}
            if setting is POLICY and not (TLS_ONLY in stands or knows_tls(door, request.rules, stands)):
                del possible[TLS_ONLY]
                blind = {TLS_ONLY: BLIND}
            claimed, refused = setting.put(door, stands, possible)
            refused |= blind
            stands = _read_back(lambda: setting.look(door), claimed)
        seen.after[setting.name] = stands
        without = setting is OBJECT_LOCK and not stands
        reasons = "; ".join(dict.fromkeys(refused.values()))
        seen.findings += [_unlocked(setting, reasons)] if without else setting.findings(stands, target, refused)


def _compare(setting: Setting, door: BucketDoor, request: BucketRequest, seen: _Seen) -> None:
    """Find what one setting lacks."""
    try:
        stands = setting.look(door)
    except NotSupported as error:
        seen.findings.append(_lacking(setting, error))
        return
    except BackupError as error:
        if error.code is not Code.STORAGE_DENIED:
            raise
        fix = "audit with keys that may read it (the reader's document)"
        seen.findings.append(Finding(setting.name, "it cannot be told", error.message, fix))
        return
    seen.before[setting.name] = seen.after[setting.name] = stands
    if setting is OBJECT_LOCK and not stands:
        seen.findings.append(_unlocked(setting))
        return
    target = setting.want(stands, request.rules, _cipher(seen.after, request.rules))
    seen.findings += setting.findings(stands, target, {})


def _read_back(look: Callable[[], Parts], claimed: Parts) -> Parts:
    """Return what stands after a write; a storage may need a moment to tell the new value."""
    for pause in (0.5, 1.0, 2.0):
        stands = look()
        if _same(stands, claimed):
            break
        time.sleep(pause)
    return stands


def _look_at_people(policy: Parts, rules: BucketRules) -> list[Finding]:
    found = [
        Finding(f"policy.{sid}", "everybody may use the bucket", json.dumps(statement), "remove that statement")
        for sid, statement in policy.items()
        if is_public(statement)
    ]
    if not rules.admins:
        fix = "set backup_bucket_admin_arns to a role that nobody uses every day, then run it with that role's keys"
        found.append(Finding("policy.admins", "whoever may do all may weaken it", "no administrator is named", fix))
    return found


def _cipher(stands: dict[str, Parts], rules: BucketRules) -> dict[str, Any]:
    told = stands.get(ENCRYPTION.name, {}).get("")
    return encryption(told if told and told["algorithm"] else None, rules)


def _lacking(setting: Setting, error: BackupError) -> Finding:
    return Finding(setting.name, setting.problem(), f"{NOT_SUPPORTED}: {error.message}", OTHER)


def _unlocked(setting: Setting, reasons: str = "") -> Finding:
    if reasons:
        return Finding(setting.name, setting.problem(), f"{NOT_SUPPORTED}: {reasons}", OTHER)
    return Finding(setting.name, setting.problem(), "the bucket has no Object Lock", UNLOCKED)


def _same(one: Parts, other: Parts) -> bool:
    return one.keys() == other.keys() and all(same_part(one[name], other[name]) for name in one)


def _outcome(request: BucketRequest, seen: _Seen, words: list[str], *, created: bool, changed: bool) -> Outcome:
    accepted = [one for one in seen.findings if one.id in request.accept]
    open_ones = [one for one in seen.findings if one.id not in request.accept]
    told = f"{len(open_ones)} findings" if open_ones else "no findings"
    return Outcome(
        changed,
        f"bucket {request.rules.bucket}: {', '.join(words)}; {told}",
        {
            "created": created,
            "settings": seen.changed,
            "before": seen.before,
            "after": seen.after,
            "findings": [dataclasses.asdict(one) for one in open_ones],
            "lines": [one.line() for one in open_ones],
            "accepted": [one.id for one in accepted],
            "documents": role_documents(request.rules),
        },
    )
