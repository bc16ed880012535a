"""Mails come in the language of their order or account, also from workers that no page told any."""

from __future__ import annotations

import re

import pytest
from django.core import mail
from django.db import transaction
from django.utils.translation import get_language
from testing.factories import BUYER, make_cart, make_order, make_variant
from testing.people import make_user, sign_in

from pasargad.notifications.models import Mail
from pasargad.notifications.services import mail_queue, mails_send_due
from pasargad.notifications.steps import STEPS
from pasargad.orders.models import Order
from pasargad.orders.services import order_lock, order_paid, order_place

pytestmark = pytest.mark.django_db
PERSIAN = re.compile(r"[\u0600-\u06ff]")
NO_LIMIT = 10**9


def paid(language: str) -> Order:
    cart = make_cart((make_variant(), 2))
    order = order_place(cart, BUYER, key="1" * 32, agreed_total_minor=NO_LIMIT, language=language)
    with transaction.atomic():
        return order_paid(order_lock(order.pk), actor="test")


def test_a_mail_comes_in_the_language_of_its_order(settings):
    order = paid("fa")
    assert mails_send_due() == 1 and get_language() == "en"
    sent = mail.outbox[0]
    assert sent.subject == f"سفارش {order.number} شما در راه چاپگر است"
    assert f"{settings.SITE_URL}/fa/orders/{order.token}/" in sent.body and "جمع کل" in sent.body
    html = str(sent.alternatives[0][0])
    assert '<html lang="fa" dir="rtl">' in html and f"/fa/orders/{order.token}/" in html
    assert "\u2066$" in html and "Subtotal" not in html


@pytest.mark.parametrize("language", ["", "en", "xx"])
def test_without_a_known_language_it_is_the_shop_s_own(settings, language):
    order = paid(language)
    mails_send_due()
    sent = mail.outbox[0]
    assert sent.subject == f"Your order {order.number} is on its way to the printer"
    assert not PERSIAN.search(sent.body) and '<html lang="en">' in str(sent.alternatives[0][0])


def test_the_shop_s_own_language_can_be_persian(settings, persian_shop):
    order = paid("")
    mails_send_due()
    assert PERSIAN.search(mail.outbox[0].subject)
    assert f"{settings.SITE_URL}/orders/{order.token}/" in mail.outbox[0].body


@pytest.mark.parametrize("kind", [kind for kind in STEPS if kind.startswith("order_")])
def test_every_step_is_told_in_persian(kind):
    order = make_order()
    mail_queue(kind, key=str(order.pk), recipient=order.email, language="fa")
    assert mails_send_due() == 1
    sent = mail.outbox[0]
    words = re.sub(r"https?://\S+|[A-Z]{2}-\w+", "", sent.subject + sent.body.partition("--")[0])
    left = re.findall(r"[A-Za-z]{2,}", words)
    assert PERSIAN.search(sent.subject) and set(left) <= {"Lamp", "Ada", "Lovelace", "Engine", "Street", "Boston", "MA"}


def test_a_mail_about_an_account_comes_in_the_language_of_the_page(client, settings):
    settings.ACCOUNT_RATE_LIMITS = False
    client.post("/fa/account/signup/", {"email": "ada@example.org", "password1": "correct horse battery 9"})
    assert Mail.objects.get().language == "fa"
    mails_send_due()
    assert "لطفاً ایمیل خود را تأیید کنید" in mail.outbox[0].subject
    assert f"{settings.SITE_URL}/fa/account/confirm-email/" in mail.outbox[0].body


def test_an_account_remembers_the_language_of_its_last_sign_in(client):
    user = make_user("ada@example.org")
    sign_in(client, "ada@example.org")
    user.refresh_from_db()
    assert user.language == ""
    client.post("/account/logout/")
    client.post("/fa/account/login/", {"login": "ada@example.org", "password": "correct horse battery 9"})
    user.refresh_from_db()
    assert user.language == "fa"
