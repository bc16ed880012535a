"""The two cookies of a guest: the signed token of the cart, and the number of pieces for a script to show."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from pasargad.cart.models import Cart
from pasargad.cart.selectors import cart_by_token
from pasargad.cart.services import cart_create

CART = "pp_cart"
COUNT = "pp_cart_count"
SALT = "pasargad.cart"


def cart_of(request: HttpRequest) -> Cart | None:
    """Return the cart that the shopper's cookie names; a forged or foreign cookie names none."""
    token = request.get_signed_cookie(CART, default="", salt=SALT, max_age=settings.SHOP.cart_cookie_age_seconds)
    return cart_by_token(token) if token else None


def cart_of_or_new(request: HttpRequest) -> Cart:
    return cart_of(request) or cart_create()


def remember_cart(response: HttpResponse, cart: Cart, pieces: int) -> None:
    age, secure = settings.SHOP.cart_cookie_age_seconds, settings.SESSION_COOKIE_SECURE
    response.set_signed_cookie(
        CART, str(cart.token), salt=SALT, max_age=age, secure=secure, httponly=True, samesite="Lax"
    )
    response.set_cookie(COUNT, str(pieces), max_age=age, secure=secure, httponly=False, samesite="Lax")
