"""People take their data with them, and are forgotten: all of it, and nothing of anybody else's."""

from __future__ import annotations

import json
import threading
from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.utils import timezone
from testing.factories import BUYER, make_order, make_variant
from testing.people import make_user, prove, sign_in

from pasargad.accounts.models import Address, User
from pasargad.accounts.services import address_save
from pasargad.books.oracles import check
from pasargad.cart.models import Cart
from pasargad.cart.services import cart_add, cart_create, cart_of_user
from pasargad.notifications.models import Mail
from pasargad.notifications.services import mail_queue
from pasargad.orders.models import ERASED_EMAIL, Order, OrderEvent, Status
from pasargad.orders.services import order_cancel, order_lock
from pasargad.payments.models import WebhookEvent
from pasargad.privacy import retention
from pasargad.privacy.erasing import ErasureRefused, account_erase, erasure_obstacles
from pasargad.privacy.exporting import export_of
from pasargad.privacy.register import register
from pasargad.reviews.models import Review
from pasargad.wishlist.services import wishlist_add, wishlist_of_user

pytestmark = pytest.mark.django_db
TYPED = {"name": "Ada Lovelace", "street": "1 Engine Street", "zip": "02110", "city": "Boston", "country": "US"}


def settled(user: User | None, email: str = "ada@example.org", status: str = Status.DELIVERED) -> Order:
    """An order of long ago, written past the services that would take it there."""
    from dataclasses import replace

    order = make_order(buyer=replace(BUYER, email=email, note="Ring twice", phone="+1 617 555 0100"))
    Order.objects.filter(pk=order.pk).update(user=user, status=status)
    order.refresh_from_db()
    return order


@pytest.fixture
def ada(client):
    """Somebody who has a bit of everything."""
    user = make_user(name="Ada Lovelace")
    address_save(user, TYPED, default=True)
    variant = make_variant()
    cart_add(cart_of_user(user), variant, 1)
    wishlist_add(wishlist_of_user(user), variant.product)
    order, _guest = settled(user), settled(None)
    OrderEvent.objects.create(order=order, after=order.status, actor="shop", note="Ada called")
    product = order.lines.get().variant.product
    Review.objects.create(
        product=product, order=order, user=user, buyer="d" * 64, author="Ada L.", rating=5, text="Good"
    )
    mail_queue("order_confirmation", key=str(order.pk), recipient="ada@example.org")
    sign_in(client)
    return user


def exported(user: User) -> dict:
    return json.loads("".join(export_of(user)))["data"]


def test_the_file_holds_everything_and_nothing_of_others(ada):
    bob = make_user("bob@example.org", name="Bob")
    address_save(bob, {**TYPED, "street": "7 Secret Way"}, default=True)
    theirs = settled(bob, "bob@example.org")
    found = exported(ada)
    assert len(found["orders.Order"]) == 2 and len(found["reviews.Review"]) == 1
    assert found["accounts.Address"][0]["street"] == "1 Engine Street"
    for label in ("cart.CartLine", "wishlist.WishlistItem", "notifications.Mail", "usersessions.UserSession"):
        assert found[label], label
    text = json.dumps(found)
    assert theirs.number not in text and "7 Secret Way" not in text and "bob@" not in text


def test_nothing_that_opens_anything_is_in_the_file(ada):
    order = Order.objects.filter(user=ada).get()
    text = "".join(export_of(ada))
    secrets = [ada.password, order.token, UserSession.objects.get().session_key, str(cart_of_user(ada).token)]
    assert not [secret for secret in secrets if secret in text]


def test_every_model_with_rows_of_a_person_can_be_exported(ada):
    """Each entry's path is a real one: a query is made for every model."""
    assert "accounts.User" in exported(ada)
    assert sum(1 for entry in register().values() if entry.whose) > 25


def test_the_file_is_given_only_to_who_proves_it_again(client, ada):
    answer = client.post("/account/privacy/export/")
    assert answer.status_code == 302 and answer.headers["Location"].startswith("/account/reauthenticate/")
    answer = client.post(answer.headers["Location"], {"password": "correct horse battery 9"})
    data = json.loads(b"".join(answer.streaming_content))
    assert data["account"] == "ada@example.org"
    assert "attachment" in answer.headers["Content-Disposition"]
    assert "no-store" in answer.headers["Cache-Control"]
    assert client.get("/account/privacy/export/").status_code == 405


