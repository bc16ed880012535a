"""What a bucket's policy says to a request: moto denies whatever a statement with a condition names, true or not."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

ROOT = "arn:aws:iam::123456789012:root"
OF_BUCKETS = {
    "versioning": "BucketVersioning",
    "object-lock": "BucketObjectLockConfiguration",
    "lifecycle": "LifecycleConfiguration",
    "publicAccessBlock": "BucketPublicAccessBlock",
    "encryption": "EncryptionConfiguration",
    "policy": "BucketPolicy",
}
OF_OBJECTS = {"retention": "Retention", "tagging": "Tagging", "legal-hold": "LegalHold", "acl": "Acl"}
LISTS = {"versions": "s3:ListBucketVersions", "uploads": "s3:ListBucketMultipartUploads"}


@dataclass(frozen=True)
class Asked:
    """What somebody wants to do with what; `about` are the condition keys that the request has."""

    action: str
    resource: str
    about: Mapping[str, str] = field(default_factory=dict)


def decide(policy: Mapping[str, Any], asked: Asked) -> str:
    """Return Deny or Allow as the statements say, empty where none applies; a denial beats everything."""
    effects = {one["Effect"] for one in _listed(policy["Statement"]) if applies(one, asked)}
    return "Deny" if "Deny" in effects else "Allow" if "Allow" in effects else ""


def applies(statement: Mapping[str, Any], asked: Asked) -> bool:
    """Tell whether a statement is about a request; principals are judged by conditions alone."""
    return (
        any(_like(action.lower(), asked.action.lower()) for action in _listed(statement["Action"]))
        and any(_like(resource, asked.resource) for resource in _listed(statement["Resource"]))
        and all(
            _holds(operator, asked.about.get(key), [str(value) for value in _listed(values)])
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        )
    )


def asked_of(environ: Mapping[str, Any], principal: str = ROOT) -> Asked:
    """Read from a WSGI request what it wants."""
    bucket, _, key = str(environ["PATH_INFO"]).lstrip("/").partition("/")
    query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
    method, about = environ["REQUEST_METHOD"], {"aws:PrincipalArn": principal}
    action = _of_object(method, query) if key else _of_bucket(method, query)
    about["s3:ObjectCreationOperation"] = str(
        action == "s3:PutObject" and "partNumber" not in query and "uploads" not in query
    ).lower()
    for header, name in (
        ("IF_NONE_MATCH", "s3:if-none-match"),
        ("X_AMZ_SERVER_SIDE_ENCRYPTION", "s3:x-amz-server-side-encryption"),
        (
            "X_AMZ_SERVER_SIDE_ENCRYPTION_CUSTOMER_ALGORITHM",
            "s3:x-amz-server-side-encryption-customer-algorithm",
        ),
        ("X_AMZ_OBJECT_LOCK_MODE", "s3:object-lock-mode"),
    ):
        if f"HTTP_{header}" in environ:
            about[name] = environ[f"HTTP_{header}"]
    if until := environ.get("HTTP_X_AMZ_OBJECT_LOCK_RETAIN_UNTIL_DATE"):
        left = datetime.fromisoformat(until).astimezone(UTC) - datetime.now(UTC)
        about["s3:object-lock-remaining-retention-days"] = str(left.days)
    # Only a proxy before this service knows how the request came.
    if scheme := environ.get("HTTP_X_FORWARDED_PROTO"):
        about["aws:SecureTransport"] = str(scheme == "https").lower()
    return Asked(action, f"arn:aws:s3:::{bucket}/{key}" if key else f"arn:aws:s3:::{bucket}", about)


def _of_object(method: str, query: Mapping[str, str]) -> str:
    verb = {"HEAD": "Get", "POST": "Put"}.get(method, method.capitalize())
    if "uploadId" in query and verb in ("Get", "Delete"):
        return "s3:ListMultipartUploadParts" if verb == "Get" else "s3:AbortMultipartUpload"
    for name, noun in OF_OBJECTS.items():
        if name in query:
            return f"s3:{verb}Object{noun}"
    return f"s3:{verb}Object{'Version' if 'versionId' in query and verb != 'Put' else ''}"


def _of_bucket(method: str, query: Mapping[str, str]) -> str:
    for name, noun in OF_BUCKETS.items():
        if name in query:
            verb = "Delete" if method == "DELETE" and name == "policy" else "Get" if method == "GET" else "Put"
            return f"s3:{verb}{noun}"
    if method in ("GET", "HEAD"):
        return next((action for name, action in LISTS.items() if name in query), "s3:ListBucket")
    return {"PUT": "s3:CreateBucket", "DELETE": "s3:DeleteBucket"}.get(method, "s3:DeleteObject")


def _holds(operator: str, told: str | None, values: list[str]) -> bool:
    if operator == "Null":
        return (told is None) == (values[0].lower() == "true")
    if told is None:
        # As AWS has it: of a key that is missing, everything negative is true.
        return operator in ("StringNotEquals", "StringNotLike", "ArnNotLike", "ArnNotEquals")
    return OPERATORS[operator](told, values)


def _like(pattern: str, told: str) -> bool:
    parts = re.split(r"([*?])", pattern)
    translated = "".join({"*": ".*", "?": "."}.get(part, re.escape(part)) for part in parts)
    return re.fullmatch(translated, told, re.DOTALL) is not None


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


OPERATORS: dict[str, Callable[[str, list[str]], bool]] = {
    "Bool": lambda told, values: told.lower() in [value.lower() for value in values],
    "StringEquals": lambda told, values: told in values,
    "StringNotEquals": lambda told, values: told not in values,
    "StringLike": lambda told, values: any(_like(value, told) for value in values),
    "StringNotLike": lambda told, values: not any(_like(value, told) for value in values),
    "ArnLike": lambda told, values: any(_like(value, told) for value in values),
    "ArnNotLike": lambda told, values: not any(_like(value, told) for value in values),
    "ArnNotEquals": lambda told, values: told not in values,
    "NumericLessThan": lambda told, values: any(float(told) < float(value) for value in values),
    "NumericGreaterThan": lambda told, values: any(float(told) > float(value) for value in values),
}
