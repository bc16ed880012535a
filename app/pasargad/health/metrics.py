"""Figures of the business, read from the database when they are asked for: right after any restart."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from django.db.models import Count, Sum
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pasargad.background.selectors import queue_lag_seconds
from pasargad.catalog.models import Reservation
from pasargad.notifications.models import Mail
from pasargad.orders.models import Order
from pasargad.payments.models import Dispute, PaymentAttempt, Refund, WebhookEvent
from pasargad.webhooks.models import Delivery


class ShopCollector(Collector):
    def collect(self) -> Iterator[Metric]:
        build = GaugeMetricFamily("pasargad_release_info", "The release that answers", labels=["release", "slot"])
        build.add_metric([settings.PASARGAD_RELEASE, settings.PASARGAD_SLOT], 1)
        yield build
        yield _counts("pasargad_orders", "Orders by status", Order, "status")
        yield _counts("pasargad_payment_attempts", "Payment attempts by status", PaymentAttempt, "status")
        yield _counts("pasargad_refunds", "Refunds by status", Refund, "status")
        yield _counts("pasargad_disputes", "Disputes by status", Dispute, "status")
        yield _counts("pasargad_mails", "Mails by state", Mail, "state")
        yield _counts("pasargad_webhook_events", "Events taken from the payment provider by type", WebhookEvent, "type")
        yield _counts("pasargad_webhook_deliveries", "Events for other programs by state", Delivery, "state")
        held = Reservation.objects.filter(state=Reservation.State.ACTIVE).aggregate(pieces=Sum("quantity"))["pieces"]
        yield GaugeMetricFamily("pasargad_reserved_pieces", "Pieces held for unpaid orders", value=held or 0)
        yield GaugeMetricFamily(
            "pasargad_queue_lag_seconds", "Age of the oldest task that could run", value=queue_lag_seconds()
        )


def _counts(name: str, documentation: str, model: type, label: str) -> Metric:
    family = GaugeMetricFamily(name, documentation, labels=[label])
    for value, count in model.objects.order_by().values_list(label).annotate(count=Count("pk")):  # type: ignore[attr-defined]
        family.add_metric([value], count)
    return family


def exposition() -> bytes:
    registry = CollectorRegistry()
    registry.register(ShopCollector())
    return generate_latest(registry)
