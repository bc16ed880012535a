"""Checkout: one form, then the provider's payment page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language, gettext
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST

from pasargad.cart.models import Cart
from pasargad.cart.selectors import cart_lines
from pasargad.cart.services import cart_coupon_set, cart_refill
from pasargad.orders.coupons import coupon_take, shopper_of
from pasargad.orders.exceptions import OrderOver, OrderRefused
from pasargad.orders.models import OrderLine
from pasargad.orders.quoting import quote_lines
from pasargad.orders.services import order_place
from pasargad.redirects import see_other
from pasargad.shipping.selectors import countries_served

from ..caching import private
from ..cookies import cart_of, remember_cart
from ..forms import CheckoutForm, fresh_key
from ..limits import limited
from ..presenting import cart_view, quote_view
from .known import address_choices, address_note, known_details, may_save_address
from .paying import to_payment
from .wishes import wish_of


@private
@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
@limited("checkout")
def checkout(request: HttpRequest) -> HttpResponse:
    found = cart_of(request)
    if request.method != "POST":
        return _page(request, found, known_details(request)) if cart_lines(found) else see_other(reverse("cart"))
    if found is None:
        return see_other(reverse("cart"))
    form = CheckoutForm(request.POST, countries=countries_served())
    if refused := _coupon_typed(request, found):
        form.add_error("coupon", refused)
    if not form.is_valid():
        return _page(request, found, request.POST, form=form, status=422)
    data = form.cleaned_data
    try:
        order = order_place(
            found,
            form.buyer(),
            key=data["idempotency_key"],
            agreed_total_minor=data["agree_total_minor"],
            language=get_language() or "",
        )
    except OrderOver as over:
        return _anew(request, found, over)
    except OrderRefused as error:
        return _page(request, found, request.POST, form=form, problems=[str(error)], status=422)
    except OperationalError:
        # The lock timeout: nothing was written, and the same key may try again.
        busy = gettext("Many people are buying the same goods right now. Please press the button again.")
        return _page(request, found, request.POST, form=form, problems=[busy], status=503)
    address_note(request, data)
    response = to_payment(order)
    remember_cart(response, found, 0)
    return response


@private
@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
@limited("cart")
def checkout_quote(request: HttpRequest) -> HttpResponse:
    """Show the form again with the prices of what was chosen; nothing is changed, so nothing can be sent twice."""
    found = cart_of(request)
    if request.method != "POST" or not cart_lines(found):
        return see_other(reverse("checkout"))
    return _page(request, found, request.POST)


@private
@csrf_exempt
@require_POST
@limited("checkout")
def checkout_coupon(request: HttpRequest) -> HttpResponse:
    """Take a coupon into the cart, or out of it, and show the form again with what was typed."""
    found = cart_of(request)
    if found is None or not cart_lines(found):
        return see_other(reverse("cart"))
    if "remove" in request.POST:
        cart_coupon_set(found, "")
        return _page(request, found, request.POST)
    form = None
    refused = _coupon_typed(request, found, required=True)
    if refused:
        form = _unbound(request.POST, countries_served())
        return _page(request, found, request.POST, form=form, coupon_errors=[refused], status=422)
    return _page(request, found, request.POST)


def _anew(request: HttpRequest, cart: Cart, over: OrderOver) -> HttpResponse:
    """Show the form of an order that was given up as a new one: with its goods, unless the cart holds others by now."""
    if not cart_lines(cart):
        pieces = OrderLine.objects.filter(order_id=over.order_id).values_list("variant_id", "quantity")
        cart_refill(cart, dict(pieces))
    response = _page(request, cart, {**request.POST.dict(), "idempotency_key": ""}, problems=[str(over)], status=422)
    remember_cart(response, cart, sum(line.quantity for line in cart_lines(cart)))
    return response


def _coupon_typed(request: HttpRequest, cart: Cart, *, required: bool = False) -> str:
    """Take the coupon that was typed, if any, into the cart; returns why it was refused."""
    typed = request.POST.get("coupon", "")
    if not typed.strip():
        return gettext("Please type a coupon code.") if required else ""
    return coupon_take(cart, typed, shopper_of(cart), wish_of(request.POST, countries_served()))


def _page(
    request: HttpRequest,
    cart: Cart | None,
    typed: Mapping[str, Any],
    *,
    form: CheckoutForm | None = None,
    problems: list[str] | None = None,
    coupon_errors: list[str] | None = None,
    status: int = 200,
) -> HttpResponse:
    """Show the form with the price as it is now, which is the price that pressing the button agrees to."""
    countries = countries_served()
    lines = cart_lines(cart)
    coupon = cart.coupon_code if cart else ""
    found = quote_lines(lines, wish_of(typed, countries), coupon=coupon, shopper=shopper_of(cart))
    if form is None:
        form = _unbound(typed, countries)
    if form.is_bound:
        data = form.data.copy()
        data["agree_total_minor"] = str(found.price.total)
        form.data = data
        coupon_errors = [*(coupon_errors or []), *(str(error) for error in form.errors.get("coupon", []))]
    else:
        form.initial["agree_total_minor"] = found.price.total
    view = cart_view(lines)
    context = {
        "form": form,
        "cart": view,
        "quote": quote_view(found),
        "idempotency_key": form["idempotency_key"].value(),
        "problems": [*(problems or []), *view.problems],
        "coupon_errors": coupon_errors or [],
        "coupon_typed": str(typed.get("coupon", ""))[:60],
        "address_choices": address_choices(request),
        "may_save_address": may_save_address(request),
    }
    return render(request, "storefront/checkout.html", context, status=status)


def _unbound(typed: Mapping[str, Any], countries: list[str]) -> CheckoutForm:
    """Return the form with what was typed and without complaints about what is still missing."""
    names = CheckoutForm.base_fields.keys()
    initial: dict[str, Any] = {name: typed[name] for name in names if name in typed}
    key = str(initial.get("idempotency_key", ""))
    initial["idempotency_key"] = key if len(key) == 32 else fresh_key()
    return CheckoutForm(initial=initial, countries=countries)
