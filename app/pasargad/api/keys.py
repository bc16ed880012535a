"""Making, finding and ending keys."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.core.exceptions import ValidationError
from django.db.models import Q
from django.utils import timezone

from .models import ApiKey
from .scopes import Scope

SHAPE = re.compile(r"pp_([0-9a-z]{12})_([A-Za-z0-9_-]{43})")
PREFIX_SIGNS = "0123456789abcdefghijklmnopqrstuvwxyz"
# A key that is used often is not written at every use.
USE_NOTED_EVERY = timedelta(minutes=1)
# What the secret of a prefix that nobody has is compared with, so that both answers take the same time.
NOBODY = hashlib.sha256(b"").hexdigest()


class KeyRefused(ValidationError):
    """A key cannot be made so; the text is for staff."""


def key_create(
    *,
    name: str,
    scopes: Iterable[str],
    created_by: str,
    per_minute: int = 600,
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """Store a new key and return it with its text, which nobody can learn again. Raises KeyRefused."""
    wanted = sorted(set(scopes))
    if unknown := set(wanted) - set(Scope.values):
        raise KeyRefused(f"There is no scope {', '.join(sorted(unknown))}; there are: {', '.join(Scope.values)}.")
    if not wanted:
        raise KeyRefused("A key without a scope could do nothing that anybody could not do without it.")
    require_future(expires_at)
    prefix = "".join(secrets.choice(PREFIX_SIGNS) for _ in range(12))
    secret = secrets.token_urlsafe(32)
    key = ApiKey.objects.create(
        name=name[:80],
        prefix=prefix,
        digest=_digest(secret),
        scopes=wanted,
        per_minute=per_minute,
        created_by=created_by[:100],
        expires_at=expires_at,
    )
    return key, f"pp_{prefix}_{secret}"


def require_future(expires_at: datetime | None) -> None:
    """Refuse an end that has passed; raises KeyRefused."""
    if expires_at is not None and expires_at <= timezone.now():
        raise KeyRefused("The key would have expired already.")


def key_find(text: str) -> ApiKey | None:
    """Return the living key that a text is, or None; which of its parts is wrong cannot be told from the time."""
    found = SHAPE.fullmatch(text)
    prefix, secret = found.groups() if found else ("", "")
    key = ApiKey.objects.filter(prefix=prefix).first()
    right = secrets.compare_digest(_digest(secret), key.digest if key else NOBODY)
    if key is None or not right or key.revoked_at is not None:
        return None
    if key.expires_at is not None and key.expires_at <= timezone.now():
        return None
    _note_use(key)
    return key


def key_revoke(key_id: int) -> bool:
    """End a key for good; False if it had ended already."""
    return bool(ApiKey.objects.filter(pk=key_id, revoked_at=None).update(revoked_at=timezone.now()))


def _note_use(key: ApiKey) -> None:
    now = timezone.now()
    stale = Q(last_used_at=None) | Q(last_used_at__lt=now - USE_NOTED_EVERY)
    if key.last_used_at is None or key.last_used_at < now - USE_NOTED_EVERY:
        ApiKey.objects.filter(stale, pk=key.pk).update(last_used_at=now)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
