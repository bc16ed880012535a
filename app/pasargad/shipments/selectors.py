"""What pages ask of parcels."""

from __future__ import annotations

from django.db.models import F, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from pasargad.orders.models import Order, OrderLine

from .models import Shipment, ShipmentLine

SENT = (Shipment.State.IN_TRANSIT, Shipment.State.PROBLEM, Shipment.State.DELIVERED, Shipment.State.RETURNED)


def shipments_of(order: Order) -> list[Shipment]:
    """Return an order's parcels with what is in them and where they were: four queries."""
    found = order.shipments.exclude(state=Shipment.State.CANCELLED)
    return list(found.prefetch_related("events", "lines__order_line"))


def pieces_in_parcels_sent(order: Order) -> dict[int, int]:
    """Return how many pieces of each line are in parcels that left."""
    sent = ShipmentLine.objects.filter(shipment__order=order, shipment__state__in=SENT)
    return dict(sent.order_by().values_list("order_line").annotate(pieces=Sum("quantity")))


def shipment_by_tracking(carrier: str, number: str) -> Shipment | None:
    """Return the parcel that a carrier means; of a number that came back to use, the latest."""
    found = Shipment.objects.filter(tracking_number=number, tracking_carrier__iexact=carrier)
    return found.exclude(tracking_number="").order_by("-id").first()


def pieces_left(order: Order) -> dict[int, int]:
    """Return how many pieces of each line are still to be packed: in no parcel yet, and owed to the buyer."""
    packed = ShipmentLine.objects.filter(shipment__order=order).exclude(shipment__state=Shipment.State.CANCELLED)
    counts = dict(packed.values_list("order_line").annotate(pieces=Sum("quantity")))
    return {line.pk: max(0, line.owed - counts.get(line.pk, 0)) for line in order.lines.all()}


def lines_left() -> QuerySet[OrderLine]:
    """Return the lines of all orders of which pieces are still to be packed: `pieces_left` as a query."""
    packed = ShipmentLine.objects.filter(order_line=OuterRef("pk")).exclude(shipment__state=Shipment.State.CANCELLED)
    pieces = packed.order_by().values("order_line").annotate(pieces=Sum("quantity")).values("pieces")
    owed = F("quantity") + F("refunded_sent_quantity") - F("refunded_quantity")
    return OrderLine.objects.annotate(in_parcels=Coalesce(Subquery(pieces), 0)).filter(in_parcels__lt=owed)
