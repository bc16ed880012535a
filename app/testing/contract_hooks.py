"""What schemathesis cannot know: that a client takes a fresh Idempotency-Key for each wish."""

from __future__ import annotations

import re
import uuid
from typing import Any

import schemathesis


@schemathesis.hook
def before_call(context: Any, case: Any, **kwargs: Any) -> None:
    """Replace a key that is good by a fresh good one; what is meant to be refused is sent as it is."""
    if case.meta is not None and case.meta.generation.mode.is_negative:
        return
    headers = case.headers or {}
    for name, value in headers.items():
        if name.lower() == "idempotency-key" and re.fullmatch(r"[A-Za-z0-9_-]{16,64}", str(value)):
            headers[name] = uuid.uuid4().hex
