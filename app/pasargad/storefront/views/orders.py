"""An order's own pages: whoever holds the link (128 random bits) sees it, nobody else."""

from __future__ import annotations

import logging

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from pasargad.cart.selectors import cart_lines
from pasargad.cart.services import cart_refill
from pasargad.orders.models import Order, Status
from pasargad.orders.presenting import order_view
from pasargad.orders.returns import returnable_lines
from pasargad.orders.selectors import order_by_number
from pasargad.payments.exceptions import PaymentError
from pasargad.payments.models import PaymentAttempt
from pasargad.payments.services import order_withdraw, payment_check, payment_start
from pasargad.redirects import see_other
from pasargad.shipments.selectors import shipments_of

from ..caching import private
from ..cookies import cart_of_or_new, remember_cart
from ..forms import OrderFindForm
from ..limits import limited
from ..links import order_of_link
from ..return_forms import return_views
from .paying import payment_address, return_url, to_payment

logger = logging.getLogger(__name__)
UNAVAILABLE = gettext_lazy("The payment service does not answer at the moment. Nothing was charged; please try again.")


@private
@require_safe
@limited("order_lookup", methods=("GET",))
def order(request: HttpRequest, token: str) -> HttpResponse:
    found = order_of_link(token)
    if request.GET.get("payment") == "here" and found.status == Status.AWAITING_PAYMENT:
        return _own_payment_page(request, found)
    attempt = _latest(found)
    error = str(UNAVAILABLE) if request.GET.get("payment") == "unavailable" else (attempt.error if attempt else "")
    running = bool(attempt and attempt.status == PaymentAttempt.Status.PROCESSING)
    view = order_view(found, payment_error=error, payment_running=running)
    context = {
        "order": view,
        "shipments": shipments_of(found),
        "returns": return_views(found),
        "can_return": bool(returnable_lines(found)),
    }
    return render(request, "storefront/order.html", context)


@private
@csrf_exempt
@require_POST
@limited("checkout")
def order_pay(request: HttpRequest, token: str) -> HttpResponse:
    return to_payment(order_of_link(token))


@private
@csrf_exempt
@require_POST
@limited("checkout")
def order_cancel(request: HttpRequest, token: str) -> HttpResponse:
    """Cancel an order that was not paid and put its goods back into the cart."""
    found = order_withdraw(order_of_link(token).pk, actor="shopper")
    if found.status != Status.CANCELLED:
        return see_other(reverse("order", args=[token]))
    cart = cart_of_or_new(request)
    cart_refill(cart, {line.variant_id: line.quantity for line in found.lines.all()})
    response = see_other(f"{reverse('cart')}?done=restored")
    remember_cart(response, cart, sum(line.quantity for line in cart_lines(cart)))
    return response


@private
@require_safe
@limited("order_lookup", methods=("GET",))
def order_return(request: HttpRequest, token: str) -> HttpResponse:
    """Where the provider sends shoppers back to: ask it what happened, believe nothing in the address."""
    found = order_of_link(token)
    attempt = _latest(found)
    try:
        if attempt and found.status == Status.AWAITING_PAYMENT:
            payment_check(attempt, actor="return")
    except PaymentError as error:
        # The webhook or the reconciler will tell.
        logger.warning("cannot ask about a payment", extra={"order": found.number, "reason": str(error)})
    return see_other(reverse("order", args=[token]))


@private
@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
@limited("order_lookup")
def order_find(request: HttpRequest) -> HttpResponse:
    """Find an order by its number and mail address; which of the two is wrong is not told."""
    if request.method != "POST":
        return render(request, "storefront/order_find.html", {"form": OrderFindForm()})
    form = OrderFindForm(request.POST)
    if form.is_valid():
        found = order_by_number(form.cleaned_data["number"], form.cleaned_data["email"])
        if found:
            return see_other(reverse("order", args=[found.token]))
        form.add_error(None, gettext("We know no order with this number and mail address."))
    return render(request, "storefront/order_find.html", {"form": form}, status=422)


def _own_payment_page(request: HttpRequest, order: Order) -> HttpResponse:
    """Take the card on our page, by the provider's script, where the provider has no page of its own."""
    try:
        attempt = payment_start(order.pk)
    except PaymentError:
        return see_other(f"{reverse('order', args=[order.token])}?payment=unavailable")
    if address := payment_address(order, attempt):
        return see_other(address)
    context = {
        "order": order_view(order),
        "client_secret": attempt.client_secret,
        "publishable_key": settings.STRIPE.publishable_key,
        "return_url": return_url(order),
    }
    response = render(request, "storefront/pay.html", context)
    response._csp_update = {  # type: ignore[attr-defined]
        "script-src": ["https://js.stripe.com"],
        "frame-src": ["https://js.stripe.com", "https://hooks.stripe.com"],
        "connect-src": ["'self'", "https://api.stripe.com"],
    }
    return response


def _latest(order: Order) -> PaymentAttempt | None:
    return PaymentAttempt.objects.filter(order=order).order_by("-number").first()
