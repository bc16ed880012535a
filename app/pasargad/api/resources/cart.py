"""A guest's cart: whoever holds its token has it."""

from __future__ import annotations

from django.db import transaction

from pasargad.cart import services
from pasargad.cart.exceptions import CartRefused
from pasargad.cart.models import Cart, CartLine
from pasargad.cart.selectors import cart_lines
from pasargad.catalog.models import Variant
from pasargad.catalog.places import Destination
from pasargad.orders.coupons import coupon_take, shopper_of
from pasargad.orders.quoting import Wish, quote_lines

from .. import answers, showing
from ..etags import require_match
from ..operations import CART, PUBLIC, Call, operation
from ..problems import Problem
from ..schemas import CouponToTake, LineToAdd, LineToChange, PlaceOnly, QuoteWanted


@operation(
    "POST",
    "/carts",
    tag="Cart",
    summary="Begin a cart",
    access=PUBLIC,
    status=201,
    answer=answers.CartMade,
    limit="cart",
    keyed=True,
)
def cart_make(call: Call) -> answers.CartMade:
    made = services.cart_create()
    return answers.CartMade(token=made.token.hex, cart=showing.cart(made))


@operation(
    "GET", "/cart", tag="Cart", summary="What is in the cart", access=CART, answer=answers.CartShown, limit="cart"
)
def cart_show(call: Call) -> answers.CartShown:
    return showing.cart(call.cart)


@operation(
    "POST",
    "/cart/lines",
    tag="Cart",
    summary="Put pieces into the cart, beside those that are there",
    access=CART,
    body=LineToAdd,
    answer=answers.CartShown,
    status=201,
    limit="cart",
    keyed=True,
    refusals=True,
)
def cart_line_add(call: Call) -> answers.CartShown:
    body: LineToAdd = call.body
    variant = Variant.objects.select_related("product").filter(sku=body.sku, product__state="published").first()
    if variant is None:
        raise Problem("refused", "There is no such article.")
    try:
        services.cart_add(call.cart, variant, body.quantity)
    except CartRefused as error:
        raise Problem("refused", str(error)) from error
    return showing.cart(call.cart)


@operation(
    "PATCH",
    "/cart/lines/{line}",
    tag="Cart",
    summary="Set how many pieces a line has",
    access=CART,
    body=LineToChange,
    answer=answers.CartShown,
    limit="cart",
    guarded="optional",
    refusals=True,
)
def cart_line_change(call: Call) -> answers.CartShown:
    return _set(call, call.body.quantity)


@operation(
    "DELETE",
    "/cart/lines/{line}",
    tag="Cart",
    summary="Take a line out",
    access=CART,
    answer=answers.CartShown,
    limit="cart",
    guarded="optional",
)
def cart_line_remove(call: Call) -> answers.CartShown:
    return _set(call, 0)


def _set(call: Call, quantity: int) -> answers.CartShown:
    with transaction.atomic():
        try:
            services.cart_hold(call.cart)
        except Cart.DoesNotExist:
            # A sign-in has moved it into an account since it was found.
            raise Problem("not-found", "There is no such cart.") from None
        require_match(call.request, showing.cart(call.cart), demanded=False)
        try:
            services.cart_set(call.cart, int(call.path["line"]), quantity)
        except CartLine.DoesNotExist:
            raise Problem("not-found", "There is no such line in this cart.") from None
        except CartRefused as error:
            raise Problem("refused", str(error)) from error
    return showing.cart(call.cart)


@operation(
    "PUT",
    "/cart/coupon",
    tag="Cart",
    summary="Take a coupon into the cart",
    access=CART,
    body=CouponToTake,
    answer=answers.CartShown,
    limit="checkout",
    refusals=True,
)
def cart_coupon_take(call: Call) -> answers.CartShown:
    if refused := coupon_take(call.cart, call.body.code, shopper_of(call.cart), Wish()):
        raise Problem("refused", refused)
    return showing.cart(call.cart)


@operation(
    "DELETE",
    "/cart/coupon",
    tag="Cart",
    summary="Take the coupon out",
    access=CART,
    answer=answers.CartShown,
    limit="cart",
)
def cart_coupon_remove(call: Call) -> answers.CartShown:
    services.cart_coupon_set(call.cart, "")
    return showing.cart(call.cart)


@operation(
    "POST",
    "/cart/quote",
    tag="Cart",
    summary="What the cart costs, sent there or collected: shipping, tax, total",
    access=CART,
    body=QuoteWanted,
    answer=answers.QuoteShown,
    limit="cart",
    refusals=True,
)
def cart_quote(call: Call) -> answers.QuoteShown:
    body: QuoteWanted = call.body
    lines = cart_lines(call.cart)
    if not lines:
        raise Problem("refused", "The cart is empty.")
    wanted = body.delivery
    if isinstance(wanted, PlaceOnly):
        wish = Wish("shipping", Destination(wanted.country, wanted.state, wanted.zip), wanted.method)
    else:
        wish = Wish("pickup", point=wanted.point)
    found = quote_lines(lines, wish, coupon=call.cart.coupon_code, shopper=shopper_of(call.cart))
    return showing.quote(found)
