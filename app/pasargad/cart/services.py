"""Changes of carts. What a cart holds is a wish: stock is only held when an order is placed."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext, ngettext

from pasargad.accounts.models import User
from pasargad.catalog.models import Product, Variant
from pasargad.catalog.selectors import availability_of

from .exceptions import CartRefused
from .models import Cart, CartLine


def cart_create() -> Cart:
    return Cart.objects.create()


def cart_of_user(user: User) -> Cart:
    """Return the account's cart; of two requests that make it at once, both get the same."""
    found, _made = Cart.objects.get_or_create(user=user)
    return found


def cart_merge(user: User, token: uuid.UUID) -> Cart:
    """Move a guest's cart into the account's, once, however many tabs sign in at the same time.

    Pieces of one article are added up as far as stock and the limit of a cart allow; no article is lost, not even one
    that is sold out, and there may be more articles than could be added by hand. A token that is unknown, or names
    somebody's account, changes nothing.
    """
    mine = cart_of_user(user)
    with transaction.atomic():
        guest = next((cart for cart in _lock_pair(mine.pk, token) if cart.pk != mine.pk), None)
        if guest is None:
            return mine
        lines = {line.variant_id: line for line in CartLine.objects.filter(cart=mine)}
        for found in CartLine.objects.filter(cart=guest).select_related("variant__product"):
            line = lines.get(found.variant_id)
            if line is None:
                found.cart = mine
                found.quantity = _possible(found.variant, found.quantity, found.quantity)
                found.save(update_fields=["cart", "quantity"])
            else:
                wanted = line.quantity + found.quantity
                line.quantity = _possible(found.variant, wanted, max(line.quantity, found.quantity))
                line.save(update_fields=["quantity"])
        coupon = Cart.objects.values_list("coupon_code", flat=True).get(pk=mine.pk) or guest.coupon_code
        Cart.objects.filter(pk=mine.pk).update(coupon_code=coupon, updated_at=timezone.now())
        guest.delete()
    mine.refresh_from_db()
    return mine


def carts_forget(*, days: int) -> int:
    """Delete guests' carts that nobody has touched for so long; returns how many."""
    before = timezone.now() - timedelta(days=days)
    _deleted, by_model = Cart.objects.filter(user=None, updated_at__lt=before).delete()
    return by_model.get(Cart._meta.label, 0)


def cart_add(cart: Cart, variant: Variant, quantity: int) -> CartLine:
    """Put pieces into a cart, beside those that are there; raises CartRefused and changes nothing."""
    with transaction.atomic():
        lines = _lock(cart)
        line = lines.get(variant.pk)
        wanted = quantity + (line.quantity if line else 0)
        _require_possible(variant, wanted)
        if line is None:
            if len(lines) >= settings.SHOP.cart_max_lines:
                most = settings.SHOP.cart_max_lines
                text = ngettext(
                    "A cart holds at most %(most)d different article.",
                    "A cart holds at most %(most)d different articles.",
                    most,
                )
                raise CartRefused(text % {"most": most})
            return CartLine.objects.create(cart=cart, variant=variant, quantity=wanted)
        line.quantity = wanted
        line.save(update_fields=["quantity"])
    return line


def cart_set(cart: Cart, line_id: int, quantity: int) -> None:
    """Set how many pieces a line has; 0 removes it. Raises CartRefused, or CartLine.DoesNotExist for a foreign line."""
    with transaction.atomic():
        _lock(cart)
        line = CartLine.objects.select_related("variant__product").get(pk=line_id, cart=cart)
        if quantity == 0:
            line.delete()
            return
        _require_possible(line.variant, quantity)
        line.quantity = quantity
        line.save(update_fields=["quantity"])


