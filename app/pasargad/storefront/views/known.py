"""What a checkout form knows already of who is signed in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from pasargad.accounts.models import Address
from pasargad.accounts.selectors import addresses_of
from pasargad.accounts.services import ADDRESS_FIELDS, MOST_ADDRESSES, address_keep
from pasargad.orders.models import Delivery

from ..presenting import Choice


def known_details(request: HttpRequest) -> dict[str, str]:
    """Return what the fields start with: the mail address, and the saved address that was chosen, or the default."""
    user = request.user
    if not user.is_authenticated:
        return {}
    found = {"email": user.email, "name": user.name}
    if address := _chosen(request, addresses_of(user)):
        found |= {name: getattr(address, name) for name in ADDRESS_FIELDS}
    return found


def may_save_address(request: HttpRequest) -> bool:
    """Whether there is an address book with room for one more."""
    user = request.user
    return user.is_authenticated and len(addresses_of(user)) < MOST_ADDRESSES


def address_note(request: HttpRequest, typed: Mapping[str, Any]) -> None:
    """Save the address of a checkout form in the book, where that was asked for and the goods are sent there."""
    user = request.user
    if user.is_authenticated and typed["save_address"] and typed["delivery"] == Delivery.SHIPPING:
        address_keep(user, typed)


def address_choices(request: HttpRequest) -> list[Choice]:
    """Return the saved addresses, each with the address of the page that starts with it."""
    user = request.user
    if not user.is_authenticated:
        return []
    known = addresses_of(user)
    chosen = _chosen(request, known) if request.method == "GET" else None
    return [
        Choice(
            label=f"{address.name}, {address.street}, {address.city}",
            value=str(address.pk),
            url=f"{reverse('checkout')}?address={address.pk}",
            active=chosen is not None and chosen.pk == address.pk,
        )
        for address in known
    ]


def _chosen(request: HttpRequest, known: list[Address]) -> Address | None:
    """Return the person's address that the page is asked for; somebody else's is as unknown as any."""
    asked = request.GET.get("address", "")
    default = next((address for address in known if address.is_default), None)
    return next((address for address in known if str(address.pk) == asked), default)
