"""The customer's own area: orders, addresses, and what checkout knows of them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from django.test import Client
from testing.factories import BUYER, make_order, make_variant
from testing.people import make_user, sign_in
from testing.shopper import ADDRESS, form_with

from pasargad.accounts import services
from pasargad.accounts.exceptions import AddressRefused
from pasargad.accounts.models import Address
from pasargad.orders.models import Order

pytestmark = pytest.mark.django_db
TYPED = {
    "name": "Ada Lovelace",
    "street": "1 Engine Street",
    "zip": "02110",
    "city": "Boston",
    "state": "MA",
    "country": "US",
}


@pytest.fixture
def ada(client):
    user = make_user()
    sign_in(client)
    return user


def page(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def test_everything_asks_who_one_is(client):
    for path in ("", "orders/", "addresses/", "addresses/add/", "profile/", "privacy/"):
        answer = client.get(f"/account/{path}")
        assert answer.status_code == 302 and answer.headers["Location"].startswith("/account/login/?next=/account/")


def test_orders_of_the_account_and_of_the_proved_address_are_shown(client, ada):
    mine, as_guest, of_others = make_order(), make_order(), make_order()
    Order.objects.filter(pk=mine.pk).update(user=ada, email="else@example.org")
    Order.objects.filter(pk=as_guest.pk).update(email="ADA@example.org")
    Order.objects.filter(pk=of_others.pk).update(email="bob@example.org")
    shown = page(client, "/account/orders/")
    assert mine.number in shown and as_guest.number in shown and of_others.number not in shown
    bob = make_user("bob@example.org")
    Order.objects.filter(pk=as_guest.pk).update(user=bob)
    assert as_guest.number not in page(client, "/account/orders/"), "what another account ordered is not shared"


def test_an_address_that_was_not_proved_shows_no_orders():
    from allauth.account.models import EmailAddress

    from pasargad.accounts.selectors import verified_emails
    from pasargad.orders.selectors import orders_of

    order = make_order()
    eve = make_user("eve@example.org")
    EmailAddress.objects.create(user=eve, email=order.email, verified=False, primary=False)
    assert not orders_of(eve.pk, verified_emails(eve)).exists()


def test_orders_come_a_page_at_a_time(client, ada):
    order = make_order()
    Order.objects.filter(pk=order.pk).update(user=ada)
    assert client.get("/account/orders/?page=2").status_code == 404
    for wrong in ("0", "-1", "x", "9" * 40, "٣"):
        assert client.get("/account/orders/", {"page": wrong}).status_code == 404, wrong


def test_an_address_is_added_changed_made_the_default_and_deleted(client, ada):
    assert client.post("/account/addresses/add/", TYPED).status_code == 303
    first = Address.objects.get()
    assert first.is_default and first.user == ada
    client.post("/account/addresses/add/", {**TYPED, "name": "Work", "is_default": "on"})
    second = Address.objects.get(name="Work")
    first.refresh_from_db()
    assert second.is_default and not first.is_default
    client.post(f"/account/addresses/{first.pk}/", {**TYPED, "city": "Salem"})
    client.post(f"/account/addresses/{first.pk}/default/")
    first.refresh_from_db()
    assert first.city == "Salem" and first.is_default
    client.post(f"/account/addresses/{first.pk}/delete/")
    assert Address.objects.get().is_default, "one is always the default"


def test_what_was_typed_wrongly_is_kept_and_explained(client, ada):
    answer = client.post("/account/addresses/add/", {**TYPED, "zip": "", "phone": "call me", "city": "Bosto<n"})
    text = answer.content.decode()
    assert answer.status_code == 422 and not Address.objects.exists()
    assert "Bosto&lt;n" in text and text.count('aria-invalid="true"') == 2
    assert client.post("/account/addresses/add/", {**TYPED, "country": "XX"}).status_code == 422
    assert client.post("/account/addresses/add/", {**TYPED, "name": "x" * 5000}).status_code == 422


def test_an_address_book_is_not_endless(ada):
    for _ in range(services.MOST_ADDRESSES):
        services.address_save(ada, TYPED, default=False)
    with pytest.raises(AddressRefused):
        services.address_save(ada, TYPED, default=False)


def test_addresses_of_others_do_not_exist(client, ada):
    theirs = services.address_save(make_user("bob@example.org"), TYPED, default=True)
    for path in ("", "delete/", "default/"):
        assert client.post(f"/account/addresses/{theirs.pk}/{path}", TYPED).status_code == 404
    assert client.get(f"/account/addresses/{theirs.pk}/").status_code == 404
    theirs.refresh_from_db()
    assert theirs.is_default


def test_foreign_pages_send_no_forms_here(client, ada):
    for path in ("addresses/add/", "profile/", "reminders/", "privacy/export/", "privacy/erase/"):
        answer = client.post(f"/account/{path}", TYPED, headers={"Origin": "https://evil.example"})
        assert answer.status_code == 403, path


def test_checkout_starts_with_what_is_known_and_offers_the_rest(client, ada):
    services.profile_save(ada, name="Ada")
    home = services.address_save(ada, TYPED, default=True)
    work = services.address_save(ada, {**TYPED, "name": "Work", "street": "9 Loom Lane"}, default=False)
    theirs = services.address_save(make_user("bob@example.org"), {**TYPED, "street": "7 Secret Way"}, default=True)
    client.post("/cart/add/", {"variant": make_variant().sku, "quantity": "1"})
    text = page(client, "/checkout/")
    assert 'value="ada@example.org"' in text and 'value="1 Engine Street"' in text
    assert f"?address={work.pk}" in text and f"?address={home.pk}" in text
    assert 'value="9 Loom Lane"' in page(client, f"/checkout/?address={work.pk}")
    for foreign in (theirs.pk, "x", 10**30):
        text = page(client, f"/checkout/?address={foreign}")
        assert "7 Secret Way" not in text and 'value="1 Engine Street"' in text


def order(client: Client, **changes: str) -> Any:
    """Fill in the form of the checkout as a browser does."""
    client.post("/cart/add/", {"variant": make_variant().sku, "quantity": "1"})
    form = form_with(page(client, "/checkout/"), "idempotency_key")
    return client.post("/checkout/", {**form.values, **ADDRESS, **changes})


def test_checkout_saves_an_address_once_where_that_is_wanted(client, ada):
    assert order(client).status_code == 303 and not Address.objects.exists()
    # What is wanted is still wanted when the form comes again.
    again = order(client, save_address="on", zip="")
    assert again.status_code == 422 and re.search(r'name="save_address"[^>]* checked', again.content.decode())
    assert not Address.objects.exists()
    for _ in range(2):
        assert order(client, save_address="on").status_code == 303
    saved = Address.objects.get()
    assert (saved.user, saved.street, saved.country) == (ada, ADDRESS["street"], ADDRESS["country"])
    assert saved.is_default
    order(client, save_address="on", street="9 Loom Lane")
    assert list(Address.objects.values_list("street", "is_default")) == [
        (ADDRESS["street"], True),
        ("9 Loom Lane", False),
    ]
    order(client, save_address="on", delivery="pickup", street="Not sent there")
    assert Address.objects.count() == 2 and Order.objects.count() == 5


def test_a_full_address_book_takes_no_more_and_the_order_is_placed(client, ada, monkeypatch):
    services.address_save(ada, TYPED, default=True)
    monkeypatch.setattr(services, "MOST_ADDRESSES", 1)
    assert order(client, save_address="on", street="9 Loom Lane").status_code == 303
    assert Address.objects.get().street == TYPED["street"] and Order.objects.exists()


def test_a_guest_s_checkout_knows_nothing(client):
    client.post("/cart/add/", {"variant": make_variant().sku, "quantity": "1"})
    assert "address book" not in page(client, "/checkout/")
    assert order(client, save_address="on").status_code == 303 and not Address.objects.exists()


def test_shared_pages_are_the_same_for_whoever_is_signed_in(client, ada):
    make_variant()
    for path in ("/", "/shop/"):
        mine, theirs = client.get(path), Client().get(path)
        assert mine.content == theirs.content and "Cookie" not in mine.headers.get("Vary", "")
        assert "public" in mine.headers["Cache-Control"] and not mine.cookies


def test_the_profile_keeps_a_name(client, ada):
    assert client.post("/account/profile/", {"name": "Ada <b>L</b>"}).status_code == 303
    ada.refresh_from_db()
    assert ada.name == "Ada <b>L</b>"
    assert "Ada &lt;b&gt;" in page(client, "/account/profile/")
    assert client.post("/account/profile/", {"name": "x" * 200}).status_code == 422


def test_buyer_fields_fit_what_checkout_takes():
    """A saved address is never refused at checkout for its length."""
    from pasargad.storefront.forms import CheckoutForm

    for name in services.ADDRESS_FIELDS:
        field = CheckoutForm.base_fields[name]
        longest = getattr(field, "max_length", None)
        assert longest is None or Address._meta.get_field(name).max_length <= longest, name
    assert replace(BUYER, name="x").name == "x"
