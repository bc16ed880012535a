"""What pages ask of wish lists."""

from __future__ import annotations

import uuid

from pasargad.catalog.cards import CardRow, cards

from .models import Wishlist


def wishlist_by_token(token: str) -> Wishlist | None:
    """Return a guest's list; an account's list is reached by logging in, never by a token."""
    try:
        return Wishlist.objects.filter(token=uuid.UUID(token), user=None).first()
    except ValueError:
        return None


def wishlist_cards(wishlist: Wishlist | None) -> list[CardRow]:
    """Return what is on a list and still sold, newest first: one query."""
    if wishlist is None:
        return []
    wanted = (
        "SELECT p.id FROM wishlist_wishlistitem w JOIN catalog_product p ON p.id = w.product_id "
        "WHERE w.wishlist_id = %s AND p.state = 'published' ORDER BY w.added_at DESC, w.id DESC"
    )
    return cards(wanted, [wishlist.pk])
