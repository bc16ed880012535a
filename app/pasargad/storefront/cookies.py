"""The two cookies of a cart: a guest's signed token, and the number of pieces for a script to show.

An account's cart has no token in a cookie: who signs out leaves nothing behind that opens it.
"""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from pasargad.cart.models import Cart
from pasargad.cart.selectors import cart_by_token, cart_of_account
from pasargad.cart.services import cart_create, cart_of_user

CART = "pp_cart"
COUNT = "pp_cart_count"
SALT = "pasargad.cart"


def guest_cart_token(request: HttpRequest) -> str:
    """Return the token of the guest's cart, for whoever signs in and merges it; "" for a forged cookie."""
    age = settings.SHOP.cart_cookie_age_seconds
    return str(request.get_signed_cookie(CART, default="", salt=SALT, max_age=age))


def cart_of(request: HttpRequest) -> Cart | None:
    """Return the account's cart, or the one that a guest's cookie names; a forged or foreign cookie names none."""
    if request.user.is_authenticated:
        return cart_of_account(request.user.pk)
    token = guest_cart_token(request)
    return cart_by_token(token) if token else None


def cart_of_or_new(request: HttpRequest) -> Cart:
    if request.user.is_authenticated:
        return cart_of_user(request.user)
    return cart_of(request) or cart_create()


def remember_cart(response: HttpResponse, cart: Cart, pieces: int) -> None:
    age, secure = settings.SHOP.cart_cookie_age_seconds, settings.SESSION_COOKIE_SECURE
    if cart.user_id is None:
        response.set_signed_cookie(
            CART, str(cart.token), salt=SALT, max_age=age, secure=secure, httponly=True, samesite="Lax"
        )
    response.set_cookie(COUNT, str(pieces), max_age=age, secure=secure, httponly=False, samesite="Lax")
