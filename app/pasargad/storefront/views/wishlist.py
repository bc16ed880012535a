"""The wish list: an account's, or a guest's by a signed cookie."""

from __future__ import annotations

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe

from pasargad.catalog.models import Product
from pasargad.redirects import see_other
from pasargad.wishlist import services
from pasargad.wishlist.models import Wishlist
from pasargad.wishlist.selectors import wishlist_by_token, wishlist_cards

from .. import presenting
from ..caching import private
from ..limits import limited

COOKIE = "pp_wishlist"
SALT = "pasargad.wishlist"


@private
@require_safe
def wishlist(request: HttpRequest) -> HttpResponse:
    notices = {"added": _("It is on your wish list."), "removed": _("It is off your wish list.")}
    return _page(request, notice=notices.get(request.GET.get("done", ""), ""))


@private
@csrf_exempt
@require_POST
@limited("cart")
def wishlist_add(request: HttpRequest) -> HttpResponse:
    product = Product.objects.published().filter(slug=request.POST.get("product", "").replace("\0", "")[:120]).first()
    if product is None:
        raise Http404
    found = wishlist_of(request)
    if found is None:
        found = services.wishlist_create()
    try:
        services.wishlist_add(found, product)
    except services.WishlistRefused as error:
        return _page(request, problem=str(error), status=422)
    response = see_other(f"{reverse('wishlist')}?done=added")
    if found.user_id is None:
        remember(response, found)
    return response


@private
@csrf_exempt
@require_POST
@limited("cart")
def wishlist_remove(request: HttpRequest) -> HttpResponse:
    """Take a product off the shopper's own list; nobody else's can be named."""
    found = wishlist_of(request)
    if found is None:
        raise Http404
    services.wishlist_remove(found, request.POST.get("product", "").replace("\0", "")[:120])
    return see_other(f"{reverse('wishlist')}?done=removed")


def wishlist_of(request: HttpRequest) -> Wishlist | None:
    """Return the account's list, or the one that a guest's cookie names; a forged cookie names none."""
    if request.user.is_authenticated:
        return services.wishlist_of_user(request.user)
    token = guest_token(request)
    return wishlist_by_token(token) if token else None


def guest_token(request: HttpRequest) -> str:
    """Return the token of the guest's list, for whoever logs in and merges it."""
    return str(request.get_signed_cookie(COOKIE, default="", salt=SALT, max_age=settings.SHOP.cart_cookie_age_seconds))


def remember(response: HttpResponse, wishlist: Wishlist) -> None:
    age, secure = settings.SHOP.cart_cookie_age_seconds, settings.SESSION_COOKIE_SECURE
    response.set_signed_cookie(
        COOKIE, str(wishlist.token), salt=SALT, max_age=age, secure=secure, httponly=True, samesite="Lax"
    )


def _page(request: HttpRequest, *, notice: str = "", problem: str = "", status: int = 200) -> HttpResponse:
    rows = wishlist_cards(wishlist_of(request))
    context = {
        "wishes": [(row.slug, presenting.card(row)) for row in rows],
        "notice": notice,
        "problems": [problem] if problem else [],
    }
    return render(request, "storefront/wishlist.html", context, status=status)
