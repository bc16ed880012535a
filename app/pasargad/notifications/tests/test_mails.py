"""Mails: once for each cause, tried again, given up loudly, never lost with a worker."""

from __future__ import annotations

import smtplib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.utils import timezone
from testing.factories import BUYER, make_order, make_variant

from pasargad.notifications import services
from pasargad.notifications.content import Content
from pasargad.notifications.models import Mail
from pasargad.notifications.services import mail_queue, mail_send, mails_send_due
from pasargad.orders.models import Order, Status
from pasargad.orders.services import order_lock, order_paid

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


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


def test_a_server_that_lets_us_wait_does_not_keep_the_worker(db, monkeypatch):
    now = [0.0]

    def hang(self, fail_silently=False):
        now[0] += 20
        raise TimeoutError("no answer")

    monkeypatch.setattr(services, "time", SimpleNamespace(monotonic=lambda: now[0]))
    for number in range(9):
        mail_queue("order_placed", key=str(number), recipient="ada@example.org")
    monkeypatch.setattr(services, "_written", lambda mail: Content("x", "x", "x"))
    with monkeypatch.context() as patched:
        patched.setattr(EmailMultiAlternatives, "send", hang)
        due_now()
        assert mails_send_due() == 0 and now[0] <= services.SWEEP_SECONDS + 20
    tried = Mail.objects.filter(attempts=1).count()
    assert tried == 3
    assert mails_send_due() == 9 - tried, "the next sweep begins with those behind"


def test_nothing_typed_by_a_shopper_becomes_markup_or_a_header(db):
    evil = replace(BUYER, name="<script>alert(1)</script>")
    order = make_order(buyer=evil)
    with transaction.atomic():
        order_paid(order_lock(order.pk), actor="test")
    mail_send(Mail.objects.get().pk)
    [sent] = mail.outbox
    assert "<script>" not in sent.alternatives[0][0]
    assert "\n" not in sent.subject


def confirmation_of(order: Order) -> EmailMultiAlternatives:
    with transaction.atomic():
        order_paid(order_lock(order.pk), actor="test")
    mail_send(Mail.objects.get().pk)
    [sent] = mail.outbox
    return sent


def test_a_confirmation_says_where_the_goods_go_in_words(db):
    sent = confirmation_of(make_order((make_variant(stock=0, made_to_order=True, lead_days=3), 1)))
    for text in (sent.body, sent.alternatives[0][0]):
        assert "Boston, MA 02110" in text and "United States" in text
        assert "ready in about 3 working days" in text
        assert text.count("Thank you") == 1
    assert "\n\n\n" not in sent.body and sent.body == f"{sent.body.strip()}\n"


def test_who_collects_an_order_is_told_where(db, settings):
    nowhere = dict.fromkeys(("street", "city", "state", "zip", "country"), "")
    sent = confirmation_of(make_order(buyer=replace(BUYER, delivery="pickup", **nowhere)))
    for text in (sent.body, sent.alternatives[0][0]):
        assert settings.BUSINESS.address.street in text.partition("Pick it up here")[2].partition("</td>")[0]
        assert "Shipping" not in text


def test_a_mail_that_cannot_be_written_keeps_no_other_and_is_given_up_loudly(queued, monkeypatch, settings, caplog):
    bad = Mail.objects.create(kind="order_shipped", key=queued.key, recipient="b@example.org", next_attempt_at=LONG_AGO)
    write = services.content_of

    def content_of(found: Mail):
        if found.pk == bad.pk:
            raise KeyError("a template asks for what is not there")
        return write(found)

    monkeypatch.setattr(services, "content_of", content_of)
    due = Mail.objects.filter(pk=queued.pk)
    due.update(next_attempt_at=timezone.now() - timedelta(seconds=1))
    assert mails_send_due() == 1
    assert [message.to for message in mail.outbox] == [[queued.recipient]]
    bad.refresh_from_db()
    assert (bad.state, bad.attempts) == ("pending", 1) and "KeyError" in bad.error
    assert bad.next_attempt_at > timezone.now()
    assert "a mail cannot be written" in caplog.text

    for _ in range(settings.MAIL_DELIVERY.max_attempts - 1):
        due_now()
        assert mails_send_due() == 0
    bad.refresh_from_db()
    assert (bad.state, bad.attempts) == ("given_up", settings.MAIL_DELIVERY.max_attempts)
    assert "mail given up" in caplog.text and "could not be sent" in mail.outbox[-1].subject
