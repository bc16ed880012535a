"""Placing orders and moving them through their states."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import timedelta

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from pasargad.cart.models import Cart, CartLine
from pasargad.cart.services import cart_empty
from pasargad.catalog.exceptions import OutOfStock
from pasargad.catalog.models import Product
from pasargad.catalog.stock import stock_commit, stock_release, stock_reserve
from pasargad.faults import crash_point

from .exceptions import CartChanged, IllegalTransition, KeyReused, OrderRefused
from .models import TRANSITIONS, Delivery, Order, OrderEvent, OrderLine, Status
from .pricing import Item, Price, price_order
from .signals import order_changed

# Crockford's digits: nobody reads I, L, O or U for something else.
NUMBER_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@dataclass(frozen=True)
class Buyer:
    """What the shopper typed at checkout, already checked by the form."""

    email: str
    name: str
    phone: str
    delivery: str
    street: str = ""
    street2: str = ""
    city: str = ""
    state: str = ""
    zip: str = ""
    country: str = ""
    note: str = ""

    @property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def order_place(cart: Cart, buyer: Buyer, *, key: str, agreed_total_minor: int) -> Order:
    """Turn a cart into an order that awaits payment, holding its goods; the same key gives the same order.

    In one transaction: lock the cart, price it again, hold the stock, write the order, empty the cart. Raises
    CartChanged when the price rose or goods are gone, KeyReused when the key came with other contents.
    """
    full_key = f"{cart.pk}:{key}"
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{settings.DB_LOCK_TIMEOUT_MS}ms"])
        Cart.objects.select_for_update().get(pk=cart.pk)
        if known := Order.objects.filter(idempotency_key=full_key).first():
            if known.request_digest != buyer.digest:
                raise KeyReused("This order was placed already, with other details.")
            return known
        lines = list(CartLine.objects.filter(cart=cart).select_related("variant__product").order_by("variant_id"))
        _require_sellable(lines)
        price = price_lines(lines, buyer.delivery)
        if price.total > agreed_total_minor:
            raise CartChanged("The price has changed since you saw it. Please look at the new total.")
        order = _create(buyer, full_key, price)
        OrderLine.objects.bulk_create(_frozen(order, line) for line in lines)
        _hold(order, lines)
        crash_point("orders.place.held")
        OrderEvent.objects.create(order=order, after=order.status, actor="shopper")
        cart_empty(cart)
        crash_point("orders.place.written")
    return order


def price_lines(lines: Iterable[CartLine], delivery: str) -> Price:
    items = (Item(line.variant.price_minor, line.quantity, line.variant.weight_grams) for line in lines)
    return price_order(items, shipped=delivery == Delivery.SHIPPING, shop=settings.SHOP, shipping=settings.SHIPPING)


def order_move(order: Order, to: Status, *, actor: str, note: str = "") -> Order:
    """Move a locked order to another state, with its history; raises IllegalTransition.

    The caller holds the row (`order_lock`); the condition in the UPDATE is the last line of defence.
    """
    before = Status(order.status)
    if to not in TRANSITIONS[before]:
        raise IllegalTransition(f"{order.number} is {before.label.lower()} and cannot become {to.label.lower()}.")
    changes: dict[str, object] = {"status": to}
    if to == Status.PAID:
        changes["paid_at"] = timezone.now()
    if not Order.objects.filter(pk=order.pk, status=before).update(**changes):
        raise IllegalTransition(f"{order.number} changed meanwhile.")
    for name, value in changes.items():
        setattr(order, name, value)
    OrderEvent.objects.create(order=order, before=before, after=to, actor=actor[:100], note=note[:300])
    order_changed.send(sender=Order, order=order, before=before, after=to)
    return order


def order_lock(order_id: int) -> Order:
    """Return the order, locked until the transaction ends."""
    return Order.objects.select_for_update().get(pk=order_id)


def order_paid(order: Order, *, actor: str) -> Order:
    """Note that a locked order was paid in full: its goods are sold.

    An order that expired gets its goods again if they are still there; if not, the money is due back.
    """
    if order.status == Status.AWAITING_PAYMENT:
        stock_commit(order.reference)
        return order_move(order, Status.PAID, actor=actor)
    if order.status == Status.EXPIRED:
        try:
            stock_reserve(_stocked(order), reference=order.reference, expires_at=timezone.now())
        except OutOfStock:
            return order_move(order, Status.REFUND_DUE, actor=actor, note="Paid too late; the goods are gone.")
        stock_commit(order.reference)
        return order_move(order, Status.PAID, actor=actor, note="Paid late; the goods were still there.")
    if order.status == Status.CANCELLED:
        return order_move(order, Status.REFUND_DUE, actor=actor, note="Paid after it was cancelled.")
    return order


def order_expire(order: Order) -> Order:
    """Give up a locked order that nobody paid for, and its goods."""
    stock_release(order.reference)
    return order_move(order, Status.EXPIRED, actor="shop", note="Not paid in time.")


def order_refuse(order: Order, *, note: str) -> Order:
    """Give up a locked order whose money came in a way that cannot stand: its goods are free, the money is due back."""
    stock_release(order.reference)
    return order_move(order, Status.REFUND_DUE, actor="shop", note=note)


def order_cancel(order: Order, *, actor: str) -> Order:
    """Cancel a locked order that was not paid for; raises IllegalTransition otherwise."""
    order_move(order, Status.CANCELLED, actor=actor)
    stock_release(order.reference)
    return order


def _require_sellable(lines: list[CartLine]) -> None:
    if not settings.FEATURES.checkout:
        raise OrderRefused("The shop takes no orders at the moment.")
    if not lines:
        raise OrderRefused("Your cart is empty.")
    for line in lines:
        variant = line.variant
        if not variant.is_active or variant.product.state != Product.State.PUBLISHED:
            raise CartChanged(f"{variant.product.name} is no longer sold.")
        if variant.made_to_order and not settings.FEATURES.made_to_order:
            raise CartChanged(f"{variant.product.name} cannot be made to order at the moment.")


def _create(buyer: Buyer, key: str, price: Price) -> Order:
    return Order.objects.create(
        number=f"{settings.SHOP.order_number_prefix}-{''.join(secrets.choice(NUMBER_DIGITS) for _ in range(8))}",
        token=secrets.token_hex(16),
        idempotency_key=key,
        request_digest=buyer.digest,
        **asdict(buyer),
        currency=settings.SHOP.currency,
        subtotal_minor=price.subtotal,
        shipping_minor=price.shipping,
        tax_minor=price.tax,
        tax_inclusive=settings.SHOP.tax_inclusive,
        total_minor=price.total,
        expires_at=timezone.now() + timedelta(seconds=settings.SHOP.reservation_seconds),
    )


def _frozen(order: Order, line: CartLine) -> OrderLine:
    variant = line.variant
    return OrderLine(
        order=order,
        variant=variant,
        sku=variant.sku,
        product_name=variant.product.name,
        variant_name=variant.name,
        options=variant.options,
        quantity=line.quantity,
        unit_price_minor=variant.price_minor,
        total_minor=variant.price_minor * line.quantity,
        weight_grams=variant.weight_grams,
        made_to_order=variant.made_to_order,
        lead_days=variant.lead_days,
    )


def _hold(order: Order, lines: list[CartLine]) -> None:
    stocked = {line.variant_id: line.quantity for line in lines if not line.variant.made_to_order}
    try:
        stock_reserve(stocked, reference=order.reference, expires_at=order.expires_at)
    except OutOfStock as error:
        short = [line.variant.product.name for line in lines if line.variant_id in error.variant_ids]
        raise CartChanged(f"Not enough in stock any more: {', '.join(short)}.") from error


def _stocked(order: Order) -> dict[int, int]:
    return {line.variant_id: line.quantity for line in order.lines.all() if not line.made_to_order}
