"""From a cart to an order, and from an order to its payment."""

from __future__ import annotations

import hashlib
import logging
from typing import Any

from django.conf import settings
from django.urls import reverse

from pasargad.catalog.money import Money
from pasargad.orders.exceptions import OrderRefused
from pasargad.orders.models import Order
from pasargad.orders.selectors import order_by_token
from pasargad.orders.services import Buyer, order_place
from pasargad.payments import gateway
from pasargad.payments.exceptions import NotPayable, PaymentError
from pasargad.payments.services import payment_start

from .. import answers
from ..answers import amount
from ..operations import CART, ORDER, Call, operation
from ..problems import Problem
from ..schemas import OrderToPlace, ToAddress

logger = logging.getLogger(__name__)


def payment_of(order: Order) -> answers.PaymentShown:
    """Return how an order is paid, asking the provider if nobody did; safe to repeat."""
    due = amount(Money(order.total_minor, order.currency))
    nothing: dict[str, Any] = {"pay_url": None, "client_secret": None, "publishable_key": None, "amount": due}
    try:
        attempt = payment_start(order.pk)
    except NotPayable:
        return answers.PaymentShown(state="not_due", **nothing)
    except PaymentError as error:
        logger.warning("payment not started", extra={"order": order.number, "reason": str(error)})
        return answers.PaymentShown(state="unavailable", **nothing)
    back = f"{settings.SITE_URL}{reverse('order_return', args=[order.token])}"
    return answers.PaymentShown(
        state="payable",
        pay_url=gateway.payment_page(attempt.intent_id or "", attempt.client_secret, back) or None,
        client_secret=attempt.client_secret,
        publishable_key=settings.STRIPE.publishable_key,
        amount=due,
    )


def _with_payment(body: dict[str, Any]) -> answers.OrderPlaced:
    order = order_by_token(body["token"])
    payment = payment_of(order)
    order.refresh_from_db(fields=["status"])
    return answers.OrderPlaced(token=order.token, number=order.number, status=order.status, payment=payment)


@operation(
    "POST",
    "/checkout",
    tag="Checkout",
    summary="Place an order and begin its payment",
    detail="The goods are held from now on, until `expires_at` of the order. Pay at `pay_url`, or by the provider's "
    "script with `client_secret`. A total above `agreed_total_minor` is refused.",
    access=CART,
    body=OrderToPlace,
    answer=answers.OrderPlaced,
    status=201,
    limit="checkout",
    keyed=True,
    finish=_with_payment,
    refusals=True,
)
def checkout(call: Call) -> answers.OrderPlaced:
    body: OrderToPlace = call.body
    key = hashlib.sha256(call.idempotency_key.encode()).hexdigest()[:32]
    try:
        order = order_place(call.cart, _buyer(body), key=key, agreed_total_minor=body.agreed_total_minor)
    except OrderRefused as error:
        raise Problem("refused", str(error)) from error
    due = amount(Money(order.total_minor, order.currency))
    waiting = answers.PaymentShown(
        state="unavailable", pay_url=None, client_secret=None, publishable_key=None, amount=due
    )
    return answers.OrderPlaced(token=order.token, number=order.number, status=order.status, payment=waiting)


@operation(
    "POST",
    "/orders/{token}/pay",
    tag="Checkout",
    summary="Begin the payment of an order that waits for it",
    access=ORDER,
    answer=answers.PaymentShown,
    limit="checkout",
    keyed=True,
    outside=True,
)
def order_pay(call: Call) -> answers.PaymentShown:
    found = payment_of(call.order)
    if found.state == "unavailable":
        # Not stored, so the same key may ask again.
        raise Problem("unavailable", "The payment service does not answer.", headers={"Retry-After": "5"})
    return found


def _buyer(body: OrderToPlace) -> Buyer:
    """Return what the service takes; texts are stored without the spaces around them, as forms do."""
    to = body.delivery
    values = {"email": body.email, "phone": body.phone, "note": body.note, "name": to.name}
    if isinstance(to, ToAddress):
        names = ("street", "street2", "city", "state", "zip", "country", "method")
        values |= {name: getattr(to, name) for name in names}
    else:
        values["point"] = to.point
    return Buyer(delivery=to.kind, **{name: value.strip() for name, value in values.items()})
