"""Reviews: read by everybody, written by those who bought, through the link of their order or their account."""

from __future__ import annotations

import re

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_safe

from pasargad.catalog import selectors
from pasargad.catalog.models import Kind
from pasargad.orders.models import Order
from pasargad.redirects import see_other
from pasargad.reviews.exceptions import ReviewRefused
from pasargad.reviews.selectors import bought_with, order_to_review, reviews_of
from pasargad.reviews.services import review_write

from .. import presenting
from ..caching import private, shared
from ..forms import AccessibleForm
from ..limits import limited
from ..links import order_of_link
from ..presenting import Crumb
from ..review_forms import ReviewForm
from .lists import moved

PAGE_SIZE = 20
NUMBER = re.compile(r"[1-9][0-9]{0,3}")


@shared
@require_safe
def reviews(request: HttpRequest, slug: str) -> HttpResponse:
    """All reviews of a product, a page at a time."""
    product = selectors.product_detail(slug)
    if product is None:
        if now := selectors.slug_now(Kind.PRODUCT, slug):
            return moved(request, reverse("reviews", args=[now]))
        raise Http404
    asked = request.GET.get("page", "1")
    if not NUMBER.fullmatch(asked):
        raise Http404
    number = int(asked)
    found = reviews_of(product.id, first=(number - 1) * PAGE_SIZE, count=PAGE_SIZE + 1)
    if number > 1 and not found:
        raise Http404
    path = reverse("reviews", args=[slug])
    tree = selectors.category_tree()
    way = presenting.crumbs(selectors.branch_path(tree, product.category.slug))
    context = {
        "product": product,
        "navigation": presenting.nodes(tree),
        "rating": presenting.rating(product.rating_sum, product.rating_count),
        "reviews": presenting.reviews(found[:PAGE_SIZE]),
        "breadcrumbs": (*way, Crumb(product.name, presenting.product_url(slug)), Crumb(_("Reviews"), path)),
        "previous_url": "" if number == 1 else path if number == 2 else f"{path}?page={number - 1}",
        "next_url": f"{path}?page={number + 1}" if len(found) > PAGE_SIZE else "",
    }
    return render(request, "storefront/reviews.html", context)


@private
@require_safe
def review_start(request: HttpRequest, slug: str) -> HttpResponse:
    """From a product to the order that brought it: of the account, or by the link in the order's mails."""
    product = selectors.product_detail(slug)
    if product is None:
        raise Http404
    if order := order_to_review(request.user, slug):
        return see_other(reverse("order_review", args=[order.token, slug]))
    return render(request, "storefront/review_start.html", {"product": product})


@private
@require_safe
@limited("order_lookup", methods=("GET",))
def order_reviews(request: HttpRequest, token: str) -> HttpResponse:
    """What of an order can be reviewed."""
    order = order_of_link(token)
    context = {
        "order": order,
        "bought": bought_with(order),
        "notice": _("Thank you. We read every review before it is shown.") if request.GET.get("done") else "",
    }
    return render(request, "storefront/order_reviews.html", context)


@private
@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
@limited("cart")
def order_review(request: HttpRequest, token: str, slug: str) -> HttpResponse:
    """Write a review, or write it anew."""
    order = order_of_link(token)
    found = next((item for item in bought_with(order) if item.product.slug == slug), None)
    if found is None:
        raise Http404
    form: AccessibleForm
    if request.method == "POST":
        form = ReviewForm(request.POST)
        if form.is_valid():
            try:
                review_write(order=order, product_id=found.product.pk, **form.cleaned_data)
            except ReviewRefused as error:
                form.add_error(None, str(error))
            else:
                return see_other(f"{reverse('order_reviews', args=[token])}?done=1")
        return _form(request, order, found.product.name, form, status=422)
    known = found.review
    words = ("rating", "author", "title", "text")
    initial = {name: getattr(known, name) for name in words} if known else {"author": order.name.split(" ")[0]}
    return _form(request, order, found.product.name, ReviewForm(initial=initial))


def _form(request: HttpRequest, order: Order, name: str, form: AccessibleForm, *, status: int = 200) -> HttpResponse:
    context = {"order": order, "product_name": name, "form": form}
    return render(request, "storefront/order_review.html", context, status=status)
