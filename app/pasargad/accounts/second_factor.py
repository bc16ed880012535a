"""Whether somebody has shown a second factor in this session: staff need one wherever they act as staff."""

from __future__ import annotations

from allauth.account.authentication import get_authentication_records
from allauth.mfa.models import Authenticator
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.http import HttpRequest

from .models import User

# Recovery codes alone are none.
FACTORS = [Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN]


def is_set_up(user: User) -> bool:
    return bool(is_mfa_enabled(user, types=FACTORS))


def has_keys_only(user: User) -> bool:
    return not is_mfa_enabled(user, types=[Authenticator.Type.TOTP])


def was_used(request: HttpRequest) -> bool:
    return any(record.get("method") == "mfa" for record in get_authentication_records(request, request.user))


def is_missing(request: HttpRequest) -> bool:
    """Whether the shop asks staff for a second factor, and this session has not shown one that still stands."""
    return settings.STAFF_SECOND_FACTOR and not (is_set_up(request.user) and was_used(request))
