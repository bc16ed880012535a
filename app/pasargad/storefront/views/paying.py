"""From an order to its payment."""

from __future__ import annotations

import logging

from django.conf import settings
from django.http import HttpResponse
from django.urls import reverse

from pasargad.orders.models import Order, Status
from pasargad.payments import gateway
from pasargad.payments.exceptions import PaymentError
from pasargad.payments.models import PaymentAttempt
from pasargad.payments.services import payment_start
from pasargad.redirects import see_other

logger = logging.getLogger(__name__)


def return_url(order: Order) -> str:
    return f"{settings.SITE_URL}{reverse('order_return', args=[order.token])}"


def to_payment(order: Order) -> HttpResponse:
    """Redirect to where the order is paid; if the provider does not answer, to the order, which can be paid later."""
    own_page = reverse("order", args=[order.token])
    if order.status == Status.PAID:
        # Paid meanwhile, or it cost nothing.
        return see_other(own_page)
    try:
        attempt = payment_start(order.pk)
    except PaymentError as error:
        logger.warning("payment not started", extra={"order": order.number, "reason": str(error)})
        return see_other(f"{own_page}?payment=unavailable")
    return see_other(payment_address(order, attempt) or f"{own_page}?payment=here")


def payment_address(order: Order, attempt: PaymentAttempt) -> str:
    return gateway.payment_page(attempt.intent_id or "", attempt.client_secret, return_url(order))
