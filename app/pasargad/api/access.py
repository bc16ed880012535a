"""Who asks, whether they may, and how often they did."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from config.env import Rate
from pasargad.accounts import second_factor
from pasargad.audit.acting import Actor
from pasargad.cart.selectors import cart_by_token
from pasargad.clients import limit_subject
from pasargad.limits import Count, count
from pasargad.orders.models import Order
from pasargad.orders.selectors import order_by_token
from pasargad.origins import is_ours

from .keys import key_find
from .models import ApiKey
from .operations import CART, ORDER, PUBLIC, Call, Operation
from .problems import FieldError, Problem
from .scopes import RIGHTS, Scope

SAFE = {"GET", "HEAD"}
CART_HEADER = "X-Cart-Token"
CART_TOKEN = re.compile(r"[0-9a-f]{32}")
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="api"'}
# Somebody who tries keys is soon known by the number of wrong ones.
SESSION_RATE = Rate(600, 60)


@dataclass(frozen=True)
class Who:
    """A key, a signed-in member of the staff, or neither."""

    key: ApiKey | None = None
    user: Any = None

    @property
    def name(self) -> str:
        if self.key:
            return f"api:{self.key.name}"[:100]
        return str(self.user)[:100] if self.user else "shopper"

    def actor(self, address: str) -> Actor:
        """Say for the audit log who acts."""
        return Actor(self.user.pk if self.user else None, self.name, address[:45])

    @property
    def identity(self) -> str:
        if self.key:
            return f"key:{self.key.pk}"
        return f"user:{self.user.pk}" if self.user else ""

    def may(self, scope: Scope) -> bool:
        if self.key:
            return scope in self.key.scopes
        return bool(self.user) and self.user.has_perm(RIGHTS[scope])


def identify(request: HttpRequest, operation: Operation) -> Who:
    """Find out who asks; raises Problem for a wrong key. A session counts only where a scope is asked for."""
    given = request.headers.get("Authorization", "")
    if given:
        kind, _space, text = given.partition(" ")
        key = key_find(text.strip()) if kind.lower() == "bearer" else None
        if key is None:
            wrong = count("api_wrong_key", limit_subject(request), settings.RATE_LIMITS.login)
            if wrong and wrong.exceeded:
                raise Problem("too-many", headers={"Retry-After": str(wrong.reset)})
            raise Problem("unauthenticated", "This key is unknown, or it has ended.", headers=CHALLENGE)
        return Who(key=key)
    if operation.access in Scope.values:
        user = request.user
        if user.is_authenticated and user.is_active:
            return Who(user=user)
    return Who()


def count_request(request: HttpRequest, operation: Operation, who: Who) -> Count | None:
    """Count a request of a key, an account or a client; raises Problem when it is one too many."""
    if who.key:
        found = count("api_key", who.identity, Rate(who.key.per_minute, 60))
    elif who.user:
        found = count("api_user", who.identity, SESSION_RATE)
    else:
        rate = getattr(settings.RATE_LIMITS, operation.limit)
        found = count(f"api_{operation.limit}", limit_subject(request), rate)
    if found and found.exceeded:
        raise Problem("too-many", headers={**limit_headers(found), "Retry-After": str(found.reset)})
    return found


def limit_headers(found: Count) -> dict[str, str]:
    """Say how the limit stands, as the IETF's draft of RateLimit fields has it."""
    return {
        "RateLimit-Policy": f'"default";q={found.rate.limit};w={found.rate.seconds}',
        "RateLimit": f'"default";r={found.left};t={found.reset}',
    }


def token_errors(call: Call) -> list[FieldError]:
    """Say whether the cart's token is missing or none; one that looks right and is nobody's is told by `authorise`."""
    text = call.request.headers.get(CART_HEADER, "")
    if call.operation.access != CART or CART_TOKEN.fullmatch(text):
        return []
    return [FieldError("header", CART_HEADER, "The token of a cart is needed: 32 of the digits 0-9 and a-f.")]


def authorise(call: Call, who: Who) -> None:
    """Let a call through, with the cart or order it is about; raises Problem. What is foreign does not exist."""
    access = call.operation.access
    if access == PUBLIC:
        return
    if access == CART:
        call.cart_found = cart_by_token(call.request.headers.get(CART_HEADER, ""))
        if call.cart_found is None or call.cart_found.user_id is not None:
            raise Problem("not-found", "There is no such cart.")
    elif access == ORDER:
        try:
            call.order_found = order_by_token(call.path["token"])
        except Order.DoesNotExist:
            raise Problem("not-found", "There is no such order.") from None
    else:
        _require_scope(call, who, Scope(access))


def _require_scope(call: Call, who: Who, scope: Scope) -> None:
    if not who.identity:
        raise Problem("unauthenticated", headers=CHALLENGE)
    if who.user is not None:
        if call.request.method not in SAFE and not is_ours(call.request):
            raise Problem("forbidden", "A browser sent this from another site.")
        if not who.user.is_staff:
            raise Problem("forbidden", "This account does not belong to the staff.")
        if second_factor.is_missing(call.request):
            raise Problem("forbidden", "Sign in with your second factor first.")
    if not who.may(scope):
        raise Problem("forbidden", f"This needs the scope {scope.value}.")
