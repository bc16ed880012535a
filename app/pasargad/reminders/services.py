"""Reminding people of carts they left: only who agreed, once a cart, never after a purchase."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.core import signing
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from pasargad.accounts.models import User
from pasargad.accounts.selectors import verified_emails
from pasargad.cart.models import Cart, CartLine
from pasargad.notifications.models import Mail
from pasargad.notifications.services import mail_queue
from pasargad.orders.selectors import orders_of

from .models import ReminderConsent

KIND = "cart_reminder"
SALT = "pasargad.reminders"
# What was left longer ago than this is not wanted any more.
WORTH_RECALLING = timedelta(days=7)


def consent_set(user: User, *, agree: bool) -> None:
    if agree:
        ReminderConsent.objects.get_or_create(user=user)
    else:
        ReminderConsent.objects.filter(user=user).delete()


def stop_token(user_id: int) -> str:
    """Return what lets somebody end the reminders without signing in; it opens nothing else and does not expire."""
    return signing.dumps(user_id, salt=SALT)


def token_is_ours(token: str) -> bool:
    return _person(token) is not None


def consent_stop(token: str) -> bool:
    """End the reminders of the person whose mail this token came with; returns False for a forged one."""
    user_id = _person(token)
    if user_id is None:
        return False
    ReminderConsent.objects.filter(user_id=user_id).delete()
    return True


def _person(token: str) -> int | None:
    try:
        return int(signing.loads(token, salt=SALT))
    except signing.BadSignature:
        return None


def carts_recall(limit: int = 200) -> int:
    """Queue a mail for each cart that was left long enough; returns how many."""
    hours = settings.PRIVACY.cart_reminder_hours
    if not hours:
        return 0
    now = timezone.now()
    lines = CartLine.objects.filter(cart=OuterRef("pk"))
    left = Cart.objects.filter(
        Exists(lines),
        user__reminder_consent__isnull=False,
        user__is_active=True,
        updated_at__lte=now - timedelta(hours=hours),
        updated_at__gt=now - WORTH_RECALLING - timedelta(hours=hours),
    ).select_related("user")
    return sum(_recall(cart) for cart in left.order_by("updated_at")[:limit])


def may_recall(cart: Cart) -> bool:
    """Whether the person still agrees, and has neither emptied the cart nor bought since it was last changed."""
    user = cart.user
    if user is None or not user.is_active or not ReminderConsent.objects.filter(user=user).exists():
        return False
    emails = verified_emails(user)
    if user.email.lower() not in emails or not CartLine.objects.filter(cart=cart).exists():
        return False
    return not orders_of(user.pk, emails).filter(placed_at__gte=cart.updated_at).exists()


def _recall(cart: Cart) -> bool:
    if cart.user is None or not may_recall(cart):
        return False
    # A cart lasts as long as its account: what makes it another one is a purchase.
    bought = orders_of(cart.user.pk, verified_emails(cart.user)).values_list("pk", flat=True).first() or 0
    key = f"cart-{cart.pk}-{bought}"
    with transaction.atomic():
        if Mail.objects.filter(kind=KIND, key=key).exists():
            return False
        mail_queue(KIND, key=key, recipient=cart.user.email, language=cart.user.language)
    return True
