"""Placing orders and moving them through their states."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import asdict, dataclass
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext

from pasargad import flags
from pasargad.cart.models import Cart, CartLine
from pasargad.cart.services import cart_empty, cart_hold
from pasargad.catalog.exceptions import OutOfStock
from pasargad.catalog.models import Product, StockMovement
from pasargad.catalog.money import Money
from pasargad.catalog.places import Destination
from pasargad.catalog.stock import stock_commit, stock_move, stock_release, stock_reserve
from pasargad.faults import crash_point
from pasargad.promotions.exceptions import CouponUsedUp
from pasargad.promotions.rules import Refusal, Shopper
from pasargad.promotions.services import customer_key, redeem, redemptions_release, redemptions_retake
from pasargad.promotions.wording import say

from .exceptions import CartChanged, CouponGone, IllegalTransition, KeyReused, NotDeliverable, OrderOver, OrderRefused
from .freezing import frozen_line, frozen_price
from .models import GIVEN_UP, TRANSITIONS, Delivery, Order, OrderEvent, OrderLine, Status
from .quoting import Quote, Wish, quote_lines
from .selectors import order_cancellable, order_earlier
from .signals import order_changed
from .smallest import SMALLEST_MINOR, too_small_to_pay

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
    method: str = ""
    point: str = ""

    @property
    def digest(self) -> str:
        # What is empty by default is left out: a new field must not make known orders look different.
        given = {name: value for name, value in asdict(self).items() if value or name not in ("method", "point")}
        return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()

    @property
    def wish(self) -> Wish:
        return Wish(self.delivery, Destination(self.country, self.state, self.zip), self.method, self.point)


def order_place(cart: Cart, buyer: Buyer, *, key: str, agreed_total_minor: int, language: str = "") -> Order:
    """Turn a cart into an order that awaits payment, holding its goods; the same key gives the same order.

    In one transaction: lock the cart, price it again, hold the stock, write the order, use its promotions, empty the
    cart. Raises CartChanged when the price rose or goods are gone, KeyReused when the key came with other contents,
    OrderOver when its order was given up.
    `language` is what mails about it are written in; "" is the shop's own.
    """
    full_key = f"{cart.pk}:{key}"
    with transaction.atomic():
        try:
            held = cart_hold(cart)
        except Cart.DoesNotExist as error:
            raise CartChanged(gettext("Your cart has moved into your account. Please look at it again.")) from error
        customer = customer_key(held.account_email or buyer.email)
        # A guest's price depends on nothing that the typed address could tell: the refusal would tell it on.
        is_guest = held.user_id is None
        known, has_ordered = order_earlier(full_key, "" if is_guest else customer)
        if known:
            return _same_order(known, buyer)
        lines = list(
            CartLine.objects.filter(cart=cart).select_related("variant__product__category").order_by("variant_id")
        )
        _require_sellable(lines)
        shopper = Shopper() if is_guest else Shopper(customer, logged_in=True, has_ordered=has_ordered)
        quote = quote_lines(lines, buyer.wish, coupon=held.coupon_code, shopper=shopper)
        _require_agreed(quote, agreed_total_minor)
        order = _create(buyer, full_key, quote, customer, held.user_id, language)
        OrderLine.objects.bulk_create(
            frozen_line(order, line, price) for line, price in zip(lines, quote.price.lines, strict=True)
        )
        _hold(order, lines)
        _redeem(order, quote, customer)
        crash_point("orders.place.held")
        OrderEvent.objects.create(order=order, after=order.status, actor="shopper")
        cart_empty(cart)
        crash_point("orders.place.written")
        # What costs nothing waits for no payment.
        return order_paid(order, actor="shop") if order.total_minor == 0 else order


def order_move(order: Order, to: Status, *, actor: str, note: str = "") -> Order:
    """Move a locked order to another state, with its history; raises IllegalTransition.

    The caller holds the row (`order_lock`); the condition in the UPDATE is the last line of defence.
    """
    before = Status(order.status)
    if to not in TRANSITIONS[before]:
        raise IllegalTransition(f"{order.number} is {before.label.lower()} and cannot become {to.label.lower()}.")
    if not order.may_become(to):
        way = "collected" if order.delivery == Delivery.PICKUP else "sent"
        raise IllegalTransition(f"{order.number} is to be {way} and cannot become {to.label.lower()}.")
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
        redemptions_retake(order.reference)
        return order_move(order, Status.PAID, actor=actor, note="Paid late; the goods were still there.")
    if order.status == Status.CANCELLED:
        return order_move(order, Status.REFUND_DUE, actor=actor, note="Paid after it was cancelled.")
    return order


def order_expire(order: Order) -> Order:
    """Give up a locked order that nobody paid for, and its goods."""
    stock_release(order.reference)
    redemptions_release(order.reference)
    return order_move(order, Status.EXPIRED, actor="shop", note="Not paid in time.")


def order_refuse(order: Order, *, note: str) -> Order:
    """Give up a locked order whose money came in a way that cannot stand: its goods are free, the money is due back."""
    stock_release(order.reference)
    redemptions_release(order.reference)
    return order_move(order, Status.REFUND_DUE, actor="shop", note=note)


def order_cancel(order: Order, *, actor: str) -> Order:
    """Cancel a locked order that was not paid for, or cost nothing; raises IllegalTransition otherwise."""
    sold = Status.CANCELLED in TRANSITIONS[Status(order.status)] and order.status != Status.AWAITING_PAYMENT
    if sold and not order_cancellable(order, begun=True):
        raise IllegalTransition(f"{order.number} is {order.get_status_display().lower()} and cannot be cancelled.")
    order_move(order, Status.CANCELLED, actor=actor)
    stock_release(order.reference)
    redemptions_release(order.reference)
    if sold:
        for variant_id, quantity in sorted(_stocked(order).items()):
            stock_move(variant_id, quantity, kind=StockMovement.Kind.RETURNED, reference=order.reference)
    return order


def _require_sellable(lines: list[CartLine]) -> None:
    if not flags.is_on("checkout"):
        raise OrderRefused(gettext("The shop takes no orders at the moment."))
    if not lines:
        raise OrderRefused(gettext("Your cart is empty."))
    for line in lines:
        variant = line.variant
        if not variant.is_active or variant.product.state != Product.State.PUBLISHED:
            raise CartChanged(gettext("%(name)s is no longer sold.") % {"name": variant.product.name})
        if variant.made_to_order and not flags.is_on("made_to_order"):
            text = gettext("%(name)s cannot be made to order at the moment.")
            raise CartChanged(text % {"name": variant.product.name})


def _same_order(order_id: int, buyer: Buyer) -> Order:
    order = Order.objects.get(pk=order_id)
    if order.status in GIVEN_UP:
        text = gettext("Your order %(number)s has expired or was cancelled. Please check your cart and order again.")
        raise OrderOver(text % {"number": order.number}, order.pk)
    if order.request_digest != buyer.digest:
        raise KeyReused(gettext("This order was placed already, with other details."))
    return order


def _require_agreed(quote: Quote, agreed_total_minor: int) -> None:
    """Refuse what the shopper has not seen: another way of sending, or a higher total; a lower one is welcome."""
    if quote.undeliverable:
        raise NotDeliverable(gettext("We cannot send these goods to this address."))
    if quote.choice_gone:
        raise NotDeliverable(gettext("What you chose is not available for this address. Please choose again."))
    if quote.price.total > agreed_total_minor:
        total = Money(quote.price.total, settings.SHOP.currency)
        changed = gettext("The price has changed since you saw it. The total is now %(total)s.") % {"total": total}
        raise CartChanged(f"{quote.coupon_problem} {changed}".strip())
    if too_small_to_pay(quote.price.total, settings.SHOP.currency):
        least = Money(SMALLEST_MINOR[settings.SHOP.currency], settings.SHOP.currency)
        text = gettext("The smallest sum that can be paid is %(least)s. Please put something more into your cart.")
        raise OrderRefused(text % {"least": least})


def _create(buyer: Buyer, key: str, quote: Quote, customer: str, user_id: int | None, language: str) -> Order:
    typed = asdict(buyer)
    del typed["method"], typed["point"]
    return Order.objects.create(
        number=f"{settings.SHOP.order_number_prefix}-{''.join(secrets.choice(NUMBER_DIGITS) for _ in range(8))}",
        token=secrets.token_hex(16),
        idempotency_key=key,
        request_digest=buyer.digest,
        user_id=user_id,
        customer_key=customer,
        language=language,
        **typed,
        **frozen_price(quote),
        currency=settings.SHOP.currency,
        expires_at=timezone.now() + timedelta(seconds=settings.SHOP.reservation_seconds),
    )


def _redeem(order: Order, quote: Quote, customer: str) -> None:
    try:
        redeem(quote.price.applied, reference=order.reference, customer=customer)
    except CouponUsedUp as error:
        if error.reason == Refusal.USED_BY_YOU and not quote.coupon:
            text = gettext("An offer for first orders was used already. Please look at the new total.")
            raise CartChanged(text) from error
        if order.user_id is None:
            # The same words for every reason: whether this address used the coupon before is nobody else's business.
            text = gettext("The coupon %(code)s cannot be used for this order. Please remove it and order without it.")
            raise CouponGone(text % {"code": quote.coupon}) from error
        raise CouponGone(say(error.reason, quote.coupon, None, settings.SHOP.currency)) from error


def _hold(order: Order, lines: list[CartLine]) -> None:
    stocked = {line.variant_id: line.quantity for line in lines if not line.variant.made_to_order}
    try:
        stock_reserve(stocked, reference=order.reference, expires_at=order.expires_at)
    except OutOfStock as error:
        short = [line.variant.product.name for line in lines if line.variant_id in error.variant_ids]
        text = gettext("Not enough in stock any more: %(names)s.")
        raise CartChanged(text % {"names": gettext(", ").join(short)}) from error


def _stocked(order: Order) -> dict[int, int]:
    return {line.variant_id: line.quantity for line in order.lines.all() if not line.made_to_order}
