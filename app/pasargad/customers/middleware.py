"""What signing in and out does to cookies, and the second factor of staff."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from pasargad.accounts import second_factor
from pasargad.cart.selectors import cart_lines, cart_of_account
from pasargad.languages import without_prefix
from pasargad.redirects import see_other
from pasargad.storefront.cookies import CART, COUNT, remember_cart
from pasargad.storefront.views.wishlist import COOKIE as WISHLIST

GetResponse = Callable[[HttpRequest], HttpResponse]
SIGNED_IN, SIGNED_OUT = "in", "out"


class PersonalCookies:
    """Takes away a guest's cookies once their carts and lists are the account's, and everything at sign-out.

    The receivers of Django's signals note on the request what happened: every way of signing in passes them.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if without_prefix(request.path).startswith("/account/"):
            response.headers.setdefault("Cache-Control", "private, no-store")
        happened = getattr(request, "pasargad_signed", "")
        if not happened:
            return response
        for name in (CART, WISHLIST, COUNT):
            if name in request.COOKIES:
                response.delete_cookie(name, samesite="Lax")
        if happened == SIGNED_IN and request.user.is_authenticated:
            cart = cart_of_account(request.user.pk)
            if cart is not None:
                remember_cart(response, cart, sum(line.quantity for line in cart_lines(cart)))
        return response


class StaffSecondFactor:
    """Lets staff on their pages only with a second factor that was used in this session; leads to what is missing."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        if not settings.STAFF_SECOND_FACTOR or not request.path.startswith(f"/{settings.ADMIN_URL_PATH}/"):
            return None
        user = request.user
        # Whoever is not staff is sent away by the pages themselves; signing out is always possible.
        if not user.is_authenticated or not user.is_staff or request.path == reverse("admin:logout"):
            return None
        if not second_factor.is_set_up(user):
            return see_other(reverse("mfa_index"))
        if second_factor.was_used(request):
            return None
        onward = urlencode({"next": request.get_full_path() if request.method == "GET" else reverse("admin:index")})
        step = "mfa_reauthenticate_webauthn" if second_factor.has_keys_only(user) else "mfa_reauthenticate"
        return see_other(f"{reverse(step)}?{onward}")