# One statement each: both belong to the few of an order.
HOLD = """
SELECT set_config('lock_timeout', %s, true);
SELECT c.coupon_code, c.user_id, u.email
FROM cart_cart c LEFT JOIN accounts_user u ON u.id = c.user_id WHERE c.id = %s FOR UPDATE OF c
"""
EMPTY = """
WITH gone AS (DELETE FROM cart_cartline WHERE cart_id = %s)
UPDATE cart_cart SET coupon_code = '', updated_at = now() WHERE id = %s
"""


@dataclass(frozen=True)
class HeldCart:
    """What a locked cart says of its owner; `account_email` is "" for guests."""

    coupon_code: str
    user_id: int | None
    account_email: str


def cart_hold(cart: Cart) -> HeldCart:
    """Lock a cart until the transaction ends, waiting for it and for every later lock DB_LOCK_TIMEOUT_MS at most."""
    with connection.cursor() as cursor:
        cursor.execute(HOLD, [f"{settings.DB_LOCK_TIMEOUT_MS}ms", cart.pk])
        row = cursor.fetchone()
    if row is None:
        raise Cart.DoesNotExist
    return HeldCart(row[0], row[1], row[2] or "")


def cart_coupon_set(cart: Cart, code: str) -> None:
    """Remember a coupon in a cart; "" takes it out. What it is worth is asked whenever the cart is priced."""
    Cart.objects.filter(pk=cart.pk).update(coupon_code=code, updated_at=timezone.now())
    cart.coupon_code = code


def cart_empty(cart: Cart) -> None:
    """Take everything out of a cart, its coupon too."""
    with connection.cursor() as cursor:
        cursor.execute(EMPTY, [cart.pk, cart.pk])


def cart_refill(cart: Cart, quantities: Mapping[int, int]) -> None:
    """Put goods of a given-up order back, beside what is there, within the limits of a cart."""
    with transaction.atomic():
        lines = _lock(cart)
        for variant_id, quantity in sorted(quantities.items()):
            if variant_id in lines:
                continue
            CartLine.objects.create(
                cart=cart, variant_id=variant_id, quantity=min(quantity, settings.SHOP.cart_max_quantity)
            )


def _lock(cart: Cart) -> dict[int, CartLine]:
    """Lock the cart, so that two tabs change it one after the other; returns its lines by variant."""
    if Cart.objects.select_for_update().filter(pk=cart.pk).first() is None:
        # A sign-in in another tab has moved it into the account.
        raise CartRefused(gettext("Your cart has moved into your account. Please try again."))
    Cart.objects.filter(pk=cart.pk).update(updated_at=timezone.now())
    return {line.variant_id: line for line in CartLine.objects.filter(cart=cart)}


def _lock_pair(mine: int, token: uuid.UUID) -> list[Cart]:
    """Lock an account's cart and a guest's, always in the same order."""
    pair = Cart.objects.filter(token=token, user=None) | Cart.objects.filter(pk=mine)
    return list(pair.order_by("pk").select_for_update())


def _possible(variant: Variant, wanted: int, without_stock: int) -> int:
    """Return how many of the wanted pieces can be bought; where there are none, what was wished for stays a wish."""
    limit = settings.SHOP.cart_max_quantity
    found = availability_of(variant)
    if not found.made_to_order:
        limit = min(limit, found.left or without_stock)
    return min(wanted, limit)


def _require_possible(variant: Variant, quantity: int) -> None:
    if not variant.is_active or variant.product.state != Product.State.PUBLISHED:
        raise CartRefused(gettext("This article is no longer sold."))
    most = settings.SHOP.cart_max_quantity
    if quantity > most:
        text = ngettext(
            "At most %(most)d piece of one article fits into a cart.",
            "At most %(most)d pieces of one article fit into a cart.",
            most,
        )
        raise CartRefused(text % {"most": most})
    found = availability_of(variant)
    if not found.made_to_order and quantity > found.left:
        left = ngettext("Only %(left)d left in stock.", "Only %(left)d left in stock.", found.left)
        raise CartRefused(left % {"left": found.left} if found.left else gettext("This article is sold out."))
