"""What pages ask of carts."""

from __future__ import annotations

import uuid

from .models import Cart, CartLine


def cart_by_token(token: str) -> Cart | None:
    """Return a guest's cart; an account's cart is reached by signing in, never by a token."""
    try:
        return Cart.objects.filter(token=uuid.UUID(token), user=None).first()
    except ValueError:
        return None


def cart_of_account(user_id: int) -> Cart | None:
    return Cart.objects.filter(user_id=user_id).first()


def cart_lines(cart: Cart | None) -> list[CartLine]:
    """Return the lines with their goods and covers: one query."""
    if cart is None:
        return []
    return list(
        CartLine.objects.filter(cart=cart).select_related("variant__product__cover", "variant__product__category")
    )
