"""An order as pages and mails show it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from pasargad.catalog.money import Money

from .countries import country_name
from .models import Delivery, Order, Status
from .selectors import order_cancellable

HELP = {
    Status.AWAITING_PAYMENT: _("We hold your goods for you. The order is yours as soon as it is paid."),
    Status.PAID: _("Your payment has arrived and we are getting to work."),
    Status.PROCESSING: _("Your order is being made."),
    Status.READY_FOR_PICKUP: _("Your order is waiting for you."),
    Status.SHIPPED: _("Your order is on its way."),
    Status.DELIVERED: _("Your order has arrived."),
    Status.EXPIRED: _("The order was not paid in time, so we released the goods. Nothing was charged."),
    Status.CANCELLED: _("The order was cancelled. Nothing was charged."),
    Status.REFUND_DUE: _("We cannot fulfil this order. Your money is on its way back."),
    Status.REFUNDED: _("Your money has been sent back. It can take some days to appear on your account."),
}


PLACED = _("Ordered")


@dataclass(frozen=True)
class OrderLineView:
    name: str
    options: list[tuple[str, str]]
    sku: str
    quantity: int
    unit_price: Money
    total: Money
    discount: Money
    tax: Money


@dataclass(frozen=True)
class OrderView:
    number: str
    token: str
    status: str
    status_text: str
    status_help: str
    can_pay: bool
    can_cancel: bool
    expires_at: datetime
    placed_at: datetime
    email: str
    name: str
    note: str
    delivery: str
    address_lines: list[str]
    lines: list[OrderLineView]
    subtotal: Money
    shipping: Money
    tax: Money
    total: Money
    refunded: Money
    tax_inclusive: bool
    discounts: list[tuple[str, Money]]
    taxes: list[tuple[str, Money]]
    shipping_method: str
    lead_days: int
    history: list[tuple[datetime, str]]
    payment_error: str
    refresh_seconds: int


@dataclass(frozen=True)
class OrderSummary:
    """An order as a line of a list."""

    number: str
    token: str
    status: str
    status_text: str
    placed_at: datetime
    total: Money


def order_summary(order: Order) -> OrderSummary:
    status = Status(order.status)
    return OrderSummary(
        number=order.number,
        token=order.token,
        status=status.value,
        status_text=_status_text(order, status),
        placed_at=order.placed_at,
        total=order.total,
    )


def order_view(order: Order, *, payment_error: str = "", payment_running: bool = False) -> OrderView:
    """Show an order: two queries beside the order itself."""
    status = Status(order.status)
    lines = list(order.lines.all())

    def money(minor: int) -> Money:
        return Money(minor, order.currency)

    waiting = status == Status.AWAITING_PAYMENT
    return OrderView(
        number=order.number,
        token=order.token,
        status=status.value,
        status_text=_status_text(order, status),
        status_help=str(HELP[status]),
        can_pay=waiting and not payment_running,
        can_cancel=order_cancellable(order) and not payment_running,
        expires_at=order.expires_at,
        placed_at=order.placed_at,
        email=order.email,
        name=order.name,
        note=order.note,
        delivery=order.delivery,
        address_lines=_address_lines(order),
        lines=[
            OrderLineView(
                name=line.product_name,
                options=[(str(name), str(value)) for name, value in line.options],
                sku=line.sku,
                quantity=line.quantity,
                unit_price=money(line.unit_price_minor),
                total=money(line.total_minor),
                discount=money(line.discount_minor),
                tax=money(line.tax_minor),
            )
            for line in lines
        ],
        subtotal=money(order.subtotal_minor),
        shipping=money(order.shipping_minor),
        tax=money(order.tax_minor),
        total=money(order.total_minor),
        refunded=money(order.refunded_minor),
        tax_inclusive=order.tax_inclusive,
        discounts=discount_lines(
            ((found["name"], found["code"], found["minor"]) for found in order.discounts), order.currency
        ),
        taxes=tax_lines(((found["name"], found["ppm"], found["minor"]) for found in order.taxes), order.currency),
        shipping_method=house_words(order.shipping_method),
        lead_days=max((line.lead_days for line in lines if line.made_to_order), default=0),
        history=[
            (event.at, str(PLACED if event.after == Status.AWAITING_PAYMENT else Status(event.after).label))
            for event in order.events.all()
        ],
        payment_error=payment_error if waiting else "",
        refresh_seconds=5 if payment_running else 0,
    )


def discount_lines(found: Iterable[tuple[str, str, int]], currency: str) -> list[tuple[str, Money]]:
    """Name what came off the goods; what came off shipping shows in its price."""
    return [(f"{name} ({code})" if code else name, Money(-minor, currency)) for name, code, minor in found if minor]


def house_words(name: str) -> str:
    """Translate a name that the house itself gave, and froze in English; what staff called something stays as it is."""
    return gettext(name) if name else ""


def tax_lines(found: Iterable[tuple[str, int, int]], currency: str) -> list[tuple[str, Money]]:
    return [(f"{house_words(name)} {ppm / 10_000:g} %", Money(minor, currency)) for name, ppm, minor in found if minor]


def _status_text(order: Order, status: Status) -> str:
    """A status, and whether part of the money went back: the goods go on as they are."""
    if order.refunded_minor and status not in (Status.REFUND_DUE, Status.REFUNDED):
        return gettext("%(status)s, partly refunded") % {"status": status.label}
    return str(status.label)


def _address_lines(order: Order) -> list[str]:
    """Where the goods go; for who collects them, where they are."""
    if order.delivery == Delivery.PICKUP and order.pickup_address:
        *rest, country = order.pickup_address
        return [*rest, country_name(country)]
    if order.delivery == Delivery.PICKUP:
        place = settings.BUSINESS.address
        return _lines(settings.BUSINESS.name, place.street, "", place.city, place.state, place.zip, place.country)
    return _lines(order.name, order.street, order.street2, order.city, order.state, order.zip, order.country)


def _lines(name: str, street: str, more: str, city: str, state: str, code: str, country: str) -> list[str]:
    town = " ".join(filter(None, [f"{city}," if state else city, state, code]))
    return [line for line in (name, street, more, town, country_name(country)) if line]
