"""What a guest gathered is the account's after signing in: once, without losing any, and nobody else's afterwards."""

from __future__ import annotations

import contextlib
import threading
import uuid

import pytest
from django.db import connection
from django.test import Client
from testing.factories import make_variant
from testing.people import make_user, sign_in

from pasargad.cart import services
from pasargad.cart.models import Cart, CartLine
from pasargad.catalog.models import Product, Variant
from pasargad.wishlist.models import Wishlist

pytestmark = pytest.mark.django_db


def add(client: Client, variant: Variant, quantity: int = 1) -> None:
    assert client.post("/cart/add/", {"variant": variant.sku, "quantity": str(quantity)}).status_code == 303


def held(cart: Cart) -> dict[int, int]:
    return dict(CartLine.objects.filter(cart=cart).values_list("variant_id", "quantity"))


def guest_with(*pieces: tuple[Variant, int]) -> Cart:
    cart = services.cart_create()
    for variant, quantity in pieces:
        CartLine.objects.create(cart=cart, variant=variant, quantity=quantity)
    return cart


def test_a_guest_s_cart_and_wishes_are_there_after_signing_in(client):
    user, variant = make_user(), make_variant()
    add(client, variant, 2)
    client.post("/wishlist/add/", {"product": variant.product.slug})
    sign_in(client)
    cart = Cart.objects.get()
    assert cart.user == user and held(cart) == {variant.pk: 2}
    assert Wishlist.objects.get().user == user
    assert not client.cookies["pp_cart"].value and not client.cookies["pp_wishlist"].value
    assert client.cookies["pp_cart_count"].value == "2"
    assert variant.product.name in client.get("/cart/").content.decode()


def test_the_next_person_at_the_same_browser_sees_nothing(client):
    make_user()
    sign_in(client)
    variant = make_variant()
    add(client, variant, 2)
    mine = Cart.objects.get()
    assert "pp_cart" not in client.cookies or not client.cookies["pp_cart"].value
    client.post("/account/logout/")
    assert not client.cookies["pp_cart_count"].value
    assert variant.product.name not in client.get("/cart/").content.decode()
    add(client, make_variant())
    assert Cart.objects.count() == 2 and held(mine) == {variant.pk: 2}
    make_user("bob@example.org")
    sign_in(client, "bob@example.org")
    assert held(Cart.objects.get(user__email="ada@example.org")) == {variant.pk: 2}


def test_a_session_that_ended_elsewhere_leaves_no_cart_behind(client):
    from django.contrib.sessions.models import Session
    from django.core.cache import caches

    make_user()
    sign_in(client)
    variant = make_variant()
    add(client, variant)
    Session.objects.all().delete()
    caches["sessions"].clear()
    assert variant.product.name not in client.get("/cart/").content.decode()


def test_a_cookie_from_before_does_not_open_an_account_s_cart(client):
    """The release before put the tokens of all carts into cookies."""
    user, variant = make_user(), make_variant()
    add(client, variant)
    cart = Cart.objects.get()
    Cart.objects.filter(pk=cart.pk).update(user=user)
    assert variant.product.name not in client.get("/cart/").content.decode()
    assert client.post(f"/cart/lines/{cart.lines.get().pk}/", {"quantity": "0"}).status_code == 404


def test_pieces_add_up_as_far_as_stock_allows_and_no_article_is_lost(settings):
    user = make_user()
    plenty, scarce, gone, only_guest = (make_variant(stock=n) for n in (50, 5, 0, 3))
    to_order = make_variant(stock=0, made_to_order=True)
    mine = services.cart_of_user(user)
    for variant, quantity in ((plenty, 2), (scarce, 3), (gone, 2), (to_order, 60)):
        CartLine.objects.create(cart=mine, variant=variant, quantity=quantity)
    guest = guest_with((plenty, 4), (scarce, 4), (gone, 1), (only_guest, 9), (to_order, 60))
    for _ in range(2):
        services.cart_merge(user, guest.token)
    most = settings.SHOP.cart_max_quantity
    wanted = {plenty.pk: 6, scarce.pk: 5, gone.pk: 2, only_guest.pk: 3, to_order.pk: most}
    assert held(mine) == wanted and Cart.objects.get() == mine


@pytest.mark.parametrize("sold", ["sold", "inactive", "withdrawn", "to order"])
@pytest.mark.parametrize("stock", [0, 3, 500])
@pytest.mark.parametrize("theirs", [1, 4, 5000])
@pytest.mark.parametrize("mine", [0, 1, 4, 5000])
def test_whatever_two_carts_hold_they_become_one(settings, sold, stock, theirs, mine):
    """Carts from before a limit was lowered, or goods withdrawn, are none that nobody can sign in with."""
    user, variant = make_user(), make_variant(stock=stock)
    Variant.objects.filter(pk=variant.pk).update(is_active=sold != "inactive", made_to_order=sold == "to order")
    if sold == "withdrawn":
        Product.objects.update(state=Product.State.ARCHIVED)
    account = services.cart_of_user(user)
    if mine:
        CartLine.objects.create(cart=account, variant=variant, quantity=mine)
    guest = guest_with((variant, theirs))
    [(pk, pieces)] = held(services.cart_merge(user, guest.token)).items()
    most = settings.SHOP.cart_max_quantity
    if sold != "to order":
        most = min(most, stock or max(mine, theirs))
    assert (pk, pieces) == (variant.pk, min(mine + theirs, most))
    assert list(Cart.objects.all()) == [account]


