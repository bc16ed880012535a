"""Coupons in a cart: a code is kept only if it is worth something to this shopper now."""

from __future__ import annotations

import re

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from pasargad.cart.models import Cart
from pasargad.cart.selectors import cart_lines
from pasargad.cart.services import cart_coupon_set
from pasargad.orders.quoting import Wish, quote_lines
from pasargad.orders.selectors import has_ordered
from pasargad.promotions.rules import Refusal, Shopper
from pasargad.promotions.services import customer_key
from pasargad.promotions.wording import say

from ..caching import private
from ..cookies import cart_of
from ..limits import limited
from ..redirects import see_other_url

CODE = re.compile(r"[A-Z0-9-]{1,40}")


@private
@csrf_exempt
@require_POST
@limited("checkout")
def cart_coupon(request: HttpRequest) -> HttpResponse:
    """Take a coupon into the cart, or out of it; a refused one shows the cart again, with what was typed."""
    from .cart import cart_page

    found = cart_of(request)
    if found is None:
        return see_other_url("cart")
    if "remove" in request.POST:
        cart_coupon_set(found, "")
        return see_other_url("cart", done="coupon_removed")
    typed = request.POST.get("coupon", "")
    refused = take_coupon(found, typed, shopper_of(found, ""), Wish())
    if refused:
        return cart_page(request, found, coupon_typed=typed[:60], coupon_errors=[refused], status=422)
    return see_other_url("cart", done="coupon")


def take_coupon(cart: Cart, typed: str, shopper: Shopper, wish: Wish) -> str:
    """Keep a coupon in the cart; returns why it was refused, in words for the shopper, or ""."""
    code = "".join(typed.split()).upper()
    if not code:
        return gettext("Please type a coupon code.")
    if not CODE.fullmatch(code):
        return say(Refusal.UNKNOWN, code[:40], None, settings.SHOP.currency)
    quote = quote_lines(cart_lines(cart), wish, coupon=code, shopper=shopper)
    if not quote.coupon_problem:
        cart_coupon_set(cart, code)
    return quote.coupon_problem


def shopper_of(cart: Cart | None, email: str) -> Shopper:
    """Say who buys, as far as the cart's account or the typed address tells."""
    user = cart.user if cart and cart.user_id else None
    key = customer_key(user.email if user else email[:254])
    return Shopper(key, logged_in=user is not None, has_ordered=has_ordered(key))