def test_erasing_leaves_nothing_that_names_the_person(client, ada):
    numbers = list(Order.objects.values_list("number", "total_minor", "country"))
    old_token = Order.objects.filter(user=ada).get().token
    books = sorted(map(str, check()))
    prove(client)
    answer = client.post("/account/privacy/erase/", {"confirm": "on"})
    assert answer.status_code == 200 and "is deleted" in answer.content.decode()
    assert client.get("/account/").status_code == 302
    assert not User.objects.exists() and not Session.objects.exists() and not Review.objects.exists()
    assert list(Order.objects.values_list("number", "total_minor", "country")) == numbers, "the books stay as they were"
    assert client.get(f"/orders/{old_token}/").status_code == 404
    left = database_dump()
    for word in ("Ada", "ada@", "Lovelace", "Engine Street", "Ring twice", "555 0100", "Ada called"):
        assert word not in left, word
    assert sorted(map(str, check())) == books, "and add up as they did"


def database_dump() -> str:
    """Every value of every table, as text."""
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(f'SELECT t::text FROM "{table}" AS t')  # noqa: S608
            found += [row[0] for row in cursor.fetchall()]
    return "\n".join(found)


def test_others_lose_nothing(ada):
    bob = make_user("bob@example.org", name="Bob")
    address_save(bob, TYPED, default=True)
    theirs = settled(bob, "bob@example.org")
    account_erase(ada.pk)
    theirs.refresh_from_db()
    assert theirs.name == "Ada Lovelace" and theirs.user == bob and Address.objects.get().user == bob


@pytest.mark.parametrize(
    "status",
    [
        Status.AWAITING_PAYMENT,
        Status.PAID,
        Status.PROCESSING,
        Status.READY_FOR_PICKUP,
        Status.SHIPPED,
        Status.REFUND_DUE,
    ],
)
def test_nothing_is_erased_while_an_order_is_under_way(client, ada, status):
    order = settled(None, "ADA@example.org", status)
    before = database_dump()
    prove(client)
    answer = client.post("/account/privacy/erase/", {"confirm": "on"})
    assert answer.status_code == 422 and order.number in answer.content.decode()
    with pytest.raises(ErasureRefused, match=order.number):
        account_erase(ada.pk)
    assert User.objects.exists() and "Engine Street" in before and "Engine Street" in database_dump()


def test_a_return_that_is_not_finished_holds_it_up(ada):
    from pasargad.orders.return_models import ReturnRequest

    order = Order.objects.filter(user=ada).get()
    ReturnRequest.objects.create(order=order, number=1, request_key="k", reason="other", comment="It squeaks")
    assert order.number in erasure_obstacles(ada)[0]
    ReturnRequest.objects.update(state="closed")
    account_erase(ada.pk)
    assert ReturnRequest.objects.get().comment == ""


def test_staff_are_not_erased_by_themselves(ada):
    User.objects.filter(pk=ada.pk).update(is_staff=True)
    with pytest.raises(ErasureRefused, match="staff"):
        account_erase(ada.pk)


def test_erasing_asks_for_the_password_and_a_tick(client, ada):
    assert client.post("/account/privacy/erase/", {"confirm": "on"}).status_code == 302
    prove(client)
    assert client.post("/account/privacy/erase/", {}).status_code == 422
    assert User.objects.exists()


def test_what_the_provider_told_is_emptied(ada):
    from pasargad.payments.models import PaymentAttempt

    order = Order.objects.filter(user=ada).get()
    PaymentAttempt.objects.create(
        order=order,
        number=9,
        amount_minor=1,
        currency="usd",
        idempotency_key="k9",
        intent_id="pi_9",
        status="cancelled",
    )
    for number, body in enumerate(
        ({"id": "pi_9", "n": "Ada"}, {"id": "re_1", "payment_intent": "pi_9"}, {"id": "pi_8"})
    ):
        WebhookEvent.objects.create(event_id=f"e{number}", type="t", payload={"data": {"object": body}})
    account_erase(ada.pk)
    left = dict(WebhookEvent.objects.values_list("event_id", "payload"))
    assert left == {"e0": {}, "e1": {}, "e2": {"data": {"object": {"id": "pi_8"}}}}


