"""What waits is counted as the list behind it counts."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest
from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from testing.factories import make_order, make_promotion, make_variant
from testing.money import dispute_message, intent_message, make_attempt, make_paid, refund_message
from testing.staff import log_in

from pasargad.background.tasks import prune_finished
from pasargad.orders.models import Order, Status
from pasargad.orders.returns import Wish, return_accept, return_request
from pasargad.orders.services import order_lock, order_move
from pasargad.payments.models import Dispute, Refund
from pasargad.payments.pieces import Piece
from pasargad.payments.refunds import order_refund, refund_withdraw
from pasargad.payments.services import webhook_receive
from pasargad.reviews.services import review_write
from pasargad.shipments.services import shipment_prepare, shipment_send
from pasargad.staff.queues import SHELVES

pytestmark = pytest.mark.django_db
QUEUE = re.compile(r'<a class="queue queue-(\w+)" href="([^"]+)"><span class="queue-count">(\d+)</span> '
                   r'<span class="queue-label">([^<]+)</span>')  # fmt: skip


def queues(client) -> dict[str, tuple[str, str, int]]:
    page = client.get(reverse("admin:index")).content.decode()
    return {label: (level, unescape(url), int(count)) for level, url, count, label in QUEUE.findall(page)}


def something_everywhere() -> None:
    from django_tasks_db.models import DBTaskResult

    make_order((make_variant(stock=50), 1))
    for _ in range(2):
        paid = make_paid(make_order((make_variant(stock=50), 2)))
    order_refund(paid.order_id, 100, "Scratched", actor="test")
    order_refund(paid.order_id, 100, "Scratched again", actor="test")
    Refund.objects.filter(pk=Refund.objects.first().pk).update(status="failed")
    due = int((timezone.now() + timedelta(days=3)).timestamp())
    message = dispute_message(paid, "needs_response", amount=500)
    message["data"]["object"]["evidence_details"] = {"due_by": due}
    webhook_receive(message)
    told, early = (make_attempt(make_order((make_variant(stock=50), 1))) for _ in range(2))
    refused = refund_message(told, "succeeded", amount=told.amount_minor + 1)
    for event in (refused, intent_message(told), refund_message(early, "succeeded", amount=1)):
        webhook_receive(event)
    sent = make_paid(make_order((variant := make_variant(stock=3), 2))).order
    with transaction.atomic():
        order_move(order_lock(sent.pk), Status.SHIPPED, actor="test")
    sent.refresh_from_db()
    return_accept(return_request(sent.pk, Wish({sent.lines.get().pk: 1}, "unwanted"), key="a" * 32).pk, actor="test")
    review_write(order=sent, product_id=variant.product_id, rating=5, author="Ada")
    make_promotion(starts_at=timezone.now() - timedelta(days=1), ends_at=timezone.now() + timedelta(days=2))
    make_promotion(ends_at=timezone.now() + timedelta(days=20))
    make_promotion(starts_at=timezone.now() + timedelta(days=1))
    make_promotion(is_active=False)
    prune_finished.enqueue()
    DBTaskResult.objects.filter(task_path__endswith="prune_finished").update(status="FAILED")


def test_every_queue_counts_what_its_list_shows(client):
    something_everywhere()
    log_in(client, "manager")
    found = queues(client)
    assert found.keys() == {source.label for sources in SHELVES.values() for source in sources}
    counts = {label: count for label, (_, _, count) in found.items() if count}
    assert counts == {
        "To pack": 3, "Awaiting payment": 2, "Returns to receive": 1, "Refunds under way": 1, "Refunds that failed": 1,
        "Disputes": 1, "Messages about money that cannot be done": 1, "Low stock": 1, "Reviews to read": 1,
        "Promotions running": 2, "Promotions that end within a week": 1, "Background tasks that failed": 1,
    }  # fmt: skip
    for label, (_, url, count) in found.items():
        answer = client.get(url)
        assert answer.status_code == 200, (label, url)
        assert answer.context["cl"].result_count == count, label


def test_pieces_that_are_owed_again_are_to_be_packed_though_the_order_was_sent(client):
    log_in(client, "packing")
    order = make_paid(make_order((make_variant(stock=5), 3))).order
    line = order.lines.get()
    shipment_send(shipment_prepare(order.pk, quantities={line.pk: 2}).pk, actor="test")
    refund = order_refund(order.pk, 100, "Broken in the press", actor="test", pieces=[Piece(line, 1)])
    Refund.objects.filter(pk=refund.pk).update(status="failed")
    assert Order.objects.get().status == Status.SHIPPED and queues(client)["To pack"][2] == 0
    refund_withdraw(refund.pk, actor="test")
    assert queues(client)["To pack"][2] == 1
    shipment_send(shipment_prepare(order.pk).pk, actor="test")
    assert queues(client)["To pack"][2] == 0 and Order.objects.get().status == Status.SHIPPED


def test_what_was_sent_without_parcels_is_not_to_be_packed(client):
    """The other half: of such an order no parcel tells that its pieces are gone."""
    log_in(client, "packing")
    order = make_paid(make_order((make_variant(stock=5), 3))).order
    with transaction.atomic():
        order_move(order_lock(order.pk), Status.SHIPPED, actor="test")
    assert queues(client)["To pack"][2] == 0


def test_a_dispute_says_until_when_it_must_be_answered(client):
    something_everywhere()
    log_in(client, "finance")
    assert "Answer by" in client.get(reverse("admin:index")).content.decode()
    assert Dispute.objects.get().due_at > timezone.now()
    Dispute.objects.update(due_at=timezone.now() - timedelta(hours=2))
    assert "The time was over" in client.get(reverse("admin:index")).content.decode()


def test_a_later_deadline_takes_the_place_of_the_first():
    paid = make_paid(make_order((make_variant(), 1)))
    for days in (3, 9):
        message = dispute_message(paid, "needs_response", amount=500)
        when = int((timezone.now() + timedelta(days=days)).timestamp())
        message["data"]["object"]["evidence_details"] = {"due_by": when}
        webhook_receive(message)
    assert int(Dispute.objects.get().due_at.timestamp()) == when


def test_today_asks_as_much_of_a_full_shop_as_of_an_empty_one(client, django_assert_max_num_queries):
    log_in(client, "manager")
    client.get(reverse("admin:index"))
    something_everywhere()
    with django_assert_max_num_queries(35):
        client.get(reverse("admin:index"))


@pytest.mark.parametrize(
    "words", ["number", "ada@example.org", "Lovelace", "SKU", "Lamp"], ids=["number", "mail", "name", "sku", "article"]
)
def test_an_order_is_found_by_what_one_knows_of_it(client, words):
    order = make_order((make_variant(sku="SKU-FIND"), 1))
    Order.objects.exclude(pk=order.pk).delete()
    log_in(client, "packing")
    asked = {"number": order.number, "SKU": "SKU-FIND"}.get(words, words)
    page = client.get(reverse("admin:orders_order_changelist"), {"q": asked})
    assert page.context["cl"].result_count == 1 and reverse("admin:orders_order_work", args=[order.pk]) in (
        page.content.decode()
    )
    assert client.get(reverse("admin:orders_order_changelist"), {"q": "nothing"}).context["cl"].result_count == 0


def test_pages_of_the_staff_hold_no_inline_script_or_style(client):
    something_everywhere()
    log_in(client, "manager")
    order = Order.objects.first()
    for url in (
        reverse("admin:index"), reverse("admin:orders_order_work", args=[order.pk]), reverse("admin:figures"),
        reverse("admin:orders_order_changelist"), f"{reverse('admin:orders_order_picking')}?orders={order.pk}",
        f"{reverse('admin:orders_order_slips')}?orders={order.pk}", reverse("admin:audit_entry_changelist"),
    ):  # fmt: skip
        answer = client.get(url)
        page = answer.content.decode()
        assert answer.status_code == 200 and not re.search(r"\sstyle=|<style|\son\w+=|<script(?![^>]*src=)", page), url
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    assert settings.ADMIN_SITE_HEADER in page or "Audit" in page
