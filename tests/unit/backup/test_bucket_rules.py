"""What the bucket should be: who may do what, what lifecycle takes, and that nothing stronger is ever weakened."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasargad_ops.backup import bucket_rules as wanted
from pasargad_ops.backup.bucket_policies import (
    MISSED,
    WEAKENING,
    WRITE_ONCE,
    bucket_policy,
    canonical,
    is_public,
    role_documents,
)
from pasargad_ops.backup.bucket_probe import look_at_address
from pasargad_ops.backup.bucket_rules import BucketRules
from pasargad_ops.backup.errors import BackupError, Code
from pasargad_ops.backup.places import Place
from tests.policies import ADMIN, effect, judge

RULES = BucketRules("backups", "prod", admins=(ADMIN,))
KMS = "arn:aws:kms:eu-central-1:123456789012:key/0b6a"
AES, BY_KMS = {"algorithm": "AES256", "key": ""}, {"algorithm": "aws:kms", "key": KMS}
POLICY = bucket_policy({}, RULES, AES)
PLACE = Place("prod", "7301234567890123456")
OWN, BUCKET = f"arn:aws:s3:::backups/{PLACE.root}", "arn:aws:s3:::backups"
MANIFEST, TOMBSTONE, CLAIM = f"{OWN}attest/0000000001.json", f"{OWN}expired/0000000001.json", f"{OWN}claims/a/b/c.json"
CLUSTER, DRILL = "arn:aws:s3:::backups/v1/prod/clusters/1.json", f"{OWN}drills/2026-11-28/R.json"
SET, WAL = f"{OWN}logical/2026/11/28/R/data-000.age", f"{OWN}physical/g1/archive/main/15-1/0001.zst"
NEW = {"s3__ObjectCreationOperation": "true"}
ONCE = {**NEW, "s3__if_none_match": "*"}
SSE, LEFT = "s3__x_amz_server_side_encryption", "s3__object_lock_remaining_retention_days"

FORBIDDEN: list[tuple[str, str, str, dict[str, str]]] = [
    ("TlsOnly", "s3:GetObject", SET, {"aws:SecureTransport": "false"}),
    ("TlsOnly", "s3:ListBucket", BUCKET, {"aws:SecureTransport": "false"}),
    ("TlsVersion", "s3:PutObject", WAL, {"s3:TlsVersion": "1.1"}),
    ("NoKeysOfClients", "s3:PutObject", WAL, {**NEW, f"{SSE}_customer_algorithm": "AES256"}),
    ("Encryption", "s3:PutObject", WAL, {**NEW, SSE: "aws:kms"}),
    *(("WriteOnce", "s3:PutObject", key, NEW) for key in (MANIFEST, TOMBSTONE, CLAIM, SET)),
    ("NoShortLock", "s3:PutObject", SET, {**ONCE, LEFT: "1"}),
    ("NoShortLock", "s3:PutObjectRetention", SET, {LEFT: "30"}),
    ("NoEndlessLock", "s3:PutObject", WAL, {**NEW, LEFT: "36500"}),
    ("NoSoftLock", "s3:PutObject", SET, {**ONCE, "s3__object_lock_mode": "GOVERNANCE"}),
    *(("AdminOnly", action, SET if "Object" in action else BUCKET, {}) for action in WEAKENING),
]
LEFT_ALONE: list[tuple[str, str, dict[str, str]]] = [
    ("s3:PutObject", MANIFEST, ONCE),
    ("s3:PutObject", SET, {**ONCE, SSE: "AES256"}),
    ("s3:PutObject", SET, {**ONCE, LEFT: "39", "s3__object_lock_mode": "COMPLIANCE"}),
    # The parts of an upload carry no condition; the request that ends it does.
    ("s3:PutObject", SET, {"s3__ObjectCreationOperation": "false"}),
    ("s3:PutObject", WAL, NEW),
    ("s3:PutObjectRetention", SET, {LEFT: "450", "s3__object_lock_mode": "COMPLIANCE"}),
    ("s3:DeleteObject", WAL, {}),
    ("s3:GetObjectVersion", SET, {}),
    ("s3:ListBucket", BUCKET, {"s3:TlsVersion": "1.2"}),
    *((action, BUCKET, {"aws:PrincipalArn": ADMIN}) for action in WEAKENING),
]


@pytest.mark.parametrize(("name", "action", "resource", "about"), FORBIDDEN)
def test_each_statement_forbids_and_nothing_else_would(
    name: str, action: str, resource: str, about: dict[str, str]
) -> None:
    assert effect([*POLICY.values()], action, resource, **about) == "Deny"
    rest = [statement for sid, statement in POLICY.items() if sid != f"Pasargad{name}"]
    assert effect(rest, action, resource, **about) == ""


@pytest.mark.parametrize(("action", "resource", "about"), LEFT_ALONE)
def test_what_jobs_do_is_not_forbidden(action: str, resource: str, about: dict[str, str]) -> None:
    assert effect([*POLICY.values()], action, resource, **about) == ""


def test_every_statement_is_held_and_says_what_it_is_missed_for() -> None:
    held = {f"Pasargad{name}" for name, *_ in FORBIDDEN}
    assert held == set(POLICY) == set(MISSED) - {"", "PasargadEncryptionKey"}


def test_another_key_of_kms_is_refused() -> None:
    policy = [*bucket_policy({}, dataclasses.replace(RULES, kms_key=KMS), BY_KMS).values()]
    key = f"{SSE}_aws_kms_key_id"
    assert effect(policy, "s3:PutObject", WAL, **{**NEW, SSE: "aws:kms", key: KMS}) == ""
    assert effect(policy, "s3:PutObject", WAL, **{**NEW, SSE: "aws:kms", key: KMS.replace("1234", "9999")}) == "Deny"
    assert effect(policy, "s3:PutObject", WAL, **{**NEW, SSE: "AES256"}) == "Deny"


def test_without_administrators_nothing_is_reserved_for_them() -> None:
    assert "PasargadAdminOnly" not in bucket_policy({}, dataclasses.replace(RULES, admins=()), AES)


def test_the_policy_never_becomes_milder_and_keeps_what_others_wrote() -> None:
    strict = bucket_policy({}, dataclasses.replace(RULES, lock_days=100), AES)
    strict["PasargadTlsVersion"]["Condition"] = {"NumericLessThan": {"s3:TlsVersion": ["1.3"]}}
    strict["Theirs"] = {"Sid": "Theirs", "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "x"}
    after = bucket_policy(strict, RULES, AES)
    assert after["PasargadTlsVersion"]["Condition"] == {"NumericLessThan": {"s3:TlsVersion": "1.3"}}
    left = {"NumericLessThan": {"s3:object-lock-remaining-retention-days": "99"}}
    assert (after["PasargadNoShortLock"]["Condition"], after["Theirs"]) == (left, strict["Theirs"])
    assert bucket_policy(after, RULES, AES) == after
    # What an older version of ours, or a trial that died, has left.
    assert bucket_policy({**after, "PasargadTlsTrial": POLICY["PasargadTlsOnly"]}, RULES, AES) == after
    # A number that is none is no reason to keep anything.
    after["PasargadTlsVersion"]["Condition"] = {"NumericLessThan": {"s3:TlsVersion": "none"}}
    assert bucket_policy(after, RULES, AES)["PasargadTlsVersion"] == POLICY["PasargadTlsVersion"]


def test_a_statement_is_the_same_in_every_form_that_storages_hand_back() -> None:
    one = POLICY["PasargadTlsOnly"]
    other = {**one, "Action": "s3:*", "Principal": {"AWS": "*"}, "Resource": one["Resource"][::-1]}
    assert canonical(other) == canonical(one)
    assert canonical({**one, "Effect": "Allow"}) != canonical(one)


def test_a_statement_for_everybody_is_recognised() -> None:
    statement: dict[str, Any] = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "s3:GetObject"}
    assert is_public(statement)
    assert not is_public({**statement, "Principal": {"AWS": ADMIN}})
    assert not is_public({**statement, "Effect": "Deny"})
    assert not is_public({**statement, "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}})


def test_what_is_written_once_lies_where_places_say() -> None:
    keys = {PLACE.manifest(1), PLACE.tombstone(1), f"{PLACE.claims}a", PLACE.logical(datetime.now(UTC), "R")}
    assert {f"{key.removeprefix(PLACE.root).split('/')[0]}/" for key in keys} == set(WRITE_ONCE)


ROLES = role_documents(dataclasses.replace(RULES, kms_key=KMS))
READ = [("s3:GetObject", MANIFEST), ("s3:GetObjectVersion", SET), ("s3:GetObjectRetention", SET)]
LOOK = [("s3:ListBucket", BUCKET), ("s3:ListBucketVersions", BUCKET), ("s3:ListBucketMultipartUploads", BUCKET)]
EVERY = [*READ, *LOOK, ("s3:ListMultipartUploadParts", SET), ("s3:PutObject", CLAIM), ("kms:Decrypt", KMS)]
ABORT = ("s3:AbortMultipartUpload", WAL)
MAY: dict[str, list[tuple[str, str]]] = {
    "writer": [
        *EVERY,
        *(("s3:PutObject", key) for key in (SET, MANIFEST, WAL)),
        ("s3:PutObjectRetention", SET),
        ("s3:PutObjectRetention", MANIFEST),
        ("s3:PutObjectTagging", SET),
        ("s3:DeleteObject", WAL),
        ABORT,
        ("s3:PutObject", CLUSTER),
        ("s3:PutObject", DRILL),
        ("kms:GenerateDataKey", KMS),
    ],
    "reader": [
        *EVERY,
        ("s3:PutObject", DRILL),
        ("s3:GetBucketPolicy", BUCKET),
        ("s3:GetLifecycleConfiguration", BUCKET),
    ],
    "janitor": [*EVERY, ("s3:PutObject", TOMBSTONE), ("s3:DeleteObject", SET), ("s3:DeleteObject", MANIFEST), ABORT],
}
MAY_NOT: dict[str, list[tuple[str, str]]] = {
    "writer": [
        *(("s3:DeleteObject", key) for key in (SET, MANIFEST, TOMBSTONE, CLAIM)),
        ("s3:PutObject", TOMBSTONE),
        # Lifecycle takes what has a tag.
        ("s3:PutObjectTagging", WAL),
    ],
    "reader": [
        *(("s3:DeleteObject", key) for key in (SET, MANIFEST, TOMBSTONE, CLAIM, WAL)),
        *(("s3:PutObject", key) for key in (SET, MANIFEST, TOMBSTONE, WAL)),
        ABORT,
    ],
    "janitor": [
        *(("s3:DeleteObject", key) for key in (TOMBSTONE, CLAIM, WAL)),
        *(("s3:PutObject", key) for key in (SET, MANIFEST, WAL)),
        ("s3:PutObjectTagging", SET),
    ],
}
NOBODY_MAY = [
    *((action, resource) for action in WEAKENING for resource in (BUCKET, SET, WAL)),
    ("s3:GetObject", SET.replace("/prod/", "/staging/")),
    ("s3:PutObject", CLAIM.replace("/prod/", "/staging/")),
    ("s3:ListBucket", "arn:aws:s3:::another"),
]


def allowed(statements: list[Mapping[str, Any]], rows: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [row for row in rows if effect(statements, *row) == "Allow"]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_what_it_needs_and_nothing_more(role: str) -> None:
    statements = ROLES[role]["Statement"]
    assert allowed(statements, MAY[role]) == MAY[role]
    assert allowed(statements, [*MAY_NOT[role], *NOBODY_MAY]) == []
    for dropped in statements:
        rest = [statement for statement in statements if statement is not dropped]
        assert allowed(rest, MAY[role]) != MAY[role], f"nothing needs {dropped['Sid']}"


def test_all_three_roles_together_remove_nothing() -> None:
    """With one pair of keys, a small shop attaches all documents to it."""
    together = [statement for document in ROLES.values() for statement in document["Statement"]]
    assert allowed(together, NOBODY_MAY) == []


def days_of(rules: BucketRules, name: str) -> int:
    return wanted.lifecycle({}, rules)[f"pasargad v1/prod/ {name}"]["Expiration"]["Days"]


def test_lifecycle_takes_only_what_retention_should_have_taken() -> None:
    rules = wanted.lifecycle({}, RULES)
    assert {name.split()[-1] for name in rules} == {"uploads", "hidden", "daily", "weekly", "monthly"}
    for name, rule in rules.items():
        tags = rule["Filter"].get("And", {}).get("Tags")
        # pgBackRest's objects have no tag: no rule without one may take what is current.
        assert bool({"Days", "Date"} & rule.get("Expiration", {}).keys()) == bool(tags), name
        assert not (tags and ("AbortIncompleteMultipartUpload" in rule or "NoncurrentVersionExpiration" in rule))
        assert set(rule.get("Expiration", {})) in ({"Days"}, {"ExpiredObjectDeleteMarker"}, set())
    assert (days_of(RULES, "daily"), days_of(RULES, "weekly"), days_of(RULES, "monthly")) == (100, 144, 432)


@given(st.integers(1, 400), st.integers(0, 50), st.integers(1, 60), st.integers(1, 40), st.integers(10, 200))
def test_lifecycle_is_always_later_than_retention_and_the_lock(
    days: int, more: int, weekly: int, monthly: int, backstop: int
) -> None:
    rules = BucketRules("backups", "prod", "", days, weekly, monthly, days + 10 + more, backstop_days=backstop)
    for tier, longest in rules.longest_days.items():
        assert days_of(rules, tier) >= max(longest, rules.lock_days) + 10


def test_archives_are_read_at_once() -> None:
    rules = wanted.lifecycle({}, dataclasses.replace(RULES, archive={"monthly": "GLACIER_IR"}))
    moves = {name.split()[-1]: rule["Transitions"] for name, rule in rules.items() if "Transitions" in rule}
    assert moves == {"monthly": [{"Days": 30, "StorageClass": "GLACIER_IR"}]}


def foreign(**does: Any) -> dict[str, Any]:
    return {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": ""}, **does}


HARMFUL = {
    "everything expires": foreign(Expiration={"Days": 3650}),
    "on a date": foreign(Expiration={"Date": "2030-01-01"}),
    "one cluster": foreign(Filter={"Prefix": "v1/prod/7301234567890123456/physical/"}, Expiration={"Days": 1}),
    "with a tag": foreign(Filter={"And": {"Prefix": "v1/", "Tags": []}}, Expiration={"Days": 1}),
    "by a tag alone": foreign(Filter={"Tag": {"Key": "a", "Value": "b"}}, Expiration={"Days": 1}),
    "in the old form": {"ID": "theirs", "Status": "Enabled", "Prefix": "v1/prod", "Expiration": {"Days": 1}},
    "hidden ones at once": foreign(NoncurrentVersionExpiration={"NoncurrentDays": 1}),
    "buried": foreign(Transitions=[{"Days": 1, "StorageClass": "DEEP_ARCHIVE"}]),
    "hidden ones buried": foreign(NoncurrentVersionTransitions=[{"NoncurrentDays": 1, "StorageClass": "GLACIER"}]),
}
HARMLESS = {
    "elsewhere": foreign(Filter={"Prefix": "logs/"}, Expiration={"Days": 1}),
    "another environment": foreign(Filter={"Prefix": "v1/production-2/"}, Expiration={"Days": 1}),
    "off": foreign(Status="Disabled", Expiration={"Days": 1}),
    "cheaper": foreign(Transitions=[{"Days": 30, "StorageClass": "STANDARD_IA"}]),
    "hidden ones later": foreign(NoncurrentVersionExpiration={"NoncurrentDays": 30}),
    "dead uploads": foreign(AbortIncompleteMultipartUpload={"DaysAfterInitiation": 7}),
}


@pytest.mark.parametrize("name", [*HARMFUL, *HARMLESS])
def test_rules_of_others_stay_unless_they_take_backups(name: str) -> None:
    rule = (HARMFUL | HARMLESS)[name]
    assert ("theirs" in wanted.lifecycle({"theirs": rule}, RULES)) == (name in HARMLESS)


def test_longer_days_stay() -> None:
    longer = wanted.lifecycle({}, dataclasses.replace(RULES, backstop_days=365, undo_days=30))
    assert wanted.lifecycle(longer, RULES) == longer
    assert wanted.lifecycle(wanted.lifecycle({}, RULES), dataclasses.replace(RULES, backstop_days=365)) != longer


def test_the_lock_is_never_shortened_or_softened() -> None:
    assert wanted.object_lock(None, RULES) == {"mode": "COMPLIANCE", "days": 40}
    assert wanted.object_lock({"mode": "GOVERNANCE", "days": 365}, RULES) == {"mode": "COMPLIANCE", "days": 365}
    assert wanted.object_lock({"mode": "", "days": 0}, RULES) == {"mode": "COMPLIANCE", "days": 40}


@pytest.mark.parametrize(
    ("stands", "key", "after"),
    [
        (None, "", AES),
        ({"algorithm": "", "key": ""}, "", AES),
        (AES, "", AES),
        (BY_KMS, "", BY_KMS),
        ({"algorithm": "aws:kms:dsse", "key": KMS}, "", {"algorithm": "aws:kms:dsse", "key": KMS}),
        (AES, KMS, BY_KMS),
        ({"algorithm": "aws:kms:dsse", "key": KMS}, KMS, {"algorithm": "aws:kms:dsse", "key": KMS}),
        ({"algorithm": "aws:kms", "key": "another"}, KMS, BY_KMS),
    ],
)
def test_encryption_is_never_weakened(stands: dict[str, str] | None, key: str, after: dict[str, str]) -> None:
    assert wanted.encryption(stands, dataclasses.replace(RULES, kms_key=key)) == after


@pytest.mark.parametrize(
    "change",
    [
        {"bucket": "No"},
        {"bucket": "no/path"},
        {"env": "../x"},
        {"lock_days": 39},
        {"retention_days": 31},
        {"retention_days": 0},
        {"undo_days": 0},
        {"weekly": 0},
        {"backstop_days": 9},
        {"archive": {"monthly": "DEEP_ARCHIVE"}},
        {"archive": {"yearly": "GLACIER_IR"}},
        {"admins": ("*",)},
        {"admins": ("arn:aws:iam::*:root",)},
        {"kms_key": "alias/mine"},
    ],
)
def test_what_protects_nothing_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(BackupError) as caught:
        dataclasses.replace(RULES, **change)
    assert (caught.value.code, bool(caught.value.hint)) == (Code.CONFIG, True)


def test_a_prefix_lies_before_everything() -> None:
    rules = dataclasses.replace(RULES, prefix="/shops/mine/")
    assert rules.root == "shops/mine/v1/prod/"
    assert (
        "arn:aws:s3:::backups/shops/mine/v1/*/attest/*"
        in bucket_policy({}, rules, AES)["PasargadWriteOnce"]["Resource"]
    )
    assert all(rules.root in name for name in wanted.lifecycle({}, rules))


def test_environments_that_share_a_bucket_do_not_undo_each_other() -> None:
    other = dataclasses.replace(RULES, env="staging")
    assert bucket_policy(POLICY, other, AES) == POLICY
    both = wanted.lifecycle(wanted.lifecycle({}, RULES), other)
    assert wanted.lifecycle(both, RULES).keys() == both.keys()


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("https://s3.example.com", False),
        ("", False),
        ("http://127.0.0.1:9000", False),
        ("http://localhost:9000", False),
        ("http://[::1]:9000", False),
        ("http://10.0.0.1", True),
        ("http://localhost.example.com", True),
    ],
)
def test_plain_http_is_found_beyond_this_machine(address: str, found: bool) -> None:
    assert bool(look_at_address(address)) == found


@pytest.mark.parametrize(
    ("condition", "about", "applies"),
    [
        ({"Bool": {"k": "false"}}, {}, False),
        ({"Bool": {"k": "false"}}, {"k": "false"}, True),
        ({"Null": {"k": "true"}}, {}, True),
        ({"Null": {"k": "true"}}, {"k": "x"}, False),
        ({"Null": {"k": "false"}}, {"k": "x"}, True),
        # Of a key that is missing, everything negative is true.
        ({"StringNotEquals": {"k": "x"}}, {}, True),
        ({"StringNotEquals": {"k": ["x", "y"]}}, {"k": "y"}, False),
        ({"ArnNotLike": {"k": "arn:aws:iam::1:role/*"}}, {"k": "arn:aws:iam::1:role/a/b"}, False),
        ({"NumericLessThan": {"k": "1.2"}}, {}, False),
        ({"NumericLessThan": {"k": "1.2"}}, {"k": "1.1"}, True),
        ({"NumericLessThan": {"k": "1.2"}}, {"k": "1.2"}, False),
        ({"StringEquals": {"k": "x"}, "Bool": {"l": "true"}}, {"k": "x", "l": "false"}, False),
        ({}, {}, True),
    ],
)
def test_the_judge_reads_conditions_as_aws_does(condition: Any, about: dict[str, str], applies: bool) -> None:
    statement = {"Effect": "Deny", "Action": "s3:Put*", "Resource": "arn:aws:s3:::b/*/c?", "Condition": condition}
    asked = judge.Asked("s3:PutObject", "arn:aws:s3:::b/x/y/c1", about)
    assert judge.applies(statement, asked) == applies
    assert not judge.applies(statement, dataclasses.replace(asked, resource="arn:aws:s3:::b/c1"))
    assert not judge.applies(statement, dataclasses.replace(asked, action="s3:GetObject"))