def test_mails_about_an_anonymous_order_go_to_nobody(ada, mailoutbox):
    from pasargad.notifications.services import mails_send_due

    order = Order.objects.filter(user=ada).get()
    account_erase(ada.pk)
    mail_queue("order_refunded", key=str(order.pk), recipient=ERASED_EMAIL)
    mails_send_due()
    assert mailoutbox == [] and Mail.objects.get().state == Mail.State.WITHDRAWN


@pytest.mark.django_db(transaction=True)
def test_an_order_placed_meanwhile_is_never_left_without_its_buyer():
    """Erasing and ordering at once: either the order stops the erasure, or there is no order of that account."""
    from pasargad.orders.services import order_place

    for number in range(4):
        user = make_user(f"ada{number}@example.org")
        cart = cart_of_user(user)
        cart_add(cart, make_variant(), 1)
        start, seen = threading.Barrier(2), []

        def run(act, start=start, seen=seen) -> None:
            try:
                start.wait(10)
                act()
                seen.append("done")
            except Exception as error:
                seen.append(type(error).__name__)
            finally:
                connection.close()

        acts = (
            lambda user=user: account_erase(user.pk),
            lambda cart=cart: order_place(cart, BUYER, key="1" * 32, agreed_total_minor=10**9),
        )
        threads = [threading.Thread(target=run, args=[act]) for act in acts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(seen) in (["ErasureRefused", "done"], ["CartChanged", "done"]), seen
    assert not Order.objects.filter(user=None).exists()
    assert Order.objects.exclude(user__email__startswith="ada").count() == 0


def test_accounts_that_were_never_confirmed_are_forgotten():
    long_ago = timezone.now() - timedelta(days=40)
    keep = [make_user("proved@example.org"), make_user("staff@example.org", verified=False, is_staff=True)]
    ordered = make_user("buyer@example.org", verified=False)
    settled(ordered)
    keep += [ordered, make_user("seen@example.org", verified=False)]
    User.objects.filter(email="seen@example.org").update(last_login=long_ago)
    make_user("old@example.org", verified=False)
    User.objects.update(date_joined=long_ago)
    keep.append(make_user("young@example.org", verified=False))
    assert retention.unverified_accounts_forget(days=30) == 1
    assert set(User.objects.all()) == set(keep)
    assert not EmailAddress.objects.filter(email="old@example.org").exists()


def test_old_carts_sessions_sign_ins_and_mails_are_forgotten(settings):
    from pasargad.privacy import tasks

    user, browser = make_user(), Client()
    sign_in(browser)
    ended = Client()
    sign_in(ended)
    Session.objects.filter(pk=ended.cookies["pp_session"].value).update(expire_date=timezone.now() - timedelta(days=1))
    from django.core.cache import caches

    caches["sessions"].clear()
    long_ago = timezone.now() - timedelta(days=999)
    UserSession.objects.update(last_seen_at=long_ago)
    mine, guest, young = cart_of_user(user), cart_create(), cart_create()
    Cart.objects.filter(pk__in=[mine.pk, guest.pk]).update(updated_at=long_ago)
    for number, state in enumerate(("sent", "pending", "given_up", "withdrawn")):
        mail_queue("x", key=str(number), recipient="a@example.org")
        Mail.objects.filter(key=str(number)).update(state=state, created_at=long_ago)
    WebhookEvent.objects.create(event_id="e", type="t", payload={"a": 1})
    WebhookEvent.objects.create(event_id="w", type="t", payload={"a": 1}, waiting=True)
    WebhookEvent.objects.update(received_at=long_ago)
    for task in (
        *(tasks.accounts_forget, tasks.carts_of_guests_forget, tasks.sessions_forget),
        *(tasks.sign_ins_forget, tasks.mails_sent_forget),
    ):
        task.func()
    assert set(Cart.objects.all()) == {mine, young}
    assert Session.objects.count() == 1
    assert [row.session_key for row in UserSession.objects.all()] == [browser.cookies["pp_session"].value]
    assert list(Mail.objects.values_list("state", flat=True)) == ["pending"]
    assert dict(WebhookEvent.objects.values_list("event_id", "payload")) == {"e": {}, "w": {"a": 1}}


def test_a_cancelled_order_is_no_obstacle(ada):
    order = make_order()
    order_cancel(order_lock(order.pk), actor="shopper")
    Order.objects.filter(pk=order.pk).update(user=ada)
    assert erasure_obstacles(ada) == []


def test_mails_to_addresses_that_are_not_the_person_s_today_are_found(ada, client):
    """An order is told to the address that was typed for it, an account to those it had."""
    typed = settled(ada, "ada@work.example")
    mail_queue("order_shipped", key=str(typed.pk), recipient=typed.email)
    mail_queue("refund_sent", key=f"{typed.pk}:re_1:300", recipient=typed.email)
    mail_queue("cart_reminder", key=f"cart-{cart_of_user(ada).pk}-0", recipient="ada@former.example")
    EmailAddress.objects.create(user=ada, email="ada@former.example", verified=True)
    prove(client)
    client.post("/account/email/", {"action_remove": "", "email": "ada@former.example"})
    client.post("/account/email/", {"action_add": "", "email": "ada@new.example"})
    # As if the former address had been the first one.
    Mail.objects.filter(kind="notice_email").update(recipient="ada@former.example")
    kinds = {"order_shipped", "refund_sent", "cart_reminder", "notice_email", "account_verify"}
    gone = Mail.objects.filter(kind__in=kinds)
    assert set(gone.values_list("kind", flat=True)) == kinds and not gone.filter(recipient="ada@example.org").exists()
    EmailAddress.objects.filter(email="ada@new.example").delete()
    others = others_mails(ada, typed)

    found = exported(ada)["notifications.Mail"]
    assert {row["kind"] for row in found} == kinds | {"order_confirmation"}
    account_erase(ada.pk)
    assert set(Mail.objects.all()) == others


def others_mails(ada: User, order: Order) -> set[Mail]:
    """Mails whose keys look alike, and one about the person's order that is for the staff."""
    bob = make_user("bob@example.org")
    theirs = settled(bob, "bob@example.org")
    for kind, key, to in (
        ("order_shipped", str(theirs.pk), "bob@example.org"),
        ("order_shipped", f"{order.pk}0", "bob@example.org"),
        ("return_closed", f"{theirs.pk}:{order.pk}", "bob@example.org"),
        ("account_reset", f"user-{ada.pk}0-ffff", "bob@example.org"),
        ("account_verify", f"address-{ada.pk}0-user-{bob.pk}-ffff", "bob@example.org"),
        ("staff_dispute", f"{order.pk}:dp_1:300", "boss@example.org"),
    ):
        mail_queue(kind, key=key, recipient=to)
    return set(Mail.objects.filter(recipient__in=["bob@example.org", "boss@example.org"]))


def test_a_mail_that_a_worker_holds_while_its_buyer_is_erased_is_not_sent(ada, mailoutbox, monkeypatch):
    from pasargad.notifications import services

    mail, write = Mail.objects.get(kind="order_confirmation"), services.content_of

    def erase_then_write(held: Mail):
        account_erase(ada.pk)
        return write(held)

    monkeypatch.setattr(services, "content_of", erase_then_write)
    assert not services.mail_send(mail.pk) and mailoutbox == []


def test_staff_hear_of_a_dispute_also_when_the_buyer_was_erased(ada, mailoutbox):
    from pasargad.notifications.services import mails_send_due

    order = Order.objects.filter(user=ada).get()
    account_erase(ada.pk)
    mail_queue("staff_dispute", key=f"{order.pk}:dp_1:300", recipient="boss@example.org")
    mails_send_due()
    assert [message.to for message in mailoutbox] == [["boss@example.org"]]
