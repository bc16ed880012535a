"""Mails: once for each cause, tried again, given up loudly, never lost with a worker."""

from __future__ import annotations

import smtplib
from datetime import timedelta

import pytest
from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.utils import timezone
from testing.factories import make_order

from pasargad.notifications.models import Mail
from pasargad.notifications.services import mail_queue, mail_send, mails_send_due
from pasargad.orders.models import Order, Status
from pasargad.orders.services import order_lock, order_paid


@pytest.fixture
def queued(db) -> Mail:
    order = make_order()
    with transaction.atomic():
        order_paid(order_lock(order.pk), actor="test")
    return Mail.objects.get()


def due_now() -> None:
    Mail.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))


def test_a_mail_is_queued_with_its_cause_or_not_at_all(db):
    order = make_order()
    with pytest.raises(RuntimeError), transaction.atomic():
        order_paid(order_lock(order.pk), actor="test")
        raise RuntimeError("the transaction fails after all")
    assert Order.objects.get().status == Status.AWAITING_PAYMENT and not Mail.objects.exists()


def test_a_mail_is_sent_once(queued):
    assert mail_send(queued.pk)
    due_now()
    assert not mail_send(queued.pk) and mails_send_due() == 0
    assert len(mail.outbox) == 1
    queued.refresh_from_db()
    assert (queued.state, queued.attempts) == ("sent", 1)


def test_the_same_cause_is_told_once(queued):
    mail_queue(queued.kind, key=queued.key, recipient="other@example.org")
    assert Mail.objects.count() == 1


def test_a_failed_mail_is_tried_again_later_and_given_up_in_the_end(queued, monkeypatch, settings):
    def refuse(self, fail_silently=False):
        if fail_silently:
            return
        raise smtplib.SMTPServerDisconnected("the server went away")

    with monkeypatch.context() as patched:
        patched.setattr(EmailMultiAlternatives, "send", refuse)
        assert not mail_send(queued.pk)
        queued.refresh_from_db()
        assert queued.state == "pending" and queued.next_attempt_at > timezone.now() and "went away" in queued.error
        assert mails_send_due() == 0
        for _ in range(settings.MAIL_DELIVERY.max_attempts - 1):
            due_now()
            mail_send(queued.pk)
    queued.refresh_from_db()
    assert (queued.state, queued.attempts) == ("given_up", settings.MAIL_DELIVERY.max_attempts)


def test_a_worker_that_died_while_sending_is_followed_by_another(queued, monkeypatch):
    class Killed(BaseException):
        pass

    def die(self, fail_silently=False):
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(EmailMultiAlternatives, "send", die)
        mail_send(queued.pk)
    due_now()
    assert mails_send_due() == 1 and len(mail.outbox) == 1


def test_nothing_typed_by_a_shopper_becomes_markup_or_a_header(db):
    from dataclasses import replace

    from testing.factories import BUYER

    evil = replace(BUYER, name="<script>alert(1)</script>")
    order = make_order(buyer=evil)
    with transaction.atomic():
        order_paid(order_lock(order.pk), actor="test")
    mail_send(Mail.objects.get().pk)
    [sent] = mail.outbox
    assert "<script>" not in sent.alternatives[0][0]
    assert "\n" not in sent.subject
