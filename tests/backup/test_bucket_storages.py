"""The bucket in storages that lack what S3 has, say yes and do nothing, or fail in the middle."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from pasargad_ops.backup.bucket import BucketRequest, bucket_apply, bucket_audit
from pasargad_ops.backup.errors import BackupError, Code
from pasargad_ops.backup.objects_s3_client import checked
from tests.backup.bucket_rig import (
    EVERYTHING,
    THEIRS,
    evidence,
    failure,
    ids,
    relive,
)
from tests.backup.s3_proxy import Fault, Proxy, Seen, refuse


def at(*marks: str, fault: Fault, methods: str = "") -> Callable[[Seen], Fault | None]:
    """Fail requests whose path has one of the marks."""
    return lambda seen: fault if any(mark in seen.path for mark in marks) and methods in ("", seen.kind) else None


LACKING = refuse(501, "NotImplemented")
SETTING_OF = {
    "?versioning": "versioning",
    "?object-lock": "object-lock",
    "?publicAccessBlock": "public-access-block",
    "?encryption": "encryption",
    "?lifecycle": "lifecycle",
    "?policy": "policy",
}


@pytest.mark.parametrize("mark", SETTING_OF)
@pytest.mark.parametrize("fault", [LACKING, refuse(405, "MethodNotAllowed")], ids=["501", "405"])
def test_what_a_storage_lacks_is_a_finding(request_: BucketRequest, proxy: Proxy, mark: str, fault: Fault) -> None:
    proxy.fault = at(mark, fault=fault)
    for outcome in (bucket_apply(request_, dry_run=False), bucket_audit(request_)):
        assert ids(outcome) == [SETTING_OF[mark]]
        assert "not supported by this storage" in evidence(outcome, SETTING_OF[mark])


@pytest.mark.parametrize("mark", ["?publicAccessBlock", "?encryption", "?lifecycle", "?policy"])
def test_what_a_storage_tells_and_cannot_change_is_a_finding(request_: BucketRequest, proxy: Proxy, mark: str) -> None:
    proxy.fault = at(mark, fault=LACKING, methods="put")
    for outcome in (bucket_apply(request_, dry_run=False), bucket_apply(request_, dry_run=False)):
        found = ids(outcome)
        assert {name.partition(".")[0] for name in found} == {SETTING_OF[mark]}
        assert all("not supported" in evidence(outcome, name) for name in found)
    assert not outcome.changed


def test_a_storage_that_has_nothing_is_no_crash(request_: BucketRequest, proxy: Proxy) -> None:
    nothing = at(*SETTING_OF, fault=LACKING)
    proxy.fault = lambda seen: LACKING if "x-amz-bucket-object-lock-enabled" in seen.headers else nothing(seen)
    assert set(ids(bucket_apply(request_, dry_run=False))) == EVERYTHING
    assert not bucket_apply(request_, dry_run=False).changed


def test_a_storage_that_does_not_know_one_condition_gets_the_other_statements(
    request_: BucketRequest, proxy: Proxy
) -> None:
    tries = 0

    def refuse_the_second(seen: Seen) -> Fault | None:
        nonlocal tries
        if seen.kind != "put" or "?policy" not in seen.path:
            return None
        tries += 1
        # After the trial the whole, and in the order of the statements the second.
        return refuse(400, "MalformedPolicy") if tries in (2, 4) else None

    proxy.fault = refuse_the_second
    first = bucket_apply(request_, dry_run=False)
    assert ids(first) == ["policy.PasargadTlsVersion"]
    assert "MalformedPolicy" in evidence(first, "policy.PasargadTlsVersion")
    proxy.fault = lambda seen: refuse(400, "MalformedPolicy") if seen.kind == "put" and "?policy" in seen.path else None
    again = bucket_apply(request_, dry_run=False)
    assert (again.changed, ids(again)) == (False, ["policy.PasargadTlsVersion"])


def test_a_harmful_rule_goes_also_where_rules_are_taken_one_by_one(
    request_: BucketRequest, proxy: Proxy, client: Any
) -> None:
    bucket_apply(request_, dry_run=False)
    relive(lambda rules: (rules.update(theirs=THEIRS), rules.pop("daily"), rules.pop("weekly")))(
        client, request_.rules.bucket
    )
    before = proxy.count("put")
    proxy.fault = lambda seen: (
        refuse(400, "InvalidRequest")
        if "?lifecycle" in seen.path and seen.kind == "put" and seen.same == before
        else None
    )
    assert ids(bucket_apply(request_, dry_run=False)) == ids(bucket_audit(request_)) == []


def test_a_storage_that_says_yes_and_does_nothing_is_found_out(request_: BucketRequest, proxy: Proxy) -> None:
    proxy.fault = at("?lifecycle", fault=Fault(200), methods="put")
    for _ in range(2):
        outcome = bucket_apply(request_, dry_run=False)
        assert {name.partition(".")[0] for name in ids(outcome)} == {"lifecycle"}
    assert not outcome.changed


@pytest.mark.parametrize(
    ("answer", "told"),
    [(Fault(200, headers={"ETag": '"x"'}), "was taken"), (refuse(501, "NotImplemented"), "not supported")],
)
def test_a_storage_without_conditions_is_found(request_: BucketRequest, proxy: Proxy, answer: Fault, told: str) -> None:
    bucket_apply(request_, dry_run=False)
    proxy.fault = at("/probe/once", fault=answer, methods="put")
    for outcome in (bucket_audit(request_), bucket_apply(request_, dry_run=False)):
        assert ids(outcome) == ["conditions"]
        assert told in evidence(outcome, "conditions")


def test_conditions_that_nobody_has_tried_are_found(request_: BucketRequest, proxy: Proxy) -> None:
    proxy.fault = at("/probe/once", fault=LACKING, methods="put")
    assert ids(bucket_apply(request_, dry_run=False)) == ids(bucket_audit(request_)) == ["conditions"]


def test_a_storage_that_keeps_what_is_damaged_is_found(request_: BucketRequest, proxy: Proxy, client: Any) -> None:
    proxy.fault = at("/probe/wrong-sum", fault=Fault(200, headers={"ETag": '"x"'}), methods="put")
    assert ids(bucket_apply(request_, dry_run=False)) == ["checksums"]
    # Once it lies there, that is enough: the audit writes nothing.
    proxy.fault = lambda _: None
    client.put_object(Bucket=request_.rules.bucket, Key="v1/prod/probe/wrong-sum.txt", **checked(b"x"))
    assert ids(bucket_audit(request_)) == ["checksums"]


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_off_is_found(request_: BucketRequest, proxy: Proxy, hours: int) -> None:
    bucket_apply(request_, dry_run=False)
    date = format_datetime(datetime.now(UTC) + timedelta(hours=hours), usegmt=True)
    proxy.fault = at("list-type", fault=Fault(headers={"Date": date}))
    for outcome in (bucket_audit(request_), bucket_apply(request_, dry_run=False)):
        assert ids(outcome) == ["clock"]
        assert abs(float(evidence(outcome, "clock").split()[3]) + 3600 * hours) < 60
    proxy.fault = at("list-type", fault=Fault(headers={"Date": "today"}))
    assert failure(lambda: bucket_audit(request_)).code is Code.CONFIG


def test_what_passes_is_tried_again_and_what_lasts_has_its_code(request_: BucketRequest, proxy: Proxy) -> None:
    proxy.fault = lambda seen: refuse(503, "SlowDown") if seen.kind == "put" and seen.same % 2 == 0 else None
    assert ids(bucket_apply(request_, dry_run=False)) == []
    proxy.fault = lambda _: refuse(503, "SlowDown")
    assert failure(lambda: bucket_audit(request_)).code is Code.STORAGE_TRANSIENT
    assert failure(lambda: bucket_apply(request_, dry_run=False)).code is Code.STORAGE_TRANSIENT


@pytest.mark.parametrize("number", range(8))
def test_what_a_crash_left_is_brought_to_its_end(request_: BucketRequest, proxy: Proxy, number: int) -> None:
    count = 0

    def die(seen: Seen) -> Fault | None:
        nonlocal count
        count += seen.kind == "put"
        return Fault(reset=True) if count > number and seen.kind == "put" else None

    proxy.fault = die
    with contextlib.suppress(BackupError):
        bucket_apply(request_, dry_run=False)
    proxy.fault = lambda _: None
    assert ids(bucket_apply(request_, dry_run=False)) == []
    assert not bucket_apply(request_, dry_run=False).changed


def test_a_storage_that_takes_tls_for_plain_http_shuts_nobody_out(request_: BucketRequest, proxy: Proxy) -> None:
    proxy.added = {"X-Forwarded-Proto": "http"}
    for changed in (True, False):
        outcome = bucket_apply(request_, dry_run=False)
        assert (outcome.changed, ids(outcome)) == (changed, ["policy.PasargadTlsOnly"])
        assert "X-Forwarded-Proto" in evidence(outcome, "policy.PasargadTlsOnly")
    assert ids(bucket_audit(request_)) == ["policy.PasargadTlsOnly"]
    # Told the truth, it gets the statement, and refuses who comes without.
    proxy.added = {"X-Forwarded-Proto": "https"}
    assert ids(bucket_apply(request_, dry_run=False)) == ids(bucket_audit(request_)) == []
    proxy.added = {"X-Forwarded-Proto": "http"}
    assert failure(lambda: bucket_audit(request_)).code is Code.STORAGE_DENIED
