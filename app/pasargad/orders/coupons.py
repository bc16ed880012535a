"""Coupons in a cart: a code is kept only if it is worth something to this shopper now."""

from __future__ import annotations

import re

from django.conf import settings
from django.utils.translation import gettext

from pasargad.cart.models import Cart
from pasargad.cart.selectors import cart_lines
from pasargad.cart.services import cart_coupon_set
from pasargad.promotions.rules import Refusal, Shopper
from pasargad.promotions.services import customer_key
from pasargad.promotions.wording import say

from .quoting import Wish, quote_lines
from .selectors import has_ordered

CODE = re.compile(r"[A-Z0-9-]{1,40}")


def coupon_take(cart: Cart, typed: str, shopper: Shopper, wish: Wish) -> str:
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


def shopper_of(cart: Cart | None) -> Shopper:
    """Say who buys, as far as the cart's account proves; what a guest types changes no price."""
    user = cart.user if cart and cart.user_id else None
    if user is None:
        return Shopper()
    key = customer_key(user.email)
    return Shopper(key, logged_in=True, has_ordered=has_ordered(key))
