"""What the tests of the bucket share: who they are, and how they read what was found."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pasargad_ops.backup.bucket_policies import MISSED
from pasargad_ops.backup.errors import BackupError
from pasargad_ops.backup.objects_s3_faults import Patience
from pasargad_ops.backup.places import Place
from pasargad_ops.outcome import Outcome
from tests.backup.s3_proxy import Proxy

KEY_ID, SECRET = "AKIABUCKET", "right/secret+key"
# Who the lab's S3 takes everybody for.
ROOT = "arn:aws:iam::123456789012:root"
QUICK = Patience(tries=3, first=0.01, longest=0.02, budget=10)
PLACE = Place("prod", "7301234567890123456")
STATEMENTS = sorted(set(MISSED) - {"", "PasargadEncryptionKey"})
EVERYTHING = {"versioning", "object-lock", "public-access-block", "encryption", "lifecycle", "policy"}
THEIRS = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 9}}


def ids(outcome: Outcome) -> list[str]:
    """Return the ids of what was found, and see that everything is said."""
    for finding in outcome.details["findings"]:
        assert all(finding.values()), finding
    assert SECRET not in json.dumps(outcome.details)
    return [finding["id"] for finding in outcome.details["findings"]]


def evidence(outcome: Outcome, name: str) -> str:
    return next(finding["evidence"] for finding in outcome.details["findings"] if finding["id"] == name)


def failure(call: Callable[[], object]) -> BackupError:
    """Return how a call fails."""
    with pytest.raises(BackupError) as caught:
        call()
    assert caught.value.hint
    assert SECRET not in caught.value.message + caught.value.hint
    return caught.value


def writes(proxy: Proxy) -> list[str]:
    """Return the paths of requests that change something."""
    return [one.path for one in proxy.seen if one.kind in ("put", "delete", "begin", "complete", "retain")]


def relive(change: Callable[[dict[str, Any]], object]) -> Callable[[Any, str], None]:
    """Return a deed against the lifecycle rules, given by the last words of their names."""

    def deed(client: Any, bucket: str) -> None:
        told = client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
        rules = {rule["ID"].split()[-1]: rule for rule in told}
        change(rules)
        client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": list(rules.values())})

    return deed
