"""Who may do what: every operation of the table, asked by everybody there is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from testing.api import Api, order_body, with_cart, with_key
from testing.factories import make_order, make_variant
from testing.money import make_paid

from pasargad.accounts.models import User
from pasargad.api import access
from pasargad.api.operations import CART, ORDER, PUBLIC, Operation, operations
from pasargad.api.scopes import RIGHTS, Scope
from pasargad.cart.models import Cart
from pasargad.cart.services import cart_merge, cart_of_user
from pasargad.catalog.models import Variant
from pasargad.orders.models import Order, Status
from pasargad.orders.returns import Wish, return_request
from pasargad.orders.services import order_lock, order_move
from pasargad.shipments.services import shipment_prepare

FOREIGN = "0" * 32
WITH_RIGHT_ETAG = "*"


@dataclass
class World:
    """What one request is about: values of path parameters, a body, and who holds its cart."""

    path: dict[str, Any] = field(default_factory=dict)
    body: Any = None
    holder: Api = field(default_factory=Api)
    headers: dict[str, str] = field(default_factory=dict)


def a_cart(**changes: Any) -> World:
    holder = with_cart((make_variant().sku, 1))
    line = Cart.objects.get(token=holder.headers["X-Cart-Token"]).lines.get().pk
    return World({"line": line}, holder=holder, **changes)


def an_order(**changes: Any) -> World:
    order = make_order()
    return World({"token": order.token, "number": order.number}, **changes)


def a_paid_order(**changes: Any) -> World:
    order = make_paid().order
    return World({"token": order.token, "number": order.number}, **changes)


def a_shipped_order(**changes: Any) -> World:
    order = make_paid().order
    order_move(order_lock(order.pk), Status.SHIPPED, actor="test")
    body = {"lines": [{"sku": order.lines.get().sku, "quantity": 1}], "reason": "unwanted"}
    return World({"token": order.token}, body=body, **changes)


def a_return() -> World:
    world = a_shipped_order()
    order = Order.objects.get(token=world.path["token"])
    return_request(order.pk, Wish({order.lines.get().pk: 1}, "unwanted"), key="b" * 32)
    return World({**world.path, "return_number": 1})


def a_parcel() -> World:
    return World({"parcel": shipment_prepare(make_paid().order_id).pk}, body={})


def goods(**changes: Any) -> World:
    variant = make_variant()
    return World({"slug": variant.product.slug, "sku": variant.sku}, **changes)


def line_of_new_goods() -> World:
    return replace(a_cart(), body={"sku": make_variant().sku, "quantity": 1})


QUOTE = {"delivery": {"kind": "shipping", "country": "US"}}
WORLDS: dict[str, Callable[[], World]] = {
    "products_list": goods,
    "product_show": goods,
    "categories_list": goods,
    "flags_list": World,
    "cart_make": World,
    "cart_show": a_cart,
    "cart_line_add": line_of_new_goods,
    "cart_line_change": lambda: a_cart(body={"quantity": 2}),
    "cart_line_remove": a_cart,
    "cart_coupon_take": lambda: a_cart(body={"code": "NOTHING"}),
    "cart_coupon_remove": a_cart,
    "cart_quote": lambda: a_cart(body=QUOTE),
    "checkout": lambda: a_cart(body=order_body()),
    "order_pay": an_order,
    "order_show": an_order,
    "order_cancel": an_order,
    "returns_list": an_order,
    "return_ask": a_shipped_order,
    "return_take_back": a_return,
    "staff_orders_list": an_order,
    "staff_order_show": an_order,
    "staff_order_move": lambda: a_paid_order(body={"status": "processing"}),
    "parcel_pack": lambda: a_paid_order(body={}),
    "parcel_send": a_parcel,
    "refund_give": lambda: a_paid_order(body={"amount_minor": 1, "reason": "Sorry"}),
    "stock_show": goods,
    "stock_change": lambda: goods(body={"quantity": 1, "kind": "received"}),
    "staff_product_show": goods,
    "staff_product_change": lambda: goods(body={"summary": "New"}, headers={"If-Match": WITH_RIGHT_ETAG}),
    "staff_product_publish": goods,
}
# What a state of things refuses, where the world above has no better one: the request got through all the same.
THROUGH = {"cart_coupon_take": 409, "order_pay": 503}


def session(*, staff: bool, rights: tuple[str, ...] = ()) -> Api:
    user = User.objects.create_user(f"user{User.objects.count()}@example.org", "a long password", is_staff=staff)
    for right in rights:
        label, _dot, codename = right.partition(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=label, codename=codename))
    api = Api()
    api.client.force_login(user)
    return api


def other_scope(row: Operation) -> Scope:
    return next(scope for scope in Scope if scope != row.access)


def guest_of_another_cart() -> Api:
    return with_cart((make_variant().sku, 1))


ROLES: dict[str, Callable[[Operation], Api]] = {
    "anonymous": lambda row: Api(),
    "key without the scope": lambda row: with_key(other_scope(row)),
    "key with the scope": lambda row: with_key(row.access if row.access in Scope.values else Scope.ORDERS_READ),
    "foreign guest": lambda row: guest_of_another_cart(),
    "customer": lambda row: session(staff=False),
    "staff without the right": lambda row: session(staff=True),
    "staff with the right": lambda row: session(
        staff=True, rights=(RIGHTS[Scope(row.access)],) if row.access in Scope.values else ()
    ),
}
BY_SCOPE = {
    "anonymous": 401,
    "key without the scope": 403,
    "foreign guest": 401,
    "customer": 403,
    "staff without the right": 403,
}


def expected(row: Operation, role: str) -> int:
    """Say what somebody is answered who does not hold the cart or order that the request is about."""
    good = THROUGH.get(row.name, row.status)
    if row.access == PUBLIC:
        return good
    if row.access == ORDER:
        return 404
    if row.access == CART:
        if role != "foreign guest":
            return 422
        return 404 if row.parts else good
    return BY_SCOPE.get(role, good)


def ask(api: Api, row: Operation, world: World, **changes: Any) -> Any:
    path = row.path.format(**{**world.path, **changes})
    return api(row.method, path, world.body, **world.headers)


@pytest.fixture(autouse=True)
def _no_provider(settings) -> None:
    settings.STRIPE = replace(settings.STRIPE, api_base="http://127.0.0.1:9", max_network_retries=0)


def test_every_operation_has_a_world():
    assert set(WORLDS) == {row.name for row in operations()}


@pytest.mark.django_db
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("row", operations(), ids=lambda row: row.name)
def test_everybody_gets_what_they_may(row: Operation, role: str):
    world = WORLDS[row.name]()
    changes = {"token": FOREIGN} if row.access == ORDER else {}
    answer = ask(ROLES[role](row), row, world, **changes)
    assert answer.status_code == expected(row, role), answer.content


# What is answered about a cart that moved into an account in the very moment in which it was asked about.
MOVED = {
    "cart_show": 200,
    "cart_line_add": 409,
    "cart_line_change": 404,
    "cart_line_remove": 404,
    "cart_coupon_take": 409,
    "cart_coupon_remove": 200,
    "cart_quote": 409,
    "checkout": 409,
}


@pytest.mark.django_db
@pytest.mark.parametrize("state", ["empty", "same", "full", "no longer sold"])
@pytest.mark.parametrize("row", [row for row in operations() if row.access == CART], ids=lambda row: row.name)
def test_a_cart_that_moves_at_sign_in_meanwhile_is_no_failure(row: Operation, state, settings, monkeypatch):
    world = WORLDS[row.name]()
    guest = Cart.objects.get()
    user = User.objects.create_user("ada@example.org", "a long password")
    mine = cart_of_user(user)
    variant = guest.lines.get().variant
    if state != "empty":
        most = settings.SHOP.cart_max_quantity
        mine.lines.create(variant=variant, quantity=most if state == "full" else 1)
    if state == "no longer sold":
        Variant.objects.filter(pk=variant.pk).update(is_active=False)
    authorise = access.authorise

    def overtaken(call, who) -> None:
        authorise(call, who)
        cart_merge(user, guest.token)

    monkeypatch.setattr(access, "authorise", overtaken)
    answer = ask(world.holder, row, world)
    assert answer.status_code == MOVED[row.name], answer.content
    assert list(Cart.objects.all()) == [mine] and mine.lines.get().variant == variant


@pytest.mark.django_db
@pytest.mark.parametrize("row", [row for row in operations() if row.access in (CART, ORDER)], ids=lambda row: row.name)
def test_whoever_holds_the_token_may(row: Operation):
    world = WORLDS[row.name]()
    answer = ask(world.holder, row, world)
    assert answer.status_code == THROUGH.get(row.name, row.status), answer.content


@pytest.mark.django_db
@pytest.mark.parametrize("row", [row for row in operations() if row.access == CART], ids=lambda row: row.name)
def test_a_cart_s_token_that_is_nobody_s_is_not_found(row: Operation):
    assert ask(Api({"X-Cart-Token": FOREIGN}), row, WORLDS[row.name]()).status_code == 404


@pytest.mark.django_db
@pytest.mark.parametrize("row", [row for row in operations() if row.access == CART], ids=lambda row: row.name)
def test_the_cart_of_an_account_is_no_guest_s(row: Operation):
    world = WORLDS[row.name]()
    user = User.objects.create_user("owner@example.org", "a long password")
    Cart.objects.filter(token=world.holder.headers["X-Cart-Token"]).update(user=user)
    assert ask(world.holder, row, world).status_code == 404


NAMED = [row for row in operations() if row.access in Scope.values and row.parts]
NOBODY = {"number": "PP-00000000", "sku": "NO-SUCH", "slug": "no-such", "parcel": 999_999_999}


@pytest.mark.django_db
@pytest.mark.parametrize("row", NAMED, ids=lambda row: row.name)
def test_what_is_not_there_is_not_found_with_every_right(row: Operation):
    world = WORLDS[row.name]()
    nobody = {name: NOBODY[name] for name in row.parts}
    assert ask(with_key(*Scope), row, world, **nobody).status_code == 404


WRITING = [row for row in operations() if row.access in Scope.values and row.method != "GET"]


@pytest.mark.django_db
@pytest.mark.parametrize("row", WRITING, ids=lambda row: row.name)
def test_a_page_of_another_site_cannot_use_a_session(row: Operation):
    world, api = WORLDS[row.name](), session(staff=True, rights=(RIGHTS[Scope(row.access)],))
    before = list(Variant.objects.values())
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = ask(replace(api, headers=headers), row, world)
        assert answer.status_code == 403 and "another site" in answer.json()["detail"]
    assert list(Variant.objects.values()) == before


@pytest.mark.django_db
def test_an_account_that_was_closed_has_no_session():
    api = session(staff=True, rights=("orders.view_order",))
    assert api.get("/staff/orders").status_code == 200
    User.objects.update(is_active=False)
    assert api.get("/staff/orders").status_code == 401
