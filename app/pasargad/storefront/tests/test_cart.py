"""The cart and checkout forms: what was typed is kept, errors are tied to fields, foreign things do not exist."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.db import transaction
from django.test import Client
from testing.factories import BUYER, make_cart, make_order, make_product, make_variant
from testing.shopper import ADDRESS, form_with, text_of

from pasargad.cart.models import Cart, CartLine
from pasargad.orders.models import Order
from pasargad.orders.services import order_cancel, order_expire, order_lock, order_paid

pytestmark = pytest.mark.django_db


def add(client: Client, sku: str, quantity: object = 1):
    return client.post("/cart/add/", {"variant": sku, "quantity": str(quantity)})


def test_goods_are_added_changed_and_removed_by_posts_that_redirect(client):
    variant = make_variant(stock=9)
    first = add(client, variant.sku, 2)
    assert (first.status_code, first.headers["Location"]) == (303, "/cart/?done=added")
    assert client.cookies["pp_cart_count"].value == "2" and not client.cookies["pp_cart_count"]["httponly"]
    assert client.cookies["pp_cart"]["httponly"] and client.cookies["pp_cart"]["samesite"] == "Lax"
    add(client, variant.sku, 3)
    line = CartLine.objects.get()
    assert line.quantity == 5
    assert client.post(f"/cart/lines/{line.pk}/", {"quantity": "4"}).status_code == 303
    assert client.get("/cart/").context["cart"].pieces == 4
    client.post(f"/cart/lines/{line.pk}/", {"quantity": "0"})
    assert client.get("/cart/").context["cart"].empty
    assert client.cookies["pp_cart_count"].value == "0"


@pytest.mark.parametrize("quantity", ["0", "-1", "x", "", "1.5", "100", "99999999999999999999"])
def test_a_refused_quantity_shows_the_product_again(client, quantity):
    variant = make_variant(stock=200)
    answer = add(client, variant.sku, quantity)
    assert answer.status_code == 422 and not CartLine.objects.exists()
    text = answer.content.decode()
    assert 'aria-invalid="true"' in text and 'id="id_quantity_error"' in text
    assert f'value="{quantity}"' in text or not quantity


def test_more_than_there_is_cannot_be_added(client):
    variant = make_variant(stock=2)
    answer = add(client, variant.sku, 3)
    assert answer.status_code == 422 and "Only 2 left in stock." in text_of(answer.content.decode())


def test_a_refused_change_keeps_what_was_typed(client):
    variant = make_variant(stock=2)
    add(client, variant.sku)
    line = CartLine.objects.get()
    answer = client.post(f"/cart/lines/{line.pk}/", {"quantity": "7"})
    [shown] = answer.context["cart"].lines
    assert answer.status_code == 422 and shown.errors == ["Only 2 left in stock."] and shown.typed == "7"
    assert 'value="7"' in answer.content.decode() and "Only 2 left" in answer.content.decode()
    line.refresh_from_db()
    assert line.quantity == 1


def test_a_foreign_line_does_not_exist(client):
    foreign = make_cart((make_variant(), 1)).lines.get()
    assert client.post(f"/cart/lines/{foreign.pk}/", {"quantity": "0"}).status_code == 404
    add(client, make_variant().sku)
    assert client.post(f"/cart/lines/{foreign.pk}/", {"quantity": "0"}).status_code == 404
    foreign.refresh_from_db()


def test_a_forged_cookie_opens_no_cart(client):
    cart = make_cart((make_variant(), 1))
    client.cookies["pp_cart"] = str(cart.token)
    assert client.get("/cart/").context["cart"].empty
    client.cookies["pp_cart"] = f"{cart.token}:1abcde:forged"
    assert client.get("/cart/").context["cart"].empty


def test_unknown_and_withdrawn_goods_cannot_be_added(client):
    assert add(client, "NO-SUCH").status_code == 404
    withdrawn = make_variant(is_active=False)
    assert add(client, withdrawn.sku).status_code in (404, 422)
    draft = make_variant(product=make_product(published=False))
    assert add(client, draft.sku).status_code == 404
    assert not CartLine.objects.exists()


def test_a_cart_says_what_became_of_its_goods(client):
    variant = make_variant(stock=2)
    add(client, variant.sku, 2)
    make_order((variant, 1))
    view = client.get("/cart/").context["cart"]
    assert "Only 1 left" in view.lines[0].problem and view.problems


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Referer": "https://evil.example/page"},
    ],
)
def test_forms_of_other_sites_are_refused(headers):
    variant = make_variant()
    client = Client(enforce_csrf_checks=True)
    answer = client.post("/cart/add/", {"variant": variant.sku, "quantity": "1"}, headers=headers)
    assert answer.status_code == 403 and not Cart.objects.exists()


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://testserver"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Referer": "http://testserver/p/lamp/"},
        {},
    ],
)
def test_our_own_forms_are_taken(headers):
    variant = make_variant()
    client = Client(enforce_csrf_checks=True)
    answer = client.post("/cart/add/", {"variant": variant.sku, "quantity": "1"}, headers=headers)
    assert answer.status_code == 303


@pytest.mark.parametrize("path", ["/{admin}/login/", "/account/login/", "/fa/account/signup/"])
def test_forms_that_need_a_token_are_refused_without_it_in_the_shops_own_words(settings, path):
    client = Client(enforce_csrf_checks=True)
    path = path.format(admin=settings.ADMIN_URL_PATH)
    answer = client.post(path, {"username": "x", "password": "y"}, headers={"Origin": "http://testserver"})
    assert answer.status_code == 403 and "storefront/base.html" in [used.name for used in answer.templates]


def checkout(client: Client, **changes: str):
    form = form_with(client.get("/checkout/").content.decode(), "idempotency_key")
    return client.post("/checkout/", {**form.values, **ADDRESS, **changes})


def test_an_empty_cart_cannot_be_checked_out(client):
    assert client.get("/checkout/").headers["Location"] == "/cart/"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"email": "no-address"}, "email"),
        ({"email": ""}, "email"),
        ({"name": ""}, "name"),
        ({"street": ""}, "street"),
        ({"zip": ""}, "zip"),
        ({"country": "XX"}, "country"),
        ({"phone": "call me"}, "phone"),
        ({"delivery": "drone"}, "delivery"),
        ({"name": "x" * 121}, "name"),
    ],
)
def test_a_wrong_form_is_shown_again_with_what_was_typed(client, changes, field):
    add(client, make_variant().sku)
    answer = checkout(client, **{"city": "Typed City", **changes})
    text = answer.content.decode()
    assert answer.status_code == 422 and field in answer.context["form"].errors
    assert "Typed City" in text and f'id="id_{field}_error"' in text
    assert not Order.objects.exists()


@pytest.mark.parametrize("changes", [{"idempotency_key": "x"}, {"idempotency_key": ""}, {"agree_total_minor": "-1"}])
def test_a_damaged_form_makes_no_order(client, changes):
    add(client, make_variant().sku)
    assert checkout(client, **changes).status_code == 422
    assert not Order.objects.exists()


def test_a_price_that_rose_is_shown_before_it_is_paid(client):
    variant = make_variant(price_minor=1000)
    add(client, variant.sku)
    form = form_with(client.get("/checkout/").content.decode(), "idempotency_key")
    type(variant).objects.update(price_minor=5000)
    answer = client.post("/checkout/", {**form.values, **ADDRESS})
    assert answer.status_code == 422 and "price has changed" in answer.content.decode()
    assert "$50.00" in answer.content.decode() and not Order.objects.exists()
    again = form_with(answer.content.decode(), "idempotency_key")
    assert client.post("/checkout/", again.values).status_code == 303
    assert Order.objects.get().subtotal_minor == 5000


@pytest.mark.parametrize("end", [order_expire, lambda order: order_cancel(order, actor="shopper")])
@pytest.mark.parametrize("meanwhile", [0, 2])
def test_the_form_of_an_order_that_was_given_up_orders_anew(client, end, meanwhile):
    variant, other = make_variant(stock=5), make_variant(stock=5)
    add(client, variant.sku, 3)
    form = form_with(client.get("/checkout/").content.decode(), "idempotency_key")
    sent = {**form.values, **ADDRESS, "name": "Ada King"}
    assert client.post("/checkout/", sent).status_code == 303
    first = Order.objects.get()
    assert client.post("/checkout/", sent).headers["Location"].startswith(f"/orders/{first.token}/"), "it is live"
    with transaction.atomic():
        end(order_lock(first.pk))
    if meanwhile:
        add(client, other.sku, meanwhile)
    answer = client.post("/checkout/", sent)
    page = text_of(answer.content.decode())
    assert answer.status_code == 422 and f"Your order {first.number} has expired or was cancelled" in page
    kept = {other.pk: meanwhile} if meanwhile else {variant.pk: 3}
    assert dict(CartLine.objects.values_list("variant_id", "quantity")) == kept
    assert client.cookies["pp_cart_count"].value == str(sum(kept.values()))
    again = form_with(answer.content.decode(), "idempotency_key")
    assert again.values["name"] == "Ada King" and again.values["idempotency_key"] != sent["idempotency_key"]
    for _ in range(2):
        assert client.post("/checkout/", again.values).status_code == 303
    [second] = Order.objects.exclude(pk=first.pk)
    assert dict(second.lines.values_list("variant_id", "quantity")) == kept


def test_pickup_needs_no_address_and_costs_no_shipping(client):
    add(client, make_variant(price_minor=1000).sku)
    answer = checkout(client, delivery="pickup", street="", city="", zip="", country="")
    assert answer.status_code == 303
    order = Order.objects.get()
    assert (order.delivery, order.shipping_minor, order.total_minor, order.street) == ("pickup", 0, 1000, "")


def test_an_order_is_found_by_number_and_mail_address_only(client):
    order = make_order()
    found = client.post("/orders/find/", {"number": order.number.lower(), "email": BUYER.email.upper()})
    assert found.headers["Location"] == f"/orders/{order.token}/"
    wrong = client.post("/orders/find/", {"number": order.number, "email": "eve@example.org"})
    unknown = client.post("/orders/find/", {"number": "PP-00000000", "email": BUYER.email})
    assert wrong.status_code == unknown.status_code == 422
    message = "We know no order with this number and mail address."
    assert message in wrong.content.decode() and message in unknown.content.decode()


def test_an_order_s_page_opens_with_its_token_only(client):
    order = make_order()
    assert order.number in client.get(f"/orders/{order.token}/").content.decode()
    for other in ("0" * 32, str(order.pk), order.number, order.token[:-1]):
        for path in (f"/orders/{other}/", f"/orders/{other}/return/"):
            assert client.get(path).status_code == 404
        assert client.post(f"/orders/{other}/pay/").status_code == 404
        assert client.post(f"/orders/{other}/cancel/").status_code == 404


def test_an_order_s_page_thanks_once_and_names_the_country(client):
    order = make_order()
    with transaction.atomic():
        order_paid(order_lock(order.pk), actor="test")
    text = text_of(client.get(f"/orders/{order.token}/").content.decode())
    assert text.count("Thank you") == 1
    assert "Boston, MA 02110 United States" in text
    assert "Ordered" in text and "Awaiting payment" not in text


def test_an_order_s_page_says_where_to_collect(client, settings):
    order = make_order(
        buyer=replace(BUYER, delivery="pickup", street="", city="", zip="", country="", note="Ring twice")
    )
    text = text_of(client.get(f"/orders/{order.token}/").content.decode())
    assert settings.BUSINESS.address.street in text.partition("Your pieces")[2].partition("News of this order")[0]
    assert "Pick-up free" in text and "Ring twice" in text


def test_the_cart_says_when_shipping_is_free(client, settings):
    limit = settings.SHIPPING.free_from_minor
    cheap, dear = make_variant(price_minor=limit - 1), make_variant(price_minor=1)
    add(client, cheap.sku)
    before = text_of(client.get("/cart/").content.decode())
    assert "Shipping in the next step" in before and "Free shipping from" in before
    add(client, dear.sku)
    after = text_of(client.get("/cart/").content.decode())
    assert "Shipping free" in after and "Free shipping from" not in after


def test_limits_refuse_one_client_and_not_another(client, settings):
    from config.env import Rate

    settings.RATE_LIMITS = replace(settings.RATE_LIMITS, enabled=True, cart=Rate(3, 3600), trusted_proxies=1)
    variant = make_variant(stock=50)

    def ask(address: str) -> int:
        return client.post(
            "/cart/add/", {"variant": variant.sku, "quantity": "1"}, headers={"X-Forwarded-For": address}
        ).status_code

    assert [ask("203.0.113.1") for _ in range(4)] == [303, 303, 303, 429]
    # What a client claims in front of our proxy's word changes nothing.
    assert ask("10.9.9.9, 203.0.113.1") == 429
    assert ask("203.0.113.2") == 303
    # Who has one address of IPv6 has all of its /64.
    assert [ask(f"2001:db8:0:1::{number}") for number in range(4)] == [303, 303, 303, 429]
    assert ask("2001:db8:0:2::1") == 303
    assert ask("::ffff:203.0.113.1") == 429 and ask("::ffff:203.0.113.3") == 303


def test_without_redis_nobody_is_refused_and_pages_work(client, settings):
    from config.env import Rate

    settings.RATE_LIMITS = replace(settings.RATE_LIMITS, enabled=True, cart=Rate(1, 3600))
    away = {alias: {**own, "LOCATION": "unix:///nowhere/redis.sock?db=0"} for alias, own in settings.CACHES.items()}
    variant = make_variant()
    settings.CACHES = away
    assert [add(client, variant.sku).status_code for _ in range(3)] == [303, 303, 303]
    assert client.get("/").status_code == client.get("/cart/").status_code == 200


def test_a_variant_with_a_zero_byte_is_not_found(client):
    assert client.post("/cart/add/", {"variant": "\0", "quantity": "1"}).status_code == 404
