"""Changes of wish lists."""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from pasargad.accounts.models import User
from pasargad.catalog.models import Product

from .models import Wishlist, WishlistItem

MOST_ITEMS = 200


class WishlistRefused(Exception):
    """The text is for shoppers."""


def wishlist_create() -> Wishlist:
    return Wishlist.objects.create()


def wishlist_of_user(user: User) -> Wishlist:
    """Return the account's list; of two requests that make it at once, both get the same."""
    found, _made = Wishlist.objects.get_or_create(user=user)
    return found


def wishlist_add(wishlist: Wishlist, product: Product) -> None:
    """Put a product on a list; one that is there already stays where it is. Raises WishlistRefused."""
    with transaction.atomic():
        _lock(wishlist.pk)
        here = WishlistItem.objects.filter(wishlist=wishlist)
        if here.count() >= MOST_ITEMS and not here.filter(product=product).exists():
            raise WishlistRefused(_("A wish list holds at most %(count)d pieces.") % {"count": MOST_ITEMS})
        WishlistItem.objects.bulk_create([WishlistItem(wishlist=wishlist, product=product)], ignore_conflicts=True)


def wishlist_remove(wishlist: Wishlist, product_slug: str) -> None:
    """Take a product off a list; what is not on it is off it already."""
    WishlistItem.objects.filter(wishlist=wishlist, product__slug=product_slug).delete()


def wishlist_merge(user: User, token: uuid.UUID) -> Wishlist:
    """Move a guest's list into the account's, once, however many tabs log in at the same time.

    A token that is unknown, or names somebody's account, changes nothing. What does not fit stays out, oldest last.
    """
    mine = wishlist_of_user(user)
    with transaction.atomic():
        rows = Wishlist.objects.filter(token=token, user=None) | Wishlist.objects.filter(pk=mine.pk)
        locked = list(rows.order_by("pk").select_for_update())
        guest = next((row for row in locked if row.pk != mine.pk), None)
        if guest is None:
            return mine
        taken = set(WishlistItem.objects.filter(wishlist=mine).values_list("product_id", flat=True))
        moved = [item for item in guest.items.all() if item.product_id not in taken][: MOST_ITEMS - len(taken)]
        WishlistItem.objects.filter(pk__in=[item.pk for item in moved]).update(wishlist=mine)
        guest.delete()
    return mine


def wishlists_forget(*, days: int) -> int:
    """Delete guests' lists that nobody has touched for so long; returns how many."""
    before = timezone.now() - timedelta(days=days)
    deleted, _by_model = Wishlist.objects.filter(user=None, updated_at__lt=before).delete()
    return deleted


def _lock(pk: int) -> None:
    Wishlist.objects.select_for_update().get(pk=pk)
    Wishlist.objects.filter(pk=pk).update(updated_at=timezone.now())
