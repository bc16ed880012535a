"""Wish lists: a guest's is found by its cookie only, and becomes the account's once."""

from __future__ import annotations

import threading
import uuid

import pytest
from django.db import connection
from testing.factories import make_product, make_variant

from pasargad.accounts.models import User
from pasargad.catalog.models import Product
from pasargad.wishlist import services
from pasargad.wishlist.models import Wishlist, WishlistItem


def user(email: str = "ada@example.org") -> User:
    return User.objects.create_user(email, "secret-enough-1")


def wishes(client) -> list[str]:
    return [card.name for _slug, card in client.get("/wishlist/").context["wishes"]]


@pytest.mark.django_db
def test_a_guest_keeps_a_list_by_cookie(client):
    product = make_variant(product=make_product(name="Moon lamp")).product
    assert wishes(client) == [] and "pp_wishlist" not in client.cookies
    for _ in range(2):
        assert client.post("/wishlist/add/", {"product": product.slug}).status_code == 303
    assert client.cookies["pp_wishlist"]["httponly"] and WishlistItem.objects.count() == 1
    assert wishes(client) == ["Moon lamp"]
    assert client.get("/wishlist/").headers["Cache-Control"] == "private, no-store"
    assert wishes(type(client)()) == []
    assert client.post("/wishlist/remove/", {"product": product.slug}).status_code == 303
    assert wishes(client) == []


@pytest.mark.django_db
def test_a_forged_cookie_opens_nothing(client):
    product = make_variant().product
    client.post("/wishlist/add/", {"product": product.slug})
    token = str(Wishlist.objects.get().token)
    stranger = type(client)()
    for forged in (token, f"{token}:x:y", ""):
        stranger.cookies["pp_wishlist"] = forged
        assert wishes(stranger) == []
        assert stranger.post("/wishlist/remove/", {"product": product.slug}).status_code == 404
    assert WishlistItem.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("slug", ["", "nothing", "a\0b", "x" * 500])
def test_what_is_not_sold_cannot_be_wished(client, slug):
    assert client.post("/wishlist/add/", {"product": slug}).status_code == 404
    draft = make_product(published=False)
    assert client.post("/wishlist/add/", {"product": draft.slug}).status_code == 404
    assert not Wishlist.objects.exists()


@pytest.mark.django_db
def test_what_is_not_sold_any_more_is_not_shown(client):
    product = make_variant().product
    client.post("/wishlist/add/", {"product": product.slug})
    Product.objects.update(state=Product.State.ARCHIVED)
    assert wishes(client) == []


@pytest.mark.django_db
def test_a_list_has_an_end(client, monkeypatch):
    monkeypatch.setattr(services, "MOST_ITEMS", 1)
    first, second = make_variant().product, make_variant().product
    client.post("/wishlist/add/", {"product": first.slug})
    answer = client.post("/wishlist/add/", {"product": second.slug})
    assert answer.status_code == 422 and answer.context["problems"]
    assert client.post("/wishlist/add/", {"product": first.slug}).status_code == 303


@pytest.mark.django_db
def test_an_account_has_one_list_on_every_device(client):
    ada = user()
    product = make_variant(product=make_product(name="Moon lamp")).product
    client.force_login(ada)
    client.post("/wishlist/add/", {"product": product.slug})
    assert "pp_wishlist" not in client.cookies
    elsewhere = type(client)()
    elsewhere.force_login(ada)
    assert wishes(elsewhere) == ["Moon lamp"]


@pytest.mark.django_db
def test_merging_keeps_everything_once():
    ada, guest = user(), services.wishlist_create()
    mine = services.wishlist_of_user(ada)
    both, only_guest = make_variant().product, make_variant().product
    services.wishlist_add(mine, both)
    services.wishlist_add(guest, both)
    services.wishlist_add(guest, only_guest)
    for _ in range(2):
        assert services.wishlist_merge(ada, guest.token) == mine
    assert set(mine.items.values_list("product_id", flat=True)) == {both.pk, only_guest.pk}
    assert Wishlist.objects.count() == 1


@pytest.mark.django_db
def test_nobody_merges_what_is_somebody_s():
    ada, eve = user(), user("eve@example.org")
    hers = services.wishlist_of_user(ada)
    services.wishlist_add(hers, make_variant().product)
    for token in (hers.token, uuid.uuid4()):
        services.wishlist_merge(eve, token)
    assert hers.items.count() == 1
    assert services.wishlist_of_user(eve).items.count() == 0


@pytest.mark.django_db(transaction=True)
def test_logging_in_in_several_tabs_moves_a_list_once():
    ada, guest = user(), services.wishlist_create()
    for _ in range(3):
        services.wishlist_add(guest, make_variant().product)
    start, failures = threading.Barrier(4), []

    def merge() -> None:
        try:
            start.wait(10)
            services.wishlist_merge(ada, guest.token)
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=merge) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []
    assert Wishlist.objects.get().items.count() == 3


@pytest.mark.django_db
def test_old_lists_of_guests_are_forgotten():
    from datetime import timedelta

    from django.utils import timezone

    old, young, mine = services.wishlist_create(), services.wishlist_create(), services.wishlist_of_user(user())
    Wishlist.objects.filter(pk__in=[old.pk, mine.pk]).update(updated_at=timezone.now() - timedelta(days=99))
    assert services.wishlists_forget(days=90) == 1
    assert set(Wishlist.objects.all()) == {young, mine}
