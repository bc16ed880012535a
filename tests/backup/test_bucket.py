"""The bucket set up and audited in the lab's own S3, which obeys policies."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pasargad_ops.backup import bucket_rules as wanted
from pasargad_ops.backup.bucket import BucketRequest, bucket_apply, bucket_audit
from pasargad_ops.backup.errors import Code
from pasargad_ops.backup.objects_s3 import S3Objects
from tests.backup.bucket_rig import (
    EVERYTHING,
    PLACE,
    ROOT,
    STATEMENTS,
    THEIRS,
    evidence,
    failure,
    ids,
    relive,
    writes,
)
from tests.backup.s3_proxy import Proxy, refuse


def test_a_bucket_is_made_and_the_second_time_nothing_changes(request_: BucketRequest, proxy: Proxy) -> None:
    assert ids(bucket_audit(request_)) == ["bucket"]
    foretold = bucket_apply(request_, dry_run=True)
    assert (foretold.changed, ids(foretold), writes(proxy)) == (True, [], [])
    made = bucket_apply(request_, dry_run=False)
    assert (made.changed, made.details["created"], ids(made)) == (True, True, [])
    assert set(made.details["settings"]) == EVERYTHING
    assert made.details["after"] == foretold.details["after"]
    assert set(made.details["documents"]) == {"writer", "reader", "janitor"}
    count = len(writes(proxy))
    for again in (bucket_apply(request_, dry_run=True), bucket_audit(request_)):
        assert (again.changed, again.details["settings"], ids(again)) == (False, [], [])
    again = bucket_apply(request_, dry_run=False)
    assert (again.changed, again.details["before"], ids(again)) == (False, made.details["after"], [])
    # Only the probes were sent again, to be refused: what they leave is one object in the bucket's life.
    assert all("/probe/" in path for path in writes(proxy)[count:])
    assert len(request_.open()._client.list_object_versions(Bucket=request_.rules.bucket)["Versions"]) == 1


def test_what_is_written_is_locked_and_never_replaced(
    request_: BucketRequest, client: Any, objects: Callable[[], S3Objects]
) -> None:
    bucket_apply(request_, dry_run=False)
    written = objects().put(PLACE.manifest(1), b"x", once=True)
    assert written.retain_until is not None
    assert timedelta(days=39) < written.retain_until - datetime.now(UTC) <= timedelta(days=40)
    assert failure(lambda: objects().put(PLACE.manifest(1), b"y")).code is Code.STORAGE_DENIED
    assert failure(lambda: objects().put(PLACE.manifest(2), b"y")).code is Code.STORAGE_DENIED
    with pytest.raises(Exception, match="AccessDenied"):
        client.delete_object(Bucket=request_.rules.bucket, Key=PLACE.manifest(1), VersionId=written.version)
    objects().hide(PLACE.manifest(1))
    assert objects().get(PLACE.manifest(1), version=written.version) == b"x"


def suspend(client: Any, bucket: str) -> None:
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})


def open_up(switch: str) -> Callable[[Any, str], None]:
    def deed(client: Any, bucket: str) -> None:
        switches = {**wanted.public_access_block(), switch: False}
        client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=switches)

    return deed


def rewrite(change: Callable[[dict[str, Any]], object]) -> Callable[[Any, str], None]:
    """Return a deed against the policy's statements, given by their Sids."""

    def deed(client: Any, bucket: str) -> None:
        policy = json.loads(client.get_bucket_policy(Bucket=bucket)["Policy"])
        statements = {statement["Sid"].removeprefix("Pasargad"): statement for statement in policy["Statement"]}
        change(statements)
        policy["Statement"] = list(statements.values())
        client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))

    return deed


def drop(name: str) -> Callable[[dict[str, Any]], object]:
    return lambda parts: parts.pop(name)


