"""moto's S3 behind a door that checks what moto takes on trust: signatures, sums, and the policies of buckets.

Needs moto, Flask and botocore; objects live in memory and in temporary files, so a restart empties every bucket.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import logging
import threading
import time
from calendar import timegm
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote

from .policy import asked_of, decide

Environ = dict[str, Any]
StartResponse = Callable[..., Any]

log = logging.getLogger(__name__)

BOARD_PATH = "/_outside/buckets"
ALGORITHM = "AWS4-HMAC-SHA256"
TOLERANCE_SECONDS = 15 * 60


class RefusedError(Exception):
    """A request that may not pass; `code` is S3's."""

    status = "403 Forbidden"

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class SignatureError(RefusedError):
    """A request that does not prove its key."""


class DigestError(RefusedError):
    """A body that is not what its sum says."""

    status = "400 Bad Request"


@dataclass(frozen=True)
class Claim:
    """What a request says of its own signature, from its header or its query."""

    key_id: str
    scope: str
    signed_headers: list[str]
    signature: str
    date: str
    payload: str
    lifetime: int


class SignedOnly:
    """WSGI door: lets in only requests signed (AWS Signature Version 4) with the one key pair.

    Objects of a bucket in `public` may be read by anybody, as with a policy that allows s3:GetObject and nothing else.
    `policy_of` returns the policy of a bucket, None where it has none.
    """

    def __init__(
        self,
        inner: Callable[[Environ, StartResponse], Iterable[bytes]],
        key_id: str,
        secret: str,
        public: Iterable[str] = (),
        policy_of: Callable[[str], dict[str, Any] | None] = lambda _: None,
    ) -> None:
        self._inner = inner
        self._policy_of = policy_of
        self._key_id = key_id
        self._secret = secret
        self._public = frozenset(public)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Pass the request on, or answer 403 in S3's XML."""
        try:
            if not self._is_public(environ):
                self._check(environ)
            self._ask_policy(environ)
            _check_sum(environ)
        except RefusedError as error:
            body = f"<?xml version='1.0'?><Error><Code>{error.code}</Code><Message>{error}</Message></Error>".encode()
            headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
            start_response(error.status, headers)
            return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]
        # moto takes the first label of a name it does not know for a bucket; this endpoint has buckets in paths only.
        environ["HTTP_HOST"] = "localhost"
        return self._inner(environ, start_response)

    def _is_public(self, environ: Environ) -> bool:
        bucket, _, key = str(environ["PATH_INFO"]).lstrip("/").partition("/")
        unsigned = "HTTP_AUTHORIZATION" not in environ and not environ.get("QUERY_STRING")
        return unsigned and bool(key) and bucket in self._public and environ["REQUEST_METHOD"] in ("GET", "HEAD")

    def _ask_policy(self, environ: Environ) -> None:
        policy = self._policy_of(str(environ["PATH_INFO"]).lstrip("/").partition("/")[0])
        if policy and decide(policy, asked_of(environ)) == "Deny":
            raise RefusedError("AccessDenied", "Access Denied: with an explicit deny in a resource-based policy.")

    def _check(self, environ: Environ) -> None:
        path, _, query = str(environ.get("REQUEST_URI") or environ["RAW_URI"]).partition("?")
        claim = _claim(environ, query)
        if claim.key_id != self._key_id:
            raise SignatureError(
                "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."
            )
        _check_time(claim)
        canonical = _canonical_request(environ, path, query, claim)
        text = "\n".join([ALGORITHM, claim.date, claim.scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = b"AWS4" + self._secret.encode()
        for part in claim.scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        if not hmac.compare_digest(hmac.new(key, text.encode(), hashlib.sha256).hexdigest(), claim.signature):
            raise SignatureError(
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided.",
            )


def _claim(environ: Environ, query: str) -> Claim:
    header = environ.get("HTTP_AUTHORIZATION", "")
    values = dict(parse_qsl(query, keep_blank_values=True))
    try:
        if header.startswith(ALGORITHM):
            parts = dict(part.strip().split("=", 1) for part in header.removeprefix(ALGORITHM).split(","))
            key_id, _, scope = parts["Credential"].partition("/")
            payload = environ.get("HTTP_X_AMZ_CONTENT_SHA256", "UNSIGNED-PAYLOAD")
            date, signed = environ["HTTP_X_AMZ_DATE"], parts["SignedHeaders"].split(";")
            return Claim(key_id, scope, signed, parts["Signature"], date, payload, TOLERANCE_SECONDS)
        if values.get("X-Amz-Algorithm") == ALGORITHM:
            key_id, _, scope = values["X-Amz-Credential"].partition("/")
            signed, lifetime = values["X-Amz-SignedHeaders"].split(";"), int(values["X-Amz-Expires"])
            return Claim(
                key_id, scope, signed, values["X-Amz-Signature"], values["X-Amz-Date"], "UNSIGNED-PAYLOAD", lifetime
            )
    except (KeyError, ValueError):
        raise SignatureError("AuthorizationHeaderMalformed", "The authorization is malformed.") from None
    raise SignatureError("AccessDenied", "Access Denied: the request is not signed with AWS4-HMAC-SHA256.")


def _check_sum(environ: Environ) -> None:
    wanted = environ.get("HTTP_CONTENT_MD5")
    if not wanted:
        return
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    if base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode() != wanted:
        raise DigestError("BadDigest", "The Content-MD5 you specified did not match what we received.")
    environ["wsgi.input"] = io.BytesIO(body)


def _check_time(claim: Claim) -> None:
    try:
        moment = timegm(time.strptime(claim.date, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        raise SignatureError("AccessDenied", "The date is malformed.") from None
    age = time.time() - moment
    if age < -TOLERANCE_SECONDS or age > claim.lifetime:
        raise SignatureError(
            "RequestTimeTooSkewed", "The difference between the request time and the current time is too large."
        )


def _canonical_request(environ: Environ, path: str, query: str, claim: Claim) -> str:
    pairs = [
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, value in parse_qsl(query, keep_blank_values=True)
        if name != "X-Amz-Signature"
    ]
    headers = "".join(f"{name}:{' '.join(_header(environ, name).split())}\n" for name in claim.signed_headers)
    return "\n".join(
        [
            environ["REQUEST_METHOD"],
            path,
            "&".join(f"{name}={value}" for name, value in sorted(pairs)),
            headers,
            ";".join(claim.signed_headers),
            claim.payload,
        ]
    )


def _header(environ: Environ, name: str) -> str:
    plain = name.upper().replace("-", "_")
    return str(environ.get(plain if name in ("content-type", "content-length") else f"HTTP_{plain}", ""))


def application(
    key_id: str, secret: str, public: Iterable[str] = ()
) -> Callable[[Environ, StartResponse], Iterable[bytes]]:
    """Return moto's S3 behind the door; the board's own look at the buckets (loopback only) needs no signature."""
    from moto.moto_server.werkzeug_app import create_backend_app

    believe_in_allowing_only()
    door = SignedOnly(create_backend_app("s3"), key_id, secret, public, policy_of)

    def answer(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != BOARD_PATH:
            return door(environ, start_response)
        body = json.dumps(bucket_list()).encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    return answer


class S3Service:
    """moto's S3 on one address, with the configured buckets made before it listens."""

    def __init__(self, host: str, port: int, key_id: str, secret: str, buckets: list[dict[str, Any]]) -> None:
        from werkzeug.serving import WSGIRequestHandler, make_server

        class Quiet(WSGIRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
                log.info('"%s" %s', self.requestline, code)

        make_buckets(buckets)
        door = application(key_id, secret, [bucket["name"] for bucket in buckets if bucket.get("public")])
        self._server = make_server(host, port, door, threaded=True, request_handler=Quiet)

    def start(self) -> None:
        """Listen."""
        threading.Thread(target=self._server.serve_forever, name="http", daemon=True).start()

    def stop(self) -> None:
        """Stop listening."""
        self._server.shutdown()


def make_buckets(buckets: list[dict[str, Any]]) -> None:
    """Create the configured buckets inside this process's moto."""
    from moto.core.models import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends

    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    for bucket in buckets:
        backend.create_bucket(bucket["name"], bucket.get("region", "us-east-1"))
        if bucket.get("versioning"):
            backend.put_bucket_versioning(bucket["name"], "Enabled")
        if bucket.get("public"):
            backend.put_bucket_policy(bucket["name"], json.dumps(read_by_anybody(bucket["name"])).encode())


def policy_of(bucket: str) -> dict[str, Any] | None:
    """Return the policy of a bucket inside this process's moto, None where there is none."""
    from moto.core.models import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends

    found = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets.get(bucket)
    return json.loads(found.policy) if found is not None and found.policy else None


def believe_in_allowing_only() -> None:
    """Keep moto from denying by itself: it takes every condition for true; the door knows better."""
    from moto.iam.access_control import IAMPolicy, PermissionResult
    from moto.s3.models import FakeBucket

    def permission(bucket: Any, action: str, resource: str) -> Any:
        statements = json.loads(bucket.policy)["Statement"] if bucket.policy else []
        each = statements if isinstance(statements, list) else [statements]
        allowing = {"Statement": [one for one in each if one["Effect"] == "Allow"]}
        if not allowing["Statement"]:
            return PermissionResult.NEUTRAL
        return IAMPolicy(json.dumps(allowing)).is_action_permitted(action, resource)

    FakeBucket.get_permission = permission  # type: ignore[method-assign]


def read_by_anybody(bucket: str) -> dict[str, Any]:
    """Return the policy of a bucket whose objects anybody may read."""
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def bucket_list() -> list[dict[str, Any]]:
    """Return each bucket's name with the number and bytes of its current objects."""
    from moto.core.models import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends

    found = []
    for name, bucket in s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets.items():
        keys = [{"key": key, "bytes": item.size} for key, item in list(bucket.keys.items())]
        found.append(
            {
                "name": name,
                "objects": len(keys),
                "bytes": sum(item["bytes"] for item in keys),
                "versioning": bucket.versioning_status == "Enabled",
                "newest": keys[-20:],
            }
        )
    return found
