"""Asking whether a flag is on. No question costs a query: see `store`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from . import store
from .declared import FLAGS, NotForEverybody, flag_named
from .rules import holds, holds_for

# What tells one guest from another: the shop gives guests no other mark.
GUEST_COOKIE = "pp_cart"
_shared: ContextVar[bool] = ContextVar("flags_shared", default=False)
_kept: ContextVar[bool] = ContextVar("flags_kept", default=False)


def is_on(name: str) -> bool:
    """Whether a flag is on for everybody. Raises NotDeclared, or NotForEverybody for a personal flag."""
    flag = flag_named(name)
    if flag.personal:
        raise NotForEverybody(f"The flag {name} is personal: ask for somebody, with is_on_for.")
    rule = store.rules().get(name)
    # A part of the shoppers is nobody in particular: such a rule, however it came here, is not for this flag.
    if rule is None or rule.is_personal:
        return flag.default()
    return holds(rule, timezone.now())


def is_on_for(name: str, subject: str, *, staff: bool = False) -> bool:
    """Whether a personal flag is on for somebody. Raises NotDeclared; NotForEverybody on a page for everybody."""
    flag = flag_named(name)
    if not flag.personal:
        return is_on(name)
    if _shared.get():
        raise NotForEverybody(f"The flag {name} is personal, and this page is the same for everybody.")
    rule = store.rules().get(name)
    if rule is None:
        return flag.default()
    return holds_for(rule, name, subject, staff=staff, now=timezone.now())


def public_flags() -> dict[str, bool]:
    """Return what anybody may know: public flags that are the same for everybody."""
    return {flag.name: is_on(flag.name) for flag in FLAGS.values() if flag.public and not flag.personal}


@contextmanager
def same_for_everybody() -> Iterator[None]:
    """Refuse personal flags within: the answer will be kept and shown to others."""
    token = _shared.set(True)
    try:
        yield
    finally:
        _shared.reset(token)


@contextmanager
def kept_for_long() -> Iterator[None]:
    """Refuse templates' flags within: what is rendered is kept past the next switching."""
    token = _kept.set(True)
    try:
        yield
    finally:
        _kept.reset(token)


def is_kept() -> bool:
    return _kept.get()


def subject_of(request: HttpRequest) -> str:
    """Name who asks, without saying who it is: an account, or a guest with a cart; "" for anybody else."""
    user = getattr(request, "user", None)
    if user is not None and user.is_authenticated:
        return f"user:{user.pk}"
    cookie = request.COOKIES.get(GUEST_COOKIE, "")
    return f"guest:{hashlib.sha256(cookie.encode()).hexdigest()}" if cookie else ""


class Features:
    """The settings' features, with those that are flags as staff have switched them: `features.checkout`."""

    def __init__(self, settings: Any) -> None:
        self._settings = settings

    def __getattr__(self, name: str) -> bool:
        return is_on(name) if name in FLAGS else bool(getattr(self._settings, name))
