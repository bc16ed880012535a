"""Mails: queued in the transaction of their cause, sent by workers at least once, tried again when the server fails."""

from __future__ import annotations

import logging
import time
from datetime import timedelta

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, mail_admins
from django.db import transaction
from django.db.models import CharField, Exists, OuterRef
from django.db.models.functions import Cast
from django.utils import timezone, translation

from pasargad.background.urgency import SWEEP_SECONDS
from pasargad.faults import crash_point
from pasargad.languages import known
from pasargad.orders.models import Order, Status

from .content import Content, NotWanted, content_of
from .models import Mail

logger = logging.getLogger(__name__)

REMIND_AFTER = timedelta(minutes=3)


def mail_queue(kind: str, *, key: str, recipient: str, language: str = "") -> None:
    """Queue a mail of a kind about a subject; a second one of the same kind about the same subject is not queued.

    It will be written in the language; "" is the shop's own.
    """
    from .tasks import mail_send_task

    mail = Mail(kind=kind, key=key, recipient=recipient, language=language, next_attempt_at=timezone.now())
    Mail.objects.bulk_create([mail], ignore_conflicts=True)
    # A row that was there before is found too: its task then sees that nothing is due.
    queued = Mail.objects.get(kind=kind, key=key)
    mail_send_task.enqueue(queued.pk)


def mail_send(mail_id: int) -> bool:
    """Send a mail that is due; returns whether it was sent. Two workers do not send it at the same time.

    The next attempt is booked before this one is made: a worker that dies here is followed by another.
    """
    with transaction.atomic():
        due = Mail.objects.select_for_update(skip_locked=True).filter(
            pk=mail_id, state=Mail.State.PENDING, next_attempt_at__lte=timezone.now()
        )
        mail = due.first()
        if mail is None:
            return False
        mail.attempts += 1
        wait = settings.MAIL_DELIVERY.retry_seconds * 2 ** min(mail.attempts - 1, 12)
        mail.next_attempt_at = timezone.now() + timedelta(seconds=max(wait, 2 * settings.EMAIL_TIMEOUT))
        mail.save(update_fields=["attempts", "next_attempt_at"])
    crash_point("notifications.mail.booked")
    try:
        _message(mail, _written(mail)).send()
    except NotWanted as reason:
        withdrawn = {"state": Mail.State.WITHDRAWN, "error": str(reason)[:300]}
        Mail.objects.filter(pk=mail.pk, state=Mail.State.PENDING).update(**withdrawn)
        return False
    except OSError as error:
        # Covers smtplib's exceptions, refused connections and timeouts.
        _failed(mail, f"{type(error).__name__}: {error}")
        return False
    except Exception as error:
        # One mail that cannot be written must not keep the others waiting, nor be tried for ever.
        logger.exception("a mail cannot be written", extra={"mail": mail.pk, "kind": mail.kind})
        _failed(mail, f"{type(error).__name__}: {error}")
        return False
    crash_point("notifications.mail.sent")
    Mail.objects.filter(pk=mail.pk).update(state=Mail.State.SENT, sent_at=timezone.now(), error="")
    return True


def mails_send_due(limit: int = 200) -> int:
    """Send what earlier attempts left; returns how many were sent."""
    until = time.monotonic() + SWEEP_SECONDS
    due = Mail.objects.filter(state=Mail.State.PENDING, next_attempt_at__lte=timezone.now())
    sent = 0
    for pk in due.order_by("next_attempt_at").values_list("pk", flat=True)[:limit]:
        if time.monotonic() > until:
            # What was tried is due later now, so the next sweep begins with those behind it.
            break
        sent += mail_send(pk)
    return sent


def mails_forget(*, days: int) -> int:
    """Delete records of mails that are done with since so long; returns how many."""
    before = timezone.now() - timedelta(days=days)
    return Mail.objects.exclude(state=Mail.State.PENDING).filter(created_at__lt=before).delete()[0]


def orders_remind(limit: int = 200) -> int:
    """Tell those who left without paying that their goods are held; returns how many.

    Not at once: most pay within a minute, and need no mail that says they have not. Placing an order stays lean, too.
    """
    now = timezone.now()
    waiting = Order.objects.filter(
        status=Status.AWAITING_PAYMENT, placed_at__lte=now - REMIND_AFTER, expires_at__gt=now + timedelta(minutes=1)
    )
    told = Mail.objects.filter(kind="order_placed", key=Cast(OuterRef("pk"), CharField()))
    found = list(waiting.filter(~Exists(told)).order_by("placed_at").values_list("pk", "email", "language")[:limit])
    for pk, email, language in found:
        with transaction.atomic():
            mail_queue("order_placed", key=str(pk), recipient=email, language=language)
    return len(found)


def _written(mail: Mail) -> Content:
    """Render a mail in its own language, also in a worker, whom no page told any."""
    with translation.override(known(mail.language)):
        return content_of(mail)


def _message(mail: Mail, content: Content) -> EmailMultiAlternatives:
    # The same id at every attempt: mail programs show one mail when an attempt succeeded without our knowing.
    domain = settings.DEFAULT_FROM_EMAIL.rpartition("@")[2].rstrip(">")
    message = EmailMultiAlternatives(
        subject=content.subject,
        body=content.text,
        to=[mail.recipient],
        bcc=list(settings.MAIL_DELIVERY.orders_bcc) if content.copies else [],
        reply_to=[settings.MAIL_DELIVERY.reply_to] if settings.MAIL_DELIVERY.reply_to else None,
        headers={
            "Message-ID": f"<{mail.kind}.{mail.key}.{mail.pk}@{domain}>",
            "Auto-Submitted": "auto-generated",
            **content.headers,
        },
    )
    message.attach_alternative(content.html, "text/html")
    return message


def _failed(mail: Mail, reason: str) -> None:
    logger.warning("mail not sent", extra={"mail": mail.pk, "kind": mail.kind, "reason": reason})
    Mail.objects.filter(pk=mail.pk).update(error=reason[:300])
    if mail.attempts < settings.MAIL_DELIVERY.max_attempts:
        return
    given_up = Mail.objects.filter(pk=mail.pk, state=Mail.State.PENDING)
    if given_up.update(state=Mail.State.GIVEN_UP):
        logger.error("mail given up", extra={"mail": mail.pk, "kind": mail.kind})
        mail_admins("A mail could not be sent", f"{mail.kind} to {mail.recipient}: {reason}", fail_silently=True)
