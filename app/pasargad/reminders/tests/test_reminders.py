"""Reminders go to who agreed, once a cart, never after a purchase, and end by one click."""

from __future__ import annotations

from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.test import Client
from django.utils import timezone
from testing.factories import make_order, make_variant
from testing.people import delivered, make_user, sign_in

from pasargad.cart.models import Cart
from pasargad.cart.services import cart_add, cart_create, cart_empty, cart_of_user
from pasargad.notifications.models import Mail
from pasargad.orders.models import Order
from pasargad.reminders.models import ReminderConsent
from pasargad.reminders.services import carts_recall, consent_set, consent_stop, stop_token

pytestmark = pytest.mark.django_db
ADA = "ada@example.org"


def leave(cart: Cart, *, hours: float = 30) -> None:
    Cart.objects.filter(pk=cart.pk).update(updated_at=timezone.now() - timedelta(hours=hours))


@pytest.fixture
def ada():
    user = make_user()
    consent_set(user, agree=True)
    cart_add(cart_of_user(user), make_variant(), 2)
    leave(cart_of_user(user))
    return user


def test_a_left_cart_is_recalled_once(ada):
    assert carts_recall() == 1
    assert carts_recall() == 0
    (message,) = delivered(ADA)
    assert "2 x Lamp" in message.body and message.bcc == []
    assert delivered(ADA) == [message]


def test_who_did_not_agree_hears_nothing(ada):
    consent_set(ada, agree=False)
    bob = make_user("bob@example.org")
    cart_add(cart_of_user(bob), make_variant(), 1)
    cart_add(guest := cart_create(), make_variant(), 1)
    for cart in (cart_of_user(bob), guest):
        leave(cart)
    assert carts_recall() == 0 and not Mail.objects.exists()


@pytest.mark.parametrize("hours", [1, 24 * 30])
def test_neither_too_early_nor_too_late(ada, hours):
    leave(cart_of_user(ada), hours=hours)
    assert carts_recall() == 0


def test_an_address_that_is_not_proved_gets_nothing(ada):
    EmailAddress.objects.update(verified=False)
    assert carts_recall() == 0


def test_zero_hours_switch_reminders_off(ada, settings):
    from dataclasses import replace

    settings.PRIVACY = replace(settings.PRIVACY, cart_reminder_hours=0)
    assert carts_recall() == 0


@pytest.mark.parametrize("as_guest", [True, False])
def test_a_purchase_ends_it(ada, as_guest):
    order = make_order()
    Order.objects.filter(pk=order.pk).update(user=None if as_guest else ada, email="ADA@example.org")
    assert carts_recall() == 0


@pytest.mark.parametrize("change", ["bought", "emptied", "ended", "erased"])
def test_what_changed_until_the_mail_is_sent_counts(ada, change):
    carts_recall()
    if change == "bought":
        Order.objects.filter(pk=make_order().pk).update(email=ADA)
    elif change == "emptied":
        cart_empty(cart_of_user(ada))
    elif change == "ended":
        consent_set(ada, agree=False)
    else:
        ada.delete()
    Mail.objects.exclude(kind="cart_reminder").delete()
    assert delivered(ADA) == []
    assert Mail.objects.get().state == Mail.State.WITHDRAWN


def test_the_next_cart_after_a_purchase_is_another_one(ada):
    assert carts_recall() == 1
    order = make_order()
    Order.objects.filter(pk=order.pk).update(user=ada, placed_at=timezone.now() - timedelta(hours=40))
    leave(cart_of_user(ada))
    assert carts_recall() == 1


def test_one_click_ends_them_without_signing_in(ada):
    carts_recall()
    (message,) = delivered(ADA)
    header = message.extra_headers["List-Unsubscribe"]
    assert message.extra_headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    path = header.strip("<>").removeprefix("http://localhost:8000")
    assert header.startswith("<http://localhost:8000/reminders/stop/")
    client = Client(enforce_csrf_checks=True)
    assert client.get(path).status_code == 200
    assert ReminderConsent.objects.exists(), "a program that only opens links ends nothing"
    answer = client.post(path, {"List-Unsubscribe": "One-Click"}, headers={"Origin": "https://mail.example"})
    assert answer.status_code == 200 and not ReminderConsent.objects.exists()
    assert client.post(path).status_code == 200, "doing it again does no harm"


def test_forged_tokens_end_nothing(ada):
    token = stop_token(ada.pk)
    for wrong in ("x", token[:-2] + "xx", stop_token(ada.pk + 1).replace(":", "")):
        assert Client().post(f"/reminders/stop/{wrong}/").status_code == 404
        assert not consent_stop(wrong)
    assert ReminderConsent.objects.filter(user=ada).exists()


def test_one_s_choice_is_kept_and_changed_in_the_area(client):
    user = make_user()
    sign_in(client)
    assert not ReminderConsent.objects.exists(), "nobody agrees by opening an account"
    client.post("/account/reminders/", {"agree": "on"})
    assert ReminderConsent.objects.get().user == user
    assert "checked" in client.get("/account/privacy/").content.decode()
    client.post("/account/reminders/", {})
    assert not ReminderConsent.objects.exists()
    assert mail.outbox == []
