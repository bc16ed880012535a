"""Checkout: one form, then the provider's payment page."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from pasargad.cart.models import Cart
from pasargad.cart.selectors import cart_lines
from pasargad.orders.exceptions import OrderRefused
from pasargad.orders.models import Delivery
from pasargad.orders.services import order_place, price_lines

from ..caching import private
from ..cookies import cart_of, remember_cart
from ..forms import CheckoutForm, fresh_key
from ..limits import limited
from ..presenting import cart_view, quote
from .cart import see_other
from .paying import to_payment

BUSY = "Many people are buying the same goods right now. Please press the button again."


@private
@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
@limited("checkout")
def checkout(request: HttpRequest) -> HttpResponse:
    found = cart_of(request)
    if request.method != "POST":
        return _page(request, found, None) if cart_lines(found) else see_other(reverse("cart"))
    if found is None:
        return see_other(reverse("cart"))
    form = CheckoutForm(request.POST)
    if not form.is_valid():
        return _page(request, found, form, status=422)
    data = form.cleaned_data
    try:
        order = order_place(
            found, form.buyer(), key=data["idempotency_key"], agreed_total_minor=data["agree_total_minor"]
        )
    except OrderRefused as error:
        return _page(request, found, form, problems=[str(error)], status=422)
    except OperationalError:
        # The lock timeout: nothing was written, and the same key may try again.
        return _page(request, found, form, problems=[BUSY], status=503)
    response = to_payment(order)
    remember_cart(response, found, 0)
    return response


def _page(
    request: HttpRequest,
    cart: Cart | None,
    form: CheckoutForm | None,
    *,
    problems: list[str] | None = None,
    status: int = 200,
) -> HttpResponse:
    """Show the form with the price as it is now, which is the price that pressing the button agrees to."""
    lines = cart_lines(cart)
    delivery = _delivery(request)
    price = price_lines(lines, delivery)
    hidden: dict[str, Any] = {"agree_total_minor": _highest(lines), "idempotency_key": fresh_key()}
    if form is None:
        form = CheckoutForm(initial=hidden)
    else:
        typed = form.data.copy()
        typed["agree_total_minor"] = str(hidden["agree_total_minor"])
        form.data = typed
    view = cart_view(lines)
    context = {
        "form": form,
        "cart": view,
        "quote": quote(price, delivery),
        "idempotency_key": form["idempotency_key"].value(),
        "problems": [*(problems or []), *view.problems],
    }
    return render(request, "storefront/checkout.html", context, status=status)


def _delivery(request: HttpRequest) -> str:
    asked = request.POST.get("delivery") or request.GET.get("delivery") or Delivery.SHIPPING.value
    allowed = Delivery.values if settings.SHIPPING.pickup_enabled else [Delivery.SHIPPING.value]
    return asked if asked in allowed else Delivery.SHIPPING.value


def _highest(lines: list[Any]) -> int:
    """Return the total with shipping: who then chooses pickup pays less, which needs no second look."""
    return max(price_lines(lines, delivery).total for delivery in Delivery.values)