HIDDEN_SOON = {"NoncurrentVersionExpiration": {"NoncurrentDays": 1}}
NOT_MUCH = {"NumericLessThan": {"s3:object-lock-remaining-retention-days": "1"}}
MUTATIONS: dict[str, tuple[str, Callable[[Any, str], None]]] = {
    "versions off": ("versioning", suspend),
    **{f"{switch} off": (f"public-access-block.{switch}", open_up(switch)) for switch in wanted.PUBLIC_ACCESS_BLOCK},
    "no encryption": ("encryption", lambda client, bucket: client.delete_bucket_encryption(Bucket=bucket)),
    **{
        f"no rule {name}": (f"lifecycle.{name}", relive(drop(name)))
        for name in ("uploads", "hidden", "daily", "weekly", "monthly")
    },
    "sets go early": ("lifecycle.weekly", relive(lambda rules: rules["weekly"].update(Expiration={"Days": 5}))),
    "hidden ones go early": ("lifecycle.hidden", relive(lambda rules: rules["hidden"].update(HIDDEN_SOON))),
    "rule off": ("lifecycle.daily", relive(lambda rules: rules["daily"].update(Status="Disabled"))),
    "physical expires": ("lifecycle.theirs", relive(lambda rules: rules.update(theirs=THEIRS))),
    **{
        f"no statement {name}": (f"policy.Pasargad{name}", rewrite(drop(name)))
        for name in (sid.removeprefix("Pasargad") for sid in STATEMENTS)
    },
    "short locks": ("policy.PasargadNoShortLock", rewrite(lambda all: all["NoShortLock"].update(Condition=NOT_MUCH))),
    "one folder less": ("policy.PasargadWriteOnce", rewrite(lambda all: all["WriteOnce"]["Resource"].pop())),
    "allows": ("policy.PasargadTlsOnly", rewrite(lambda all: all["TlsOnly"].update(Effect="Allow"))),
    "another administrator": (
        "policy.PasargadAdminOnly",
        rewrite(lambda all: all["AdminOnly"]["Condition"]["ArnNotLike"].update({"aws:PrincipalArn": [ROOT, "arn:*"]})),
    ),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_the_audit_finds_each_weakening_and_applying_mends_it(standing: BucketRequest, name: str) -> None:
    found, deed = MUTATIONS[name]
    deed(standing.open()._client, standing.rules.bucket)
    foretold = bucket_apply(standing, dry_run=True)
    assert (foretold.changed, foretold.details["settings"]) == (True, [found.partition(".")[0]])
    audited = bucket_audit(standing)
    assert (audited.changed, ids(audited)) == (False, [found])
    mended = bucket_apply(standing, dry_run=False)
    assert (mended.changed, mended.details["settings"], ids(mended)) == (True, [found.partition(".")[0]], [])
    assert ids(bucket_audit(standing)) == []


def test_a_bucket_for_everybody_is_found_and_left_to_people(request_: BucketRequest, client: Any) -> None:
    bucket_apply(request_, dry_run=False)
    public = {"Sid": "Open", "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"}
    public["Resource"] = f"arn:aws:s3:::{request_.rules.bucket}/*"
    rewrite(lambda statements: statements.update(Open=public))(client, request_.rules.bucket)
    assert ids(bucket_audit(request_)) == ids(bucket_apply(request_, dry_run=False)) == ["policy.Open"]
    # What is accepted is told, and no finding any more.
    lived_with = bucket_audit(dataclasses.replace(request_, accept=("policy.Open",)))
    assert (ids(lived_with), lived_with.details["accepted"]) == ([], ["policy.Open"])


def test_a_soft_and_a_short_lock_are_found(request_: BucketRequest, client: Any) -> None:
    bucket = request_.rules.bucket
    client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    assert "object-lock.default" in ids(bucket_audit(request_))
    for mode, days in (("GOVERNANCE", 90), ("COMPLIANCE", 39)):
        lock = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": mode, "Days": days}}}
        client.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=lock)
        assert f'"days": {days}, "mode": "{mode}"' in evidence(bucket_audit(request_), "object-lock.default")
    lock["Rule"] = {"DefaultRetention": {"Mode": "COMPLIANCE", "Years": 1}}
    client.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=lock)
    assert "object-lock.default" not in ids(bucket_audit(request_))
    assert ids(bucket_apply(request_, dry_run=False)) == []


