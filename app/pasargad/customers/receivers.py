"""What happens when somebody signs in or out, whichever way."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db import DatabaseError
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils.translation import get_language

from pasargad.accounts.models import User
from pasargad.accounts.services import language_note
from pasargad.cart.services import cart_merge
from pasargad.languages import known
from pasargad.storefront.cookies import guest_cart_token
from pasargad.storefront.views.wishlist import guest_token
from pasargad.wishlist.services import wishlist_merge

from .middleware import SIGNED_IN, SIGNED_OUT

logger = logging.getLogger(__name__)


@receiver(user_logged_in)
def take_over(sender: Any, request: HttpRequest | None, user: User, **kwargs: Any) -> None:
    """Move what the guest had into the account. If that fails the cookies stay, and the next sign-in tries again."""
    if request is None:
        return
    spoken = get_language() or ""
    if known(user.language) != known(spoken):
        language_note(user, spoken)
    steps: tuple[tuple[str, Callable[[User, uuid.UUID], object]], ...] = (
        (guest_cart_token(request), cart_merge),
        (guest_token(request), wishlist_merge),
    )
    try:
        for token, merge in steps:
            if token:
                merge(user, uuid.UUID(token))
    except DatabaseError:
        logger.exception("a guest's things were not taken over", extra={"user": user.pk})
        return
    request.pasargad_signed = SIGNED_IN  # type: ignore[attr-defined]


@receiver(user_logged_out)
def forget(sender: Any, request: HttpRequest | None, **kwargs: Any) -> None:
    if request is not None:
        request.pasargad_signed = SIGNED_OUT  # type: ignore[attr-defined]
