"""The coupon field of the cart's page."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from pasargad.cart.services import cart_coupon_set
from pasargad.orders.coupons import coupon_take, shopper_of
from pasargad.orders.quoting import Wish
from pasargad.redirects import see_other_url

from ..caching import private
from ..cookies import cart_of
from ..limits import limited


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
    refused = coupon_take(found, typed, shopper_of(found), Wish())
    if refused:
        return cart_page(request, found, coupon_typed=typed[:60], coupon_errors=[refused], status=422)
    return see_other_url("cart", done="coupon")