def test_what_is_stronger_stays(request_: BucketRequest, client: Any) -> None:
    rules = request_.rules
    kms = "arn:aws:kms:eu-central-1:123456789012:key/0b6a"
    strong = dataclasses.replace(rules, lock_days=400, undo_days=30, backstop_days=365, kms_key=kms)
    made = bucket_apply(dataclasses.replace(request_, rules=strong), dry_run=False)
    told = client.get_bucket_encryption(Bucket=rules.bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert told["BucketKeyEnabled"]
    again = bucket_apply(request_, dry_run=False)
    assert (again.changed, again.details["after"], ids(again)) == (False, made.details["after"], [])


def test_a_plain_bucket_gets_all_but_a_lock_until_that_is_decided(request_: BucketRequest, client: Any) -> None:
    client.create_bucket(Bucket=request_.rules.bucket)
    assert "object-lock" in ids(bucket_audit(request_))
    first = bucket_apply(request_, dry_run=True), bucket_audit(request_)
    assert (first[0].changed, ids(first[0])) == (True, ["object-lock"])
    locked = bucket_apply(dataclasses.replace(request_, lock_existing=True), dry_run=False)
    assert (set(locked.details["settings"]), locked.details["created"], ids(locked)) == (EVERYTHING, False, [])
    assert ids(bucket_audit(request_)) == []


def test_a_bucket_that_cannot_be_locked_any_more_says_why(request_: BucketRequest, client: Any) -> None:
    client.create_bucket(Bucket=request_.rules.bucket)
    plain = bucket_apply(request_, dry_run=False)
    assert (set(plain.details["settings"]), ids(plain)) == (EVERYTHING - {"object-lock"}, ["object-lock"])
    fix = plain.details["findings"][0]["fix"]
    assert "backup_bucket_lock_existing" in fix
    # The lab's S3 locks only empty buckets, as S3 itself did until 2023; the probe is an object.
    for _ in range(2):
        tried = bucket_apply(dataclasses.replace(request_, lock_existing=True), dry_run=False)
        assert (tried.changed, ids(tried)) == (False, ["object-lock"])
        assert "not supported by this storage" in evidence(tried, "object-lock")


def test_nobody_but_the_administrator_weakens(request_: BucketRequest, client: Any) -> None:
    rules = dataclasses.replace(request_.rules, admins=("arn:aws:iam::123456789012:role/break-glass",))
    request_ = dataclasses.replace(request_, rules=rules)
    assert ids(bucket_apply(request_, dry_run=False)) == []
    assert (bucket_apply(request_, dry_run=False).changed, ids(bucket_audit(request_))) == (False, [])
    for deed in (suspend, open_up("BlockPublicAcls"), relive(dict.clear), rewrite(dict.clear)):
        with pytest.raises(Exception, match="AccessDenied"):
            deed(client, rules.bucket)
    longer = dataclasses.replace(request_, rules=dataclasses.replace(rules, undo_days=30))
    assert failure(lambda: bucket_apply(longer, dry_run=False)).code is Code.STORAGE_DENIED


def test_without_an_administrator_that_is_said(request_: BucketRequest) -> None:
    request_ = dataclasses.replace(request_, rules=dataclasses.replace(request_.rules, admins=()))
    assert ids(bucket_apply(request_, dry_run=False)) == ids(bucket_audit(request_)) == ["policy.admins"]


def test_the_audit_writes_no_probe(request_: BucketRequest, proxy: Proxy, client: Any) -> None:
    client.create_bucket(Bucket=request_.rules.bucket, ObjectLockEnabledForBucket=True)
    count = len(writes(proxy))
    assert "conditions" in ids(bucket_audit(request_))
    assert len(writes(proxy)) == count


@pytest.mark.parametrize("change", [{"secret": "wrong"}, {"key_id": "AKIAOTHER"}])
def test_wrong_keys_are_named(request_: BucketRequest, change: dict[str, str]) -> None:
    found = failure(lambda: bucket_apply(dataclasses.replace(request_, **change), dry_run=False))  # type: ignore[arg-type]
    assert (found.code, "vault_pasargad_s3" in found.hint) == (Code.STORAGE_DENIED, True)
    found = failure(lambda: bucket_audit(dataclasses.replace(request_, secret="")))
    assert (found.code, "backup_bucket_admin" in found.hint) == (Code.CONFIG, True)


def test_the_bucket_of_somebody_else_is_left_alone(request_: BucketRequest, proxy: Proxy) -> None:
    proxy.fault = lambda _: refuse(403, "AccessDenied")
    for call in (lambda: bucket_apply(request_, dry_run=False), lambda: bucket_audit(request_)):
        found = failure(call)
        assert (found.code, "somebody else" in found.hint) == (Code.STORAGE_DENIED, True)
    assert writes(proxy) == []
    # Its name is taken, and only making it tells.
    proxy.fault = lambda seen: refuse(409, "BucketAlreadyExists") if seen.kind == "put" else None
    found = failure(lambda: bucket_apply(request_, dry_run=False))
    assert (found.code, "somebody else" in found.message) == (Code.CONFIG, True)


def test_the_owner_is_named_in_every_request_about_the_bucket(request_: BucketRequest, proxy: Proxy) -> None:
    bucket_apply(dataclasses.replace(request_, owner="123456789012"), dry_run=False)
    others = [one for one in proxy.seen if one.headers.get("x-amz-expected-bucket-owner") != "123456789012"]
    assert [one.path.rstrip("/") for one in others] == [f"/{request_.rules.bucket}"]


def test_plain_http_is_refused_before_anything_is_sent(request_: BucketRequest) -> None:
    found = failure(lambda: bucket_apply(dataclasses.replace(request_, endpoint_url="http://192.0.2.1"), dry_run=False))
    assert (found.code, "https://" in found.hint) == (Code.CONFIG, True)


def test_amazon_is_asked_in_the_buckets_own_region(request_: BucketRequest) -> None:
    amazon = dataclasses.replace(request_, endpoint_url="https://s3.amazonaws.com", region="eu-central-1")
    assert amazon.open()._client.meta.endpoint_url == "https://s3.eu-central-1.amazonaws.com"
    assert request_.open()._client.meta.endpoint_url == request_.endpoint_url
