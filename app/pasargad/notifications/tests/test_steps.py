"""Every step of an order is told once, in text and HTML, and nobody is told what did not happen."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core import mail
from django.db import transaction
from django.utils import timezone
from testing.factories import make_order, make_variant
from testing.money import make_paid

from pasargad.notifications.content import content_of
from pasargad.notifications.models import Mail
from pasargad.notifications.receivers import KIND_OF, KIND_OF_RETURN
from pasargad.notifications.services import mail_send, orders_remind
from pasargad.notifications.steps import STEPS
from pasargad.orders.models import Order, Status
from pasargad.orders.services import order_cancel, order_expire, order_lock, order_move
from pasargad.shipments.models import Shipment
from pasargad.shipments.services import shipment_prepare, shipment_send

OWN_TEMPLATES = {"order_confirmation", "order_refunded"}


def test_every_kind_has_its_words():
    assert (set(KIND_OF.values()) | set(KIND_OF_RETURN.values())) - OWN_TEMPLATES <= set(STEPS)
    # Every state that a shopper can be told of is told; the first one is told by a reminder.
    assert set(Status) - set(KIND_OF) == {Status.AWAITING_PAYMENT}


@pytest.mark.django_db
@pytest.mark.parametrize("status", [status for status in KIND_OF if KIND_OF[status] in STEPS])
def test_a_step_is_told_in_text_and_html(status, settings):
    order = make_order()
    Mail.objects.create(kind=KIND_OF[status], key=str(order.pk), recipient=order.email, next_attempt_at=timezone.now())
    mail_send(Mail.objects.get().pk)
    [sent] = mail.outbox
    html, kind = sent.alternatives[0]
    address = f"{settings.SITE_URL}/orders/{order.token}/"
    assert kind == "text/html" and order.number in sent.subject
    for text in (sent.body, html):
        assert order.number in text and address in text and "%(" not in text
    assert "\n\n\n" not in sent.body


@pytest.mark.django_db
def test_the_steps_of_an_order_are_told_once_each():
    attempt = make_paid()
    with transaction.atomic():
        order = order_lock(attempt.order_id)
        for status in (Status.PROCESSING, Status.SHIPPED, Status.DELIVERED):
            order_move(order, status, actor="staff")
    kinds = sorted(Mail.objects.values_list("kind", flat=True))
    assert kinds == ["order_confirmation", "order_delivered", "order_processing", "order_shipped"]
    assert set(Mail.objects.values_list("recipient", flat=True)) == {order.email}


@pytest.mark.django_db
@pytest.mark.parametrize(("end", "kind"), [
    (lambda order: order_expire(order), "order_expired"),
    (lambda order: order_cancel(order, actor="shopper"), "order_cancelled"),
])  # fmt: skip
def test_the_end_of_an_unpaid_order_is_told(end, kind):
    order = make_order()
    with transaction.atomic():
        end(order_lock(order.pk))
    assert Mail.objects.get().kind == kind


@pytest.mark.django_db
def test_the_tracking_numbers_of_all_parcels_are_told_with_the_last():
    order = make_paid(make_order((make_variant(), 2))).order
    row = Mail(kind="order_shipped", key=str(order.pk), recipient=order.email)
    assert "Tracking number" not in content_of(row).text
    first = shipment_prepare(order.pk, quantities={order.lines.get().pk: 1})
    last = shipment_prepare(order.pk)
    Shipment.objects.filter(pk=first.pk).update(tracking_url="https://carrier.example/1Z999")
    shipment_send(first.pk, actor="staff", tracking_number="1Z<999>")
    assert not Mail.objects.filter(kind="order_shipped").exists()
    shipment_send(last.pk, actor="staff", tracking_number="A2")
    told = content_of(Mail.objects.get(kind="order_shipped"))
    assert "1Z<999>" in told.text and "https://carrier.example/1Z999" in told.text and "A2" in told.text
    assert "1Z&lt;999&gt;" in told.html and "1Z<999>" not in told.html


@pytest.mark.django_db
def test_who_leaves_without_paying_is_reminded_once_and_in_time():
    fresh, waiting, over, paid = make_order(), make_order(), make_order(), make_paid().order
    earlier = timezone.now() - timedelta(minutes=5)
    Order.objects.exclude(pk=fresh.pk).update(placed_at=earlier)
    Order.objects.filter(pk=over.pk).update(expires_at=timezone.now())
    Mail.objects.all().delete()
    assert orders_remind() == 1 and orders_remind() == 0
    told = Mail.objects.get()
    assert (told.kind, told.key) == ("order_placed", str(waiting.pk)) and paid.pk != waiting.pk
    assert "Pay now" in content_of(told).html
