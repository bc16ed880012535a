"""What nobody needs any more is deleted, without anybody asking."""

from __future__ import annotations

import logging
from datetime import timedelta
from importlib import import_module

from allauth.account.models import EmailAddress
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.db.models import Exists, OuterRef
from django.db.models.deletion import ProtectedError
from django.utils import timezone

from pasargad.accounts.models import User
from pasargad.orders.models import Order
from pasargad.payments.models import WebhookEvent

logger = logging.getLogger(__name__)
BATCH = 500


def unverified_accounts_forget(*, days: int) -> int:
    """Delete accounts whose mail address was never confirmed; returns how many.

    Whoever was signed in, is staff, or has an order, is somebody: never touched.
    """
    before = timezone.now() - timedelta(days=days)
    confirmed = EmailAddress.objects.filter(user=OuterRef("pk"), verified=True)
    ordered = Order.objects.filter(user=OuterRef("pk"))
    idle = User.objects.filter(
        ~Exists(confirmed),
        ~Exists(ordered),
        date_joined__lt=before,
        last_login=None,
        is_staff=False,
        is_superuser=False,
    )
    deleted = 0
    for user in idle.order_by("pk").iterator(chunk_size=BATCH):
        try:
            user.delete()
        except ProtectedError:
            # An order was placed just now.
            logger.info("account kept", extra={"user": user.pk})
        else:
            deleted += 1
    return deleted


def sessions_forget() -> None:
    """Delete sessions that have expired."""
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()


def sign_ins_forget(*, days: int) -> int:
    """Delete records of sign-ins that long ago whose session has ended; returns how many."""
    before = timezone.now() - timedelta(days=days)
    old = UserSession.objects.filter(last_seen_at__lt=before).order_by("pk")
    return sum(session.purge() for session in old.iterator(chunk_size=BATCH))


def provider_events_forget(*, days: int) -> int:
    """Empty what the payment provider told that long ago; that it was told stays known. Returns how many."""
    before = timezone.now() - timedelta(days=days)
    old = WebhookEvent.objects.filter(received_at__lt=before, waiting=False).exclude(payload={})
    return old.update(payload={})