def test_what_is_not_sold_any_more_stays_a_wish():
    user, variant = make_user(), make_variant()
    guest = guest_with((variant, 2))
    Variant.objects.update(is_active=False)
    assert held(services.cart_merge(user, guest.token)) == {variant.pk: 2}


def test_the_coupon_that_was_typed_first_in_the_account_stays():
    user = make_user()
    for mine, theirs, after in (("", "GUEST", "GUEST"), ("MINE", "GUEST2", "MINE")):
        cart, guest = services.cart_of_user(user), services.cart_create()
        services.cart_coupon_set(cart, mine)
        services.cart_coupon_set(guest, theirs)
        assert services.cart_merge(user, guest.token).coupon_code == after


def test_nobody_merges_what_is_somebody_s():
    ada, eve = make_user(), make_user("eve@example.org")
    hers, variant = services.cart_of_user(ada), make_variant()
    CartLine.objects.create(cart=hers, variant=variant, quantity=1)
    for token in (hers.token, uuid.uuid4()):
        services.cart_merge(eve, token)
    assert held(hers) == {variant.pk: 1}
    assert held(services.cart_of_user(eve)) == {}


def test_the_order_placed_while_signed_in_is_the_account_s(client):
    from testing.shopper import ADDRESS, form_with

    from pasargad.orders.models import Order

    user = make_user()
    add(client, make_variant())
    sign_in(client)
    form = form_with(client.get("/checkout/").content.decode(), "idempotency_key")
    client.post("/checkout/", {**form.values, **ADDRESS})
    assert Order.objects.get().user == user


def sign_in_at_once(user_email: str, guests: list[Client]) -> list[Exception]:
    """Sign in with several browsers at the same moment."""
    start, failures = threading.Barrier(len(guests)), []

    def enter(browser: Client) -> None:
        try:
            start.wait(10)
            assert sign_in(browser, user_email).status_code == 302
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=enter, args=[browser]) for browser in guests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return failures


def two_browsers(variant: Variant, *, one_cart: bool) -> list[Client]:
    """Two browsers of a guest: with the same cart (a cookie was copied), or each with its own of the same article."""
    first, second = Client(), Client()
    add(first, variant, 2)
    if one_cart:
        second.cookies["pp_cart"] = first.cookies["pp_cart"].value
    else:
        add(second, variant, 4)
    return [first, second]


def raced(monkeypatch, number: int, *, one_cart: bool, patience: float = 0.7) -> int:
    """Let both sign-ins come to the point between reading and writing, if the locks let them.

    Returns how many pieces the account has, which had one before.
    """
    user, variant = make_user(f"ada{number}@example.org"), make_variant(stock=50)
    mine = services.cart_of_user(user)
    CartLine.objects.create(cart=mine, variant=variant, quantity=1)
    browsers = two_browsers(variant, one_cart=one_cart)
    met, possible = threading.Barrier(2), services._possible

    def slow(*given):
        with contextlib.suppress(threading.BrokenBarrierError):
            met.wait(patience)
        return possible(*given)

    with monkeypatch.context() as patch:
        patch.setattr(services, "_possible", slow)
        assert sign_in_at_once(user.email, browsers) == []
    return sum(held(mine).values())


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("one_cart", "pieces"), [(True, 3), (False, 7)])
def test_two_sign_ins_at_once_count_every_cart_once(monkeypatch, one_cart, pieces):
    assert [raced(monkeypatch, number, one_cart=one_cart) for number in range(3)] == [pieces] * 3
    assert not Cart.objects.filter(user=None).exists()


@pytest.mark.django_db(transaction=True)
def test_without_the_lock_the_same_race_loses_pieces(monkeypatch):
    """The negative control: if this one found nothing, the test above would find nothing either."""

    def unlocked(mine: int, token: uuid.UUID) -> list[Cart]:
        return list(Cart.objects.filter(token=token, user=None) | Cart.objects.filter(pk=mine))

    monkeypatch.setattr(services, "_lock_pair", unlocked)
    assert any(raced(monkeypatch, number, one_cart=False, patience=5) != 7 for number in range(3))


@pytest.mark.django_db(transaction=True)
def test_two_browsers_with_different_articles_both_keep_theirs():
    make_user()
    one, other = make_variant(), make_variant()
    browsers = [Client(), Client()]
    add(browsers[0], one)
    add(browsers[1], other)
    assert sign_in_at_once("ada@example.org", browsers) == []
    assert held(Cart.objects.get()) == {one.pk: 1, other.pk: 1}
