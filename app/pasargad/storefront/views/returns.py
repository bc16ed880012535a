"""Returning goods: on the order's own pages, so only for those who hold its link."""

from __future__ import annotations

from contextlib import suppress

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST

from pasargad.orders.exceptions import IllegalTransition, ReturnRefused
from pasargad.orders.models import Order
from pasargad.orders.presenting import order_view
from pasargad.orders.return_models import ReturnRequest
from pasargad.orders.returns import return_request, returnable_lines
from pasargad.orders.returns import return_withdraw as withdraw
from pasargad.redirects import see_other

from ..caching import private
from ..forms import fresh_key
from ..limits import limited
from ..links import order_of_link
from ..return_forms import ReturnForm


@private
@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
@limited("order_lookup")
def order_returns(request: HttpRequest, token: str) -> HttpResponse:
    """Ask for pieces to be taken back."""
    order = order_of_link(token)
    lines = returnable_lines(order)
    own_page = reverse("order", args=[token])
    if request.method != "POST":
        form = ReturnForm(lines=lines, initial={"request_key": fresh_key()})
        return _page(request, order, form) if lines else see_other(own_page)
    key = request.POST.get("request_key", "").replace("\0", "")
    if ReturnRequest.objects.filter(order=order, request_key=key).exists():
        # The second click of a button that was pressed twice.
        return see_other(own_page)
    form = ReturnForm(request.POST, lines=lines)
    if not form.is_valid():
        return _page(request, order, form, status=422)
    try:
        return_request(order.pk, form.wish(), key=form.cleaned_data["request_key"])
    except ReturnRefused as error:
        form.add_error(None, str(error))
        return _page(request, order, form, status=422)
    return see_other(own_page)


@private
@csrf_exempt
@require_POST
@limited("order_lookup")
def return_withdraw(request: HttpRequest, token: str, number: str) -> HttpResponse:
    """Take a return back; one that went on meanwhile is shown as it is."""
    order = order_of_link(token)
    found = ReturnRequest.objects.filter(order=order, number=int(number)).first()
    if found is None:
        raise Http404
    with suppress(IllegalTransition):
        withdraw(found.pk)
    return see_other(reverse("order", args=[token]))


def _page(request: HttpRequest, order: Order, form: ReturnForm, *, status: int = 200) -> HttpResponse:
    context = {"order": order_view(order), "form": form}
    return render(request, "storefront/order_returns.html", context, status=status)
