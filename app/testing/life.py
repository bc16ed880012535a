"""The life of four orders from cart to return, as a process that a planned fault may end: `python -m testing.life`.

The database and the payment provider are the caller's, named by the environment; the caller looks at what is left.
"""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from pathlib import Path


def main() -> None:
    from django.db import transaction
    from django.utils import timezone

    from pasargad.catalog.models import Variant
    from pasargad.notifications.services import mails_send_due
    from pasargad.orders.models import Order, Status
    from pasargad.orders.returns import Arrived, Wish, return_accept, return_receive, return_request
    from pasargad.orders.services import order_lock, order_move
    from pasargad.payments import gateway
    from pasargad.payments.messages import TYPES
    from pasargad.payments.refunds import order_refund, refund_send, return_refund
    from pasargad.payments.services import (
        events_pull,
        orders_expire,
        payment_start,
        payments_reconcile,
        webhook_receive,
    )
    from pasargad.webhooks import services as webhooks
    from pasargad.webhooks import transport
    from pasargad.webhooks.kinds import Kind
    from testing.factories import make_order

    # A program that takes everything: how it is reached is the matter of other tests.
    transport.post = lambda url, body, headers: transport.Result(204, "", 1)
    webhooks.endpoint_create(name="life", url="https://hooks.example/", events=Kind.values)

    def buy() -> Order:
        order = make_order(*((variant, 1) for variant in Variant.objects.order_by("pk")))
        confirm(payment_start(order.pk).intent_id or "")
        return order

    told = buy()
    for event in gateway.events_since(timezone.now() - timedelta(hours=1), TYPES):
        webhook_receive(event)

    late = make_order((Variant.objects.order_by("pk")[0], 1))
    payment_start(late.pk)
    Order.objects.filter(pk=late.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    orders_expire()

    buy()
    payments_reconcile(quiet_seconds=0)
    buy()
    events_pull()
    mails_send_due()
    webhooks.deliveries_send_due()

    refund_send(order_refund(told.pk, 100, "A scratch.", actor="staff").pk)
    with transaction.atomic():
        order_move(order_lock(told.pk), Status.SHIPPED, actor="staff")
    found = return_request(told.pk, Wish({told.lines.order_by("pk")[0].pk: 1}, "unwanted"), key="a" * 32)
    return_accept(found.pk, actor="staff")
    return_receive(found.pk, {found.lines.get().pk: Arrived(restock=1)}, actor="staff")
    refund_send(return_refund(found.pk, 500, actor="staff").pk)


def confirm(intent_id: str) -> None:
    """Pay at the provider, as the shopper's browser does."""
    from pasargad.payments import gateway

    gateway._client().v1.payment_intents.confirm(
        intent_id, {"payment_method": "pm_card_visa", "return_url": "https://shop.example/"}
    )


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.test")
    import django

    django.setup()
    main()
