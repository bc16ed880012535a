"""The whole way of a shopper's program, and of one of the staff's."""

from __future__ import annotations

import secrets
from dataclasses import replace

import pytest
from testing.api import ADDRESS, Api, order_body, with_cart, with_key
from testing.factories import make_coupon, make_product, make_variant
from testing.life import confirm

from pasargad.api.scopes import Scope
from pasargad.books.oracles import check
from pasargad.orders.models import Order
from pasargad.payments.models import PaymentAttempt, Refund
from pasargad.payments.services import payments_reconcile


@pytest.mark.django_db(transaction=True)
def test_from_the_catalogue_to_a_return(outside):
    variant = make_variant(stock=5)
    [item] = Api().get("/products").json()["items"]
    shown = Api().get(f"/products/{item['slug']}").json()
    assert [found["sku"] for found in shown["variants"]] == [variant.sku]

    api = with_cart((variant.sku, 2))
    quote = api("POST", "/cart/quote", {"delivery": {"kind": "shipping", "country": "US", "zip": "02110"}}).json()
    assert quote["deliverable"] and quote["total"]["minor"] > 2000

    placed = api.post("/checkout", order_body(quote["total"]["minor"]))
    assert placed.status_code == 201, placed.content
    order = placed.json()
    assert order["payment"]["state"] == "payable" and order["payment"]["client_secret"]
    assert order["payment"]["pay_url"].startswith(outside.url)
    assert api.get("/cart").json()["lines"] == []

    confirm(PaymentAttempt.objects.get().intent_id)
    payments_reconcile(quiet_seconds=0)
    token = order["token"]
    assert Api().get(f"/orders/{token}").json()["status"] == "paid"
    assert Api().post(f"/orders/{token}/pay").json()["state"] == "not_due"

    staff = with_key(Scope.ORDERS_READ, Scope.ORDERS_WRITE, Scope.REFUNDS_WRITE)
    number = order["number"]
    assert [found["number"] for found in staff.get("/staff/orders?status=paid").json()["items"]] == [number]
    parcel = staff.post(f"/staff/orders/{number}/parcels", {})
    assert parcel.status_code == 201, parcel.content
    sent = staff.post(f"/staff/parcels/{parcel.json()['parcel']}/send", {"tracking_number": "T1"})
    assert sent.json()["state"] == "in_transit"
    assert Api().get(f"/orders/{token}").json()["status"] == "shipped"

    wanted = {"lines": [{"sku": variant.sku, "quantity": 1}], "reason": "unwanted"}
    asked = Api().post(f"/orders/{token}/returns", wanted)
    assert (asked.status_code, asked.json()["state"]) == (201, "requested")
    listed = Api().get(f"/orders/{token}/returns").json()
    assert listed["returnable"] == [{"sku": variant.sku, "quantity": 1}]
    assert Api().post(f"/orders/{token}/returns/1/withdraw").json()["state"] == "withdrawn"

    given = staff.post(f"/staff/orders/{number}/refunds", {"amount_minor": 100, "reason": "A scratch"})
    assert given.status_code == 201 and Refund.objects.get().actor == "api:tests"
    assert staff.get(f"/staff/orders/{number}").json()["refundable_minor"] == quote["total"]["minor"] - 100
    assert check() == []


@pytest.mark.django_db(transaction=True)
def test_a_provider_that_is_away_leaves_an_order_to_be_paid_later(outside, settings):
    variant = make_variant()
    api = with_cart((variant.sku, 1))
    there = settings.STRIPE
    settings.STRIPE = replace(there, api_base="http://127.0.0.1:9", timeout_seconds=1)
    key = secrets.token_hex(16)
    placed = api.post("/checkout", order_body(), Idempotency_Key=key).json()
    assert placed["payment"]["state"] == "unavailable"
    path, again = f"/orders/{placed['token']}/pay", secrets.token_hex(16)
    away = Api().post(path, Idempotency_Key=again)
    assert away.status_code == 503 and away.headers["Retry-After"]
    settings.STRIPE = there
    assert Api().post(path, Idempotency_Key=again).json()["state"] == "payable"
    assert Order.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_an_order_is_cancelled_once(outside):
    variant = make_variant(stock=1)
    token = with_cart((variant.sku, 1)).post("/checkout", order_body()).json()["token"]
    assert Api().post(f"/orders/{token}/cancel").json()["status"] == "cancelled"
    assert Api().post(f"/orders/{token}/cancel").json()["status"] == "cancelled"
    variant.refresh_from_db()
    assert variant.available == 1 and check() == []


@pytest.mark.django_db
def test_what_the_state_of_things_refuses_is_a_conflict():
    variant = make_variant(stock=1)
    api = with_cart((variant.sku, 1))
    for path, body in (
        ("/cart/lines", {"sku": variant.sku, "quantity": 5}),
        ("/cart/lines", {"sku": "NO-SUCH", "quantity": 1}),
        ("/checkout", order_body(1)),
        ("/checkout", order_body(delivery={**ADDRESS, "country": "ZZ"})),
    ):
        refused = api.post(path, body)
        assert refused.status_code == 409 and refused.json()["type"].endswith("refused"), refused.content
    assert api("PUT", "/cart/coupon", {"code": "NOTHING"}).status_code == 409
    make_coupon("SAVE10")
    assert api("PUT", "/cart/coupon", {"code": " save10 "}).json()["discounts"][0]["amount"]["minor"] == -100
    assert api("DELETE", "/cart/coupon").json()["discounts"] == []
    [line] = api.get("/cart").json()["lines"]
    assert api("DELETE", f"/cart/lines/{line['line']}").json()["lines"] == []
    assert api.post("/checkout", order_body()).status_code == 409
    assert not Order.objects.exists()


@pytest.mark.django_db
def test_drafts_are_shown_to_nobody_but_staff():
    draft = make_variant(product=make_product(published=False))
    slug = draft.product.slug
    assert Api().get(f"/products/{slug}").status_code == 404
    assert Api().get("/products").json()["items"] == []
    staff = with_key(Scope.PRODUCTS_WRITE)
    assert staff.get(f"/staff/products/{slug}").json()["state"] == "draft"
    assert staff.post(f"/staff/products/{slug}/publish").json()["state"] == "published"
    assert Api().get(f"/products/{slug}").status_code == 200
