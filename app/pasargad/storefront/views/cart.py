"""The cart: every change is a POST that ends in a redirect, so that loading a page again repeats nothing."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext_lazy
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe

from pasargad.cart import services
from pasargad.cart.exceptions import CartRefused
from pasargad.cart.models import Cart, CartLine
from pasargad.cart.selectors import cart_lines
from pasargad.catalog.models import Variant
from pasargad.orders.coupons import shopper_of
from pasargad.orders.quoting import Wish, quote_lines
from pasargad.redirects import see_other

from ..caching import private
from ..cookies import COUNT, cart_of, cart_of_or_new, remember_cart
from ..forms import AddToCartForm, QuantityForm
from ..limits import limited
from ..presenting import CartView, cart_view, quote_view
from .catalog import product_page

NOTICES = {
    "added": gettext_lazy("Added to your cart."),
    "changed": gettext_lazy("Your cart was changed."),
    "restored": gettext_lazy("Your goods are back in the cart."),
    "coupon": gettext_lazy("Your coupon is applied."),
    "coupon_removed": gettext_lazy("The coupon was taken out."),
}


@private
@require_safe
def cart(request: HttpRequest) -> HttpResponse:
    notice = str(NOTICES.get(request.GET.get("done", ""), ""))
    found = cart_of(request)
    response = cart_page(request, found, notice=notice)
    if found is None and COUNT in request.COOKIES:
        # The cart was an account's, and its session has ended.
        response.delete_cookie(COUNT, samesite="Lax")
    return response


@private
@csrf_exempt
@require_POST
@limited("cart")
def cart_add(request: HttpRequest) -> HttpResponse:
    """Put goods into the cart; a refused quantity shows the product page again, with what was typed."""
    form = AddToCartForm(request.POST)
    variant = _variant(request.POST.get("variant", ""))
    if form.is_valid():
        found = cart_of_or_new(request)
        try:
            services.cart_add(found, variant, form.cleaned_data["quantity"])
        except CartRefused as error:
            form.add_error("quantity", str(error))
        else:
            response = see_other(f"{reverse('cart')}?done=added")
            remember_cart(response, found, sum(line.quantity for line in cart_lines(found)))
            return response
    return product_page(request, variant.product, sku=variant.sku, form=form, status=422)


@private
@csrf_exempt
@require_POST
@limited("cart")
def cart_line(request: HttpRequest, line_id: int) -> HttpResponse:
    """Change how many pieces a line has; a line of somebody else's cart does not exist."""
    found = cart_of(request)
    if found is None:
        raise Http404
    form = QuantityForm(request.POST)
    errors = [] if form.is_valid() else [str(error) for error in form.errors["quantity"]]
    if not errors:
        try:
            services.cart_set(found, line_id, form.cleaned_data["quantity"])
        except CartLine.DoesNotExist:
            raise Http404 from None
        except CartRefused as error:
            errors = [str(error)]
    lines = cart_lines(found)
    if errors:
        view = cart_view(lines)
        for line in view.lines:
            if line.id == line_id:
                line.errors, line.typed = errors, request.POST.get("quantity", "")[:10]
        return cart_page(request, found, view=view, status=422)
    response = see_other(f"{reverse('cart')}?done=changed")
    remember_cart(response, found, sum(line.quantity for line in lines))
    return response


def cart_page(
    request: HttpRequest,
    found: Cart | None,
    *,
    view: CartView | None = None,
    notice: str = "",
    coupon_typed: str = "",
    coupon_errors: list[str] | None = None,
    status: int = 200,
) -> HttpResponse:
    """Show the cart with what promotions take off; where it goes, and so the rest of the price, is asked later."""
    lines = cart_lines(found)
    view = view or cart_view(lines)
    quote = None
    if found and lines:
        quote = quote_view(quote_lines(lines, Wish(), coupon=found.coupon_code, shopper=shopper_of(found)))
    context = {
        "cart": view,
        "quote": quote,
        "notice": notice,
        "problems": view.problems,
        "coupon_typed": coupon_typed,
        "coupon_errors": coupon_errors or [],
    }
    return render(request, "storefront/cart.html", context, status=status)


def _variant(sku: str) -> Variant:
    found = (
        Variant.objects.select_related("product__category", "product__cover")
        .filter(sku=sku.replace("\0", "")[:40])
        .first()
    )
    if found is None or found.product.state != "published":
        raise Http404
    return found
