"""The customer's own area: everything in it belongs to whoever is signed in, and to nobody else."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from allauth.account.decorators import reauthentication_required
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from pasargad.accounts import services
from pasargad.accounts.exceptions import AddressRefused
from pasargad.accounts.models import Address, User
from pasargad.accounts.selectors import addresses_of, verified_emails
from pasargad.orders.models import Order
from pasargad.orders.presenting import order_summary
from pasargad.orders.selectors import orders_of
from pasargad.privacy.erasing import ErasureRefused, account_erase, erasure_obstacles
from pasargad.privacy.exporting import export_of
from pasargad.redirects import see_other
from pasargad.reminders.selectors import agreed
from pasargad.reminders.services import consent_set
from pasargad.storefront.caching import private

from .forms import AddressForm, EraseForm, ProfileForm, RemindersForm

P = ParamSpec("P")
PAGE_SIZE = 20
LAST_PAGE = 10_000
NOTICES = {
    "saved": _("Your changes are saved."),
    "deleted": _("The address is deleted."),
    "reminders": _("Your choice is saved."),
}


def own(
    view: Callable[Concatenate[HttpRequest, User, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """Let only who is signed in see a page, and tell it who that is."""

    @wraps(view)
    def inner(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        return view(request, request.user, *args, **kwargs)  # type: ignore[arg-type]

    return private(login_required(inner))


@require_safe
@own
def overview(request: HttpRequest, user: User) -> HttpResponse:
    newest = [order_summary(order) for order in _orders(user)[:3]]
    default = next(iter(addresses_of(user)), None)
    return render(request, "customers/overview.html", {"orders": newest, "address": default, "person": user})


@require_safe
@own
def orders(request: HttpRequest, user: User) -> HttpResponse:
    """Every order of the person, a page at a time."""
    asked = request.GET.get("page", "1")
    if not asked.isascii() or not asked.isdecimal() or not 1 <= int(asked[:6]) <= LAST_PAGE:
        raise Http404
    number = int(asked[:6])
    found = list(_orders(user)[(number - 1) * PAGE_SIZE : number * PAGE_SIZE + 1])
    if number > 1 and not found:
        raise Http404
    path = reverse("account_orders")
    context = {
        "orders": [order_summary(order) for order in found[:PAGE_SIZE]],
        "previous_url": f"{path}?page={number - 1}" if number > 1 else "",
        "next_url": f"{path}?page={number + 1}" if len(found) > PAGE_SIZE else "",
    }
    return render(request, "customers/orders.html", context)


@require_safe
@own
def addresses(request: HttpRequest, user: User) -> HttpResponse:
    context = {"addresses": addresses_of(user), "notice": _notice(request)}
    return render(request, "customers/addresses.html", context)


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
@own
def address_add(request: HttpRequest, user: User) -> HttpResponse:
    return _address_form(request, user, None)


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
@own
def address_edit(request: HttpRequest, user: User, address_id: int) -> HttpResponse:
    """Change an address; somebody else's does not exist."""
    return _address_form(request, user, _address(user, address_id))


@csrf_exempt
@require_POST
@own
def address_delete(request: HttpRequest, user: User, address_id: int) -> HttpResponse:
    try:
        services.address_delete(user, address_id)
    except Address.DoesNotExist:
        raise Http404 from None
    return see_other(f"{reverse('account_addresses')}?done=deleted")


@csrf_exempt
@require_POST
@own
def address_default(request: HttpRequest, user: User, address_id: int) -> HttpResponse:
    try:
        services.address_default(user, address_id)
    except Address.DoesNotExist:
        raise Http404 from None
    return see_other(f"{reverse('account_addresses')}?done=saved")


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
@own
def profile(request: HttpRequest, user: User) -> HttpResponse:
    form = ProfileForm(request.POST) if request.method == "POST" else ProfileForm(initial={"name": user.name})
    if form.is_bound and form.is_valid():
        services.profile_save(user, name=form.cleaned_data["name"])
        return see_other(f"{reverse('account_profile')}?done=saved")
    context = {"form": form, "person": user, "notice": _notice(request)}
    return render(request, "customers/profile.html", context, status=422 if form.is_bound else 200)


@require_safe
@own
def privacy(request: HttpRequest, user: User) -> HttpResponse:
    return _privacy_page(request, user)


@csrf_exempt
@require_POST
@own
def reminders(request: HttpRequest, user: User) -> HttpResponse:
    """Agree to be reminded of carts, or not any more."""
    consent_set(user, agree="agree" in request.POST)
    return see_other(f"{reverse('account_privacy')}?done=reminders")


@csrf_exempt
@require_POST
@own
@reauthentication_required
def export(request: HttpRequest, user: User) -> HttpResponse:
    """Everything about the person, as one JSON file, written while it is read."""
    response = StreamingHttpResponse(export_of(user), content_type="application/json")
    response.headers["Content-Disposition"] = f'attachment; filename="my-data-{timezone.now():%Y-%m-%d}.json"'
    return response  # type: ignore[return-value]


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
@own
@reauthentication_required
def erase(request: HttpRequest, user: User) -> HttpResponse:
    """Delete the account, or say why that cannot be yet."""
    form = EraseForm(request.POST) if request.method == "POST" else EraseForm()
    problems = erasure_obstacles(user)
    if form.is_bound and form.is_valid() and not problems:
        try:
            account_erase(user.pk)
        except ErasureRefused as error:
            problems = error.reasons
        else:
            logout(request)
            return render(request, "customers/erased.html")
    context = {"form": form, "problems": problems}
    return render(request, "customers/erase.html", context, status=422 if form.is_bound else 200)


def _privacy_page(request: HttpRequest, user: User) -> HttpResponse:
    form = RemindersForm(initial={"agree": agreed(user)})
    return render(request, "customers/privacy.html", {"form": form, "notice": _notice(request)})


def _address_form(request: HttpRequest, user: User, address: Address | None) -> HttpResponse:
    initial = {name: getattr(address, name) for name in (*services.ADDRESS_FIELDS, "is_default")} if address else {}
    form = AddressForm(request.POST if request.method == "POST" else None, initial=initial)
    if form.is_bound and form.is_valid():
        data: dict[str, Any] = form.cleaned_data
        try:
            services.address_save(user, data, address_id=address.pk if address else None, default=data["is_default"])
        except Address.DoesNotExist:
            raise Http404 from None
        except AddressRefused as error:
            form.add_error(None, str(error))
        else:
            return see_other(f"{reverse('account_addresses')}?done=saved")
    context = {"form": form, "address": address}
    return render(request, "customers/address.html", context, status=422 if form.is_bound else 200)


def _address(user: User, address_id: int) -> Address:
    found = next((address for address in addresses_of(user) if address.pk == address_id), None)
    if found is None:
        raise Http404
    return found


def _orders(user: User) -> QuerySet[Order]:
    return orders_of(user.pk, verified_emails(user))


def _notice(request: HttpRequest) -> str:
    return str(NOTICES.get(request.GET.get("done", ""), ""))
