"""Versions of what is shown: the digest of what it looks like, so nothing has to be counted."""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import Any

from django.http import HttpRequest
from pydantic import BaseModel

from .problems import Problem


def etag_of(shown: BaseModel | Any) -> str:
    """Return the strong ETag of a value as it is sent."""
    value = shown.model_dump(mode="json") if isinstance(shown, BaseModel) else shown
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def require_match(request: HttpRequest, shown: BaseModel, *, demanded: bool) -> None:
    """Refuse a change of something that looks different by now; the caller holds its row locked. Raises Problem."""
    given = request.headers.get("If-Match", "").strip()
    if not given:
        if demanded:
            raise Problem("unguarded")
        return
    if given == "*":
        return
    now = etag_of(shown)
    # A weak tag never matches here: only what is the same to the byte may be replaced.
    if not any(secrets.compare_digest(tag.strip().encode(), now.encode()) for tag in given.split(",")):
        raise Problem("changed")


def is_known(request: HttpRequest, etag: str) -> bool:
    """Whether the client has this version already."""
    given = request.headers.get("If-None-Match", "")
    return given.strip() == "*" or etag in [tag.strip().removeprefix("W/") for tag in given.split(",")]
