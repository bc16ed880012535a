"""Connect to S3 with the settings of this project alone, and put requests and answers into shape."""

from __future__ import annotations

import base64
import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import botocore.loaders
import botocore.session
from botocore.client import Config
from botocore.exceptions import BotoCoreError

from .errors import BackupError, Code
from .objects import Storage, Stored

Call = dict[str, Any]

SUM, MARK = "sha256", "writer"
KEY_ID = "vault_pasargad_s3_access_key_id"
SECRET = "vault_pasargad_s3_secret_access_key"  # noqa: S105 - the name of a setting
# Without these, variables and files of whoever runs the job would choose another profile or other keys.
NOTHING_OF_THE_USER = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}
# The descriptions of S3 take a tenth of a second to read: once for all places of a process.
DESCRIPTIONS = botocore.loaders.create_loader()


def connect(place: Storage, connect_timeout: float, read_timeout: float, *, keys: tuple[str, str] | None = None) -> Any:
    """Return a client that never tries again by itself; raises CONFIG with the setting to look at.

    `keys` (access key id and secret) take the place of the two files, for keys that must not be written down here.
    """
    if place.ca_bundle is not None and not place.ca_bundle.is_file():
        raise BackupError(Code.CONFIG, f"{place.ca_bundle} does not exist", hint="check pasargad_s3_ca_bundle")
    options: Call = {
        "signature_version": "s3v4",
        "s3": {"addressing_style": place.addressing_style or "auto"},
        "retries": {"total_max_attempts": 1, "mode": "standard"},
        "connect_timeout": connect_timeout,
        "read_timeout": read_timeout,
    }
    # Since boto3 1.36 sums are sent in a way that some storages refuse; ours are set by hand.
    for name in ("request_checksum_calculation", "response_checksum_validation"):
        if name in Config.OPTION_DEFAULTS:
            options[name] = "when_required"
    key_id, secret = keys or (_line(place.key_id_file, KEY_ID), _line(place.secret_file, SECRET))
    session = botocore.session.Session(session_vars=NOTHING_OF_THE_USER)
    session.register_component("data_loader", DESCRIPTIONS)
    try:
        return session.create_client(
            "s3",
            region_name=place.region or None,
            endpoint_url=place.endpoint_url or None,
            verify=str(place.ca_bundle) if place.ca_bundle else True,
            aws_access_key_id=key_id,
            aws_secret_access_key=secret,
            config=Config(**options),
        )
    except (BotoCoreError, ValueError) as error:
        raise BackupError(
            Code.CONFIG,
            f"S3 cannot be used: {error}",
            hint="check pasargad_s3_endpoint_url, pasargad_s3_region and pasargad_s3_addressing_style",
        ) from error


def _line(path: Path | None, setting: str) -> str:
    """Return the one line of a secret's file, which nobody else may read."""
    try:
        if path is None:
            raise FileNotFoundError
        if path.stat().st_mode & 0o027:
            raise BackupError(Code.CONFIG, f"{path} can be read by everybody", hint=f"chmod 0600 {path}")
        line = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BackupError(
            Code.CONFIG, f"the key for S3 cannot be read from {path}", hint=f"set {setting} and run deploy.yml"
        ) from error
    if not line or len(line.split()) != 1:
        raise BackupError(Code.CONFIG, f"{path} does not hold one line", hint=f"set {setting} and run deploy.yml")
    return line


def kept(retain_until: datetime | None, tier: str) -> Call:
    """Return what a new object is begun with: its lock and its tag."""
    lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": retain_until} if retain_until else {}
    return {**lock, **({"Tagging": f"tier={tier}"} if tier else {})}


def checked(body: bytes | bytearray) -> Call:
    """Return a body with both sums: every storage compares MD5, the newer ones keep SHA-256."""
    return {
        "Body": body,
        "ContentMD5": base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode(),
        "ChecksumSHA256": base64.b64encode(hashlib.sha256(body).digest()).decode(),
    }


def stored(key: str, found: Call) -> Stored:
    """Return the answer to a HEAD."""
    until = found.get("ObjectLockRetainUntilDate")
    return Stored(
        key,
        found["ContentLength"],
        found.get("Metadata", {}).get(SUM, ""),
        found.get("VersionId", ""),
        found["LastModified"].astimezone(UTC),
        until.astimezone(UTC) if until else None,
    )


def is_retained(found: Call, until: datetime) -> bool:
    """Whether an object is locked as long as was asked; storages may keep whole seconds."""
    told = found.get("ObjectLockRetainUntilDate")
    return told is not None and bool(told.timestamp() >= int(until.timestamp()))


def not_completed(where: str, reason: str) -> BackupError:
    """Return the error for parts that were not put together though the status was 200."""
    return BackupError(
        Code.INTEGRITY,
        f"{where} was not put together though the answer was 200: {reason}",
        hint="run the job again; if it comes back, look at the storage's own status",
    )
