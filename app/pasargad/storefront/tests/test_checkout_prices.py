"""The cart and checkout pages show the price of what was chosen, and take coupons, all without a script."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.test import Client
from testing.factories import BUYER, make_coupon, make_order, make_promotion, make_tax_zone, make_variant, make_zone
from testing.people import make_user, sign_in
from testing.shopper import ADDRESS, form_with, text_of

from pasargad.cart.models import Cart
from pasargad.orders.models import Order
from pasargad.promotions.models import Coupon, Promotion, Redemption
from pasargad.shipping.models import PickupPoint, ShippingMethod

pytestmark = pytest.mark.django_db


@pytest.fixture
def shopper(client: Client) -> Client:
    variant = make_variant(price_minor=2000, stock=50)
    client.post("/cart/add/", {"variant": variant.sku, "quantity": "1"})
    return client


def values(client: Client, **changes: str) -> dict[str, str]:
    form = form_with(client.get("/checkout/").content.decode(), "idempotency_key")
    return {**form.values, **ADDRESS, **changes}


def test_the_quote_follows_the_country_and_the_method(shopper):
    make_zone({"name": "Post", "base_minor": 500}, {"name": "Express", "base_minor": 1500})
    make_zone({"name": "Abroad", "base_minor": 2500}, countries=["CA"])
    make_tax_zone(("State", 100_000), countries=["US"])
    first = shopper.get("/checkout/")
    assert first.context["quote"].total.minor == 2750
    shown = text_of(first.content.decode())
    assert "Post" in shown and "Express" in shown and "State 10 %" in shown and "Abroad" not in shown

    express = str(ShippingMethod.objects.get(name="Express").pk)
    answer = shopper.post("/checkout/quote/", values(shopper, method=express, city="Typed City"))
    assert (answer.status_code, answer.context["quote"].total.minor) == (200, 3850)
    text = answer.content.decode()
    assert f'id="method-{express}" name="method" value="{express}" checked' in text and "Typed City" in text
    assert not answer.context["form"].errors and not Order.objects.exists()

    abroad = shopper.post("/checkout/quote/", values(shopper, method=express, country="CA"))
    assert abroad.context["quote"].total.minor == 4500 and abroad.context["quote"].taxes == []
    again = form_with(abroad.content.decode(), "idempotency_key")
    assert again.values["country"] == "CA"
    assert shopper.post("/checkout/", again.values).status_code == 303
    assert Order.objects.get().shipping_method == "Abroad"


def test_updating_keeps_the_key_so_that_one_page_is_one_order(shopper):
    sent = values(shopper)
    answer = shopper.post("/checkout/quote/", {**sent, "coupon": "NOT-YET-APPLIED"})
    assert answer.context["idempotency_key"] == sent["idempotency_key"]
    assert 'value="NOT-YET-APPLIED"' in answer.content.decode()


def test_updating_complains_of_nothing_that_is_not_typed_yet(shopper):
    answer = shopper.post("/checkout/quote/", {"country": "CA"})
    assert answer.status_code == 200 and "errorlist" not in answer.content.decode()
    assert shopper.get("/checkout/quote/").headers["Location"] == "/checkout/"
    assert Client().post("/checkout/quote/", {}).headers["Location"] == "/checkout/"


@pytest.mark.parametrize(
    "junk", [{"country": "\x00"}, {"country": "ZZ"}, {"method": "9" * 400}, {"delivery": "x"}, {"zip": "x" * 9000}]
)
def test_what_cannot_be_understood_is_as_on_a_fresh_form(shopper, junk):
    answer = shopper.post("/checkout/quote/", values(shopper, **junk))
    assert answer.status_code == 200
    assert answer.context["quote"].total == shopper.get("/checkout/").context["quote"].total


def test_changing_the_country_without_updating_asks_again(shopper):
    make_zone({"name": "Post", "base_minor": 500})
    make_zone({"name": "Abroad", "base_minor": 2500}, countries=["CA"])
    answer = shopper.post("/checkout/", values(shopper, country="CA"))
    assert answer.status_code == 422 and "The total is now $45.00" in text_of(answer.content.decode())
    assert not Order.objects.exists()
    again = form_with(answer.content.decode(), "idempotency_key")
    assert shopper.post("/checkout/", again.values).status_code == 303
    assert Order.objects.get().total_minor == 4500


def test_a_method_of_another_country_asks_again(shopper):
    near = make_zone({"name": "Post"}, {"name": "Express", "base_minor": 100})
    make_zone({"name": "Abroad"}, countries=["CA"])
    answer = shopper.post("/checkout/", values(shopper, country="CA", method=str(near.methods.first().pk)))
    assert answer.status_code == 422 and "choose again" in answer.content.decode()


def test_goods_that_nobody_carries_are_said_to_be(shopper):
    make_zone({"name": "Letter", "bands": [(100, 100)]})
    page = shopper.get("/checkout/")
    assert page.context["quote"].undeliverable and "cannot send" in page.content.decode()
    assert shopper.post("/checkout/", values(shopper)).status_code == 422


def test_places_to_collect_can_be_chosen(shopper):
    points = [
        PickupPoint.objects.create(name=f"Shop {n}", street=f"{n} Road", city="Boston", country="US") for n in (1, 2)
    ]
    page = shopper.post("/checkout/quote/", values(shopper, delivery="pickup"))
    assert "2 Road" in page.content.decode() and page.context["quote"].shipping.minor == 0
    assert shopper.post("/checkout/", values(shopper, delivery="pickup", point=str(points[1].pk))).status_code == 303
    assert Order.objects.get().pickup_address[0] == "Shop 2"
    assert shopper.get(f"/orders/{Order.objects.get().token}/").content.decode().count("2 Road") == 1


def test_a_tampered_total_is_refused_or_changes_nothing(shopper):
    low = shopper.post("/checkout/", values(shopper, agree_total_minor="1"))
    assert low.status_code == 422 and not Order.objects.exists()
    assert shopper.post("/checkout/", values(shopper, agree_total_minor="x")).status_code == 422
    assert shopper.post("/checkout/", values(shopper, agree_total_minor="999999")).status_code == 303
    assert Order.objects.get().total_minor == 2750


def test_a_coupon_in_the_cart(shopper):
    make_coupon(name="Spring")
    answer = shopper.post("/cart/coupon/", {"coupon": " save 10 "})
    assert answer.headers["Location"] == "/cart/?done=coupon"
    page = text_of(shopper.get("/cart/?done=coupon").content.decode())
    assert "Your coupon is applied." in page and "Spring (SAVE10) -$2.00" in page and "Goods $18.00" in page
    assert shopper.get("/checkout/").context["quote"].total.minor == 2550
    shopper.post("/cart/coupon/", {"remove": "1"})
    assert Cart.objects.get().coupon_code == "" and "SAVE10" not in shopper.get("/cart/").content.decode()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (None, "We know no coupon SAVE10."),
        ({"is_active": False}, "We know no coupon SAVE10."),
        ({"minimum_minor": 2001}, "needs goods worth at least $20.01"),
        ({"logged_in_only": True}, "Please log in"),
        ({"ends_at": "2020-01-01T00:00:00Z"}, "has expired"),
        ({"starts_at": "2999-01-01T00:00:00Z"}, "is not valid yet"),
        ({"limit": 0}, "has been used up"),
        ({"kind": "fixed", "amount_minor": 0}, "fits nothing"),
    ],
)
@pytest.mark.parametrize("page", ["/cart/coupon/", "/checkout/coupon/"])
def test_a_refused_coupon_says_why_beside_its_field(shopper, page, fields, words):
    if fields is not None:
        make_coupon(**fields)
    answer = shopper.post(page, {"coupon": "save10", "email": "ada@example.org", "city": "Typed City"})
    text = answer.content.decode()
    assert answer.status_code == 422 and words in text_of(text)
    assert 'value="save10"' in text and 'aria-describedby="id_coupon_error"' in text
    assert Cart.objects.get().coupon_code == ""
    assert "Typed City" in text or "checkout" not in page


@pytest.mark.parametrize("typed", ["", "   ", "x" * 500, "<script>", "\u202e", "A\x00B"])
def test_a_hostile_coupon_is_only_refused(shopper, typed):
    answer = shopper.post("/cart/coupon/", {"coupon": typed})
    assert answer.status_code == 422 and "<script>" not in answer.content.decode().partition("Summary")[2]


def test_a_better_campaign_is_said_to_be_in_the_way(shopper):
    make_promotion(basis_points=5000, is_automatic=True)
    make_coupon()
    answer = shopper.post("/cart/coupon/", {"coupon": "SAVE10"})
    assert answer.status_code == 422 and "cannot be combined" in answer.content.decode()


def test_a_coupon_for_free_shipping_waits_for_the_checkout(shopper):
    make_coupon(kind="free_shipping")
    assert shopper.post("/cart/coupon/", {"coupon": "SAVE10"}).status_code == 303
    assert shopper.get("/checkout/").context["quote"].shipping.minor == 0
    pickup = shopper.post("/checkout/quote/", values(shopper, delivery="pickup"))
    assert "fits nothing" in pickup.content.decode()


def test_a_coupon_at_checkout_keeps_what_was_typed(shopper):
    make_coupon(name="Spring")
    answer = shopper.post("/checkout/coupon/", values(shopper, coupon="save10", street="Typed Street"))
    assert answer.status_code == 200 and "Typed Street" in answer.content.decode()
    assert answer.context["quote"].total.minor == 2550
    removed = shopper.post("/checkout/coupon/", {**values(shopper), "remove": "1"})
    assert removed.context["quote"].total.minor == 2750


def test_a_coupon_typed_and_not_applied_counts_when_the_order_is_placed(shopper):
    make_coupon()
    wrong = shopper.post("/checkout/", values(shopper, coupon="NOPE"))
    assert wrong.status_code == 422 and "We know no coupon NOPE." in text_of(wrong.content.decode())
    assert not Order.objects.exists()
    assert shopper.post("/checkout/", values(shopper, coupon="save10")).status_code == 303
    assert Order.objects.get().discount_minor == 200


def test_a_coupon_that_somebody_else_used_up_asks_again(shopper):
    make_coupon(limit=1)
    shopper.post("/cart/coupon/", {"coupon": "SAVE10"})
    sent = values(shopper)
    Coupon.objects.update(used=1)
    answer = shopper.post("/checkout/", sent)
    assert answer.status_code == 422 and "has been used up" in text_of(answer.content.decode())
    again = form_with(answer.content.decode(), "idempotency_key")
    assert shopper.post("/checkout/", again.values).status_code == 303
    assert Order.objects.get().discount_minor == 0


def test_a_first_order_s_coupon_is_for_accounts(shopper):
    make_coupon(first_order_only=True)
    answer = shopper.post("/checkout/coupon/", values(shopper, coupon="SAVE10"))
    assert answer.status_code == 422 and "customers with an account" in text_of(answer.content.decode())
    user = make_user("ada+1@example.org")
    sign_in(shopper, user.email)
    shopper.post("/checkout/coupon/", values(shopper, coupon="SAVE10"))
    assert shopper.post("/checkout/", values(shopper)).status_code == 303
    assert Order.objects.get().discount_minor == 200
    shopper.post("/cart/add/", {"variant": make_variant(price_minor=2000).sku, "quantity": "1"})
    answer = shopper.post("/checkout/coupon/", values(shopper, coupon="SAVE10"))
    assert answer.status_code == 422 and "first order only" in answer.content.decode()


OFFERS = [
    {"first_order_only": True},
    {"per_customer_limit": 1},
    {"first_order_only": True, "is_automatic": True},
    {"per_customer_limit": 1, "is_automatic": True},
]


@pytest.mark.parametrize("offer", OFFERS, ids=lambda offer: "-".join(offer))
def test_no_price_tells_whether_an_address_has_bought_before(shopper, offer):
    """Known and unknown addresses read the same on every page that takes one, and when too little is agreed to."""
    use(make_coupon(**offer), make_order(buyer=replace(BUYER, email="known@example.org")))
    for code in ("", "SAVE10"):
        seen = [everything_told(shopper, email, code) for email in ("known@example.org", "other@example.org")]
        assert seen[0] == seen[1], code
    assert not Order.objects.filter(email="other@example.org").exists()


def use(coupon: Coupon, order: Order) -> None:
    """Note that an order used a coupon."""
    who = {"reference": order.reference, "customer_key": order.customer_key}
    Redemption.objects.create(promotion=coupon.promotion, number=1, amount_minor=1, **who)


def everything_told(shopper, email: str, code: str) -> list[tuple[int, str]]:
    """What the pages answer to who types this address, and agrees to pay nothing."""
    shopper.post("/cart/coupon/", {"remove": "1"})
    told = []
    for path, more in (
        ("/checkout/quote/", {}),
        ("/checkout/coupon/", {"coupon": code}),
        ("/checkout/quote/", {}),
        ("/checkout/", {"agree_total_minor": "0"}),
    ):
        answer = shopper.post(path, values(shopper, email=email, **more))
        words = text_of(answer.content.decode()).replace(email, "EMAIL")
        told.append((answer.status_code, words, answer.context["quote"].total.minor))
    return told


def test_a_guest_who_used_a_coupon_reads_that_it_cannot_be_used_and_orders_without_it(shopper):
    """Counted when it is used; the words are those of a coupon that somebody else was faster with."""
    use(make_coupon(per_customer_limit=1), make_order())
    shopper.post("/cart/coupon/", {"coupon": "SAVE10"})
    answer = shopper.post("/checkout/", values(shopper, email="Ada+2@EXAMPLE.org"))
    assert answer.status_code == 422 and "SAVE10 cannot be used for this order" in text_of(answer.content.decode())
    shopper.post("/checkout/coupon/", {**values(shopper), "remove": "1"})
    assert shopper.post("/checkout/", values(shopper)).status_code == 303


def test_what_costs_nothing_goes_straight_to_its_order(shopper):
    make_coupon(basis_points=10_000)
    answer = shopper.post("/checkout/", values(shopper, coupon="SAVE10", delivery="pickup"))
    order = Order.objects.get()
    assert order.total_minor == 0 and answer.headers["Location"] == f"/orders/{order.token}/"
    assert "Thank you" in shopper.get(f"/orders/{order.token}/").content.decode()


def test_coupons_are_not_for_guessing(shopper, settings):
    from dataclasses import replace

    from config.env import Rate

    settings.RATE_LIMITS = replace(settings.RATE_LIMITS, enabled=True, checkout=Rate(3, 3600))
    codes = [shopper.post("/cart/coupon/", {"coupon": f"GUESS{n}"}).status_code for n in range(4)]
    assert codes == [422, 422, 422, 429]


def test_the_order_s_page_shows_what_was_taken_off_and_each_tax(shopper):
    make_tax_zone(("GST", 50_000), ("PST", 70_000))
    make_promotion(is_automatic=True, name="Spring")
    shopper.post("/checkout/", values(shopper))
    Promotion.objects.all().update(name="Gone")
    page = text_of(shopper.get(f"/orders/{Order.objects.get().token}/").content.decode())
    assert "Spring -$2.00" in page and "GST 5 %" in page and "PST 7 %" in page
