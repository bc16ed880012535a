"""Packing, labelling and following parcels. Rows are locked in one order: the order first, then its parcels."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from pasargad.catalog.models import Variant
from pasargad.orders.models import Delivery, Order, Status
from pasargad.orders.services import order_lock, order_move

from .carriers import port
from .carriers.port import CarrierRate, Label, Parcel, Party, Tracking
from .carriers.registry import carrier_of
from .exceptions import CarrierError, CarrierRefused, ShipmentRefused
from .models import Shipment, ShipmentLine, TrackingEvent
from .selectors import pieces_in_parcels_sent, pieces_left

logger = logging.getLogger(__name__)
State = Shipment.State

SENDABLE = (Status.PAID, Status.PROCESSING, Status.SHIPPED)
STATE_OF = {
    port.TRANSIT: State.IN_TRANSIT,
    port.PROBLEM: State.PROBLEM,
    port.DELIVERED: State.DELIVERED,
    port.RETURNED: State.RETURNED,
}
ENDED = (State.DELIVERED, State.RETURNED, State.CANCELLED)
NOT_SENT = (State.PREPARED, State.BUYING, State.LABELLED)


def shipment_prepare(order_id: int, *, quantities: Mapping[int, int] | None = None, carrier: str = "") -> Shipment:
    """Make a parcel of an order's lines, or of all that is in none yet; raises ShipmentRefused.

    `quantities` maps order lines to pieces.
    """
    with transaction.atomic():
        order = order_lock(order_id)
        if order.delivery != Delivery.SHIPPING or order.status not in SENDABLE:
            raise ShipmentRefused(f"{order.number} has nothing to send: it is {order.get_status_display().lower()}.")
        left = pieces_left(order)
        wanted = {pk: count for pk, count in (quantities or left).items() if count}
        if not wanted or any(count < 0 or count > left.get(pk, 0) for pk, count in wanted.items()):
            raise ShipmentRefused(f"{order.number} has not so many pieces left to pack.")
        lines = {line.pk: line for line in order.lines.select_related("variant")}
        shipment = Shipment.objects.create(
            order=order,
            carrier=carrier or order.shipping_carrier or "own",
            service=order.shipping_service,
            grams=sum(lines[pk].weight_grams * count for pk, count in wanted.items()),
            **_box([lines[pk].variant for pk in wanted]),
        )
        ShipmentLine.objects.bulk_create(
            ShipmentLine(shipment=shipment, order_line_id=pk, quantity=wanted[pk]) for pk in sorted(wanted)
        )
    return shipment


def shipment_cancel(shipment_id: int, *, actor: str) -> None:
    """Unpack a parcel that has not left; the order is shipped if nothing else was owed. Raises ShipmentRefused."""
    with transaction.atomic():
        order, shipment = _lock(shipment_id)
        if shipment.state not in (State.PREPARED, State.LABELLED):
            raise ShipmentRefused("This parcel has left, or its label is being bought.")
        shipment.state = State.CANCELLED
        shipment.save(update_fields=["state", "updated_at"])
        order_advance(order, actor)


def shipment_rates(shipment: Shipment) -> list[CarrierRate]:
    """Ask the carrier what sending a parcel costs, cheapest first; raises ShipmentRefused or CarrierError."""
    _require_standing(shipment.order)
    found = carrier_of(shipment.carrier).rates(_parcel(shipment))
    return sorted(found, key=lambda rate: rate.price_minor)


def label_buy(shipment_id: int, rate: CarrierRate) -> Shipment:
    """Buy a label, once: the wish is stored before the carrier is asked. Raises ShipmentRefused or CarrierError.

    After CarrierUnreachable the parcel stays `buying` until `label_settle` learns what happened.
    """
    shipment = _wish_for_label(shipment_id, rate)
    try:
        label = carrier_of(shipment.carrier).buy(rate.id, reference=shipment.reference)
    except CarrierRefused as error:
        _not_bought(shipment, str(error))
        raise
    _bought(shipment, label)
    shipment.refresh_from_db()
    return shipment


def label_settle(shipment: Shipment) -> None:
    """Find out what became of a label whose purchase got no answer; raises CarrierError."""
    label = carrier_of(shipment.carrier).find(shipment.rate_id)
    if label:
        _bought(shipment, label)
    else:
        _not_bought(shipment, "No label was bought. Please try again.")


def labels_settle(*, quiet_seconds: int = 120, limit: int = 50) -> int:
    """Ask about every purchase without an answer; returns how many were settled.

    What stays unknown goes to the end of the queue, so that it keeps no other from being asked about.
    """
    before = timezone.now() - timedelta(seconds=quiet_seconds)
    settled = 0
    for shipment in Shipment.objects.filter(state=State.BUYING, updated_at__lt=before).order_by("updated_at")[:limit]:
        try:
            label_settle(shipment)
            settled += 1
        except CarrierError as error:
            logger.warning("label unknown", extra={"shipment": shipment.pk, "reason": str(error)})
        except Exception:
            logger.exception("cannot note what became of a label", extra={"shipment": shipment.pk})
        Shipment.objects.filter(pk=shipment.pk, state=State.BUYING).update(updated_at=timezone.now())
    return settled


def shipment_send(shipment_id: int, *, actor: str, tracking_number: str = "") -> Shipment:
    """Note that a parcel was handed over; the order is shipped when all of it is. Raises ShipmentRefused."""
    with transaction.atomic():
        order, shipment = _lock(shipment_id)
        if shipment.state not in (State.PREPARED, State.LABELLED) or order.status not in SENDABLE:
            raise ShipmentRefused("This parcel cannot be sent: it has left already, or its order does not stand.")
        _require_owed(order, shipment)
        shipment.state, shipment.sent_at = State.IN_TRANSIT, timezone.now()
        shipment.tracking_number = tracking_number or shipment.tracking_number
        shipment.save()
        order_advance(order, actor)
    return shipment


def tracking_record(shipment_id: int, tracking: Tracking) -> int:
    """Note what a carrier tells of a parcel, in whatever order and however often; returns how much of it was new."""
    with transaction.atomic():
        order, shipment = _lock(shipment_id)
        known = set(shipment.events.values_list("at", "status", "text"))
        fresh = {(step.at, step.status, step.text): step for step in tracking.steps}
        new = [step for key, step in fresh.items() if key not in known]
        TrackingEvent.objects.bulk_create(
            TrackingEvent(shipment=shipment, status=step.status, text=step.text, place=step.place, at=step.at)
            for step in new
        )
        if new:
            _follow(shipment)
            order_advance(order, "carrier")
    return len(new)


def order_advance(order: Order, actor: str) -> None:
    """Move a locked order on when all its pieces have left, and when all have arrived."""
    parcels = [shipment.state for shipment in order.shipments.all() if shipment.state != State.CANCELLED]
    if any(pieces_left(order).values()) or not parcels or any(state in NOT_SENT for state in parcels):
        return
    if order.may_become(Status.SHIPPED):
        order_move(order, Status.SHIPPED, actor=actor)
    if order.status == Status.SHIPPED and all(state == State.DELIVERED for state in parcels):
        order_move(order, Status.DELIVERED, actor=actor)


def _lock(shipment_id: int) -> tuple[Order, Shipment]:
    order = order_lock(Shipment.objects.get(pk=shipment_id).order_id)
    return order, Shipment.objects.select_for_update().get(pk=shipment_id)


def _follow(shipment: Shipment) -> None:
    """Bring a parcel to the state of its latest event; what has ended stays so."""
    latest = shipment.events.exclude(status=port.PRE_TRANSIT).order_by("-at", "-id").first()
    if latest is None or shipment.state in ENDED:
        return
    shipment.state = STATE_OF[latest.status]
    shipment.sent_at = shipment.sent_at or latest.at
    if shipment.state == State.DELIVERED:
        shipment.delivered_at = latest.at
    shipment.save()


def _wish_for_label(shipment_id: int, rate: CarrierRate) -> Shipment:
    """Note that a label is being bought, where one is of use."""
    with transaction.atomic():
        order, shipment = _lock(shipment_id)
        if shipment.state != State.PREPARED:
            raise ShipmentRefused("This parcel has a label, or one is being bought.")
        _require_to_be_sent(order, shipment)
        shipment.state, shipment.error = State.BUYING, ""
        shipment.rate_id, shipment.service = rate.id, rate.service[:60]
        shipment.tracking_carrier = rate.carrier.lower()[:40]
        shipment.cost_minor, shipment.currency = rate.price_minor, rate.currency
        shipment.save()
    return shipment


def _require_to_be_sent(order: Order, shipment: Shipment) -> None:
    _require_standing(order)
    _require_owed(order, shipment)


def _require_standing(order: Order) -> None:
    if order.status not in SENDABLE:
        raise ShipmentRefused(f"{order.number} needs no label: it is {order.get_status_display().lower()}.")


def _require_owed(order: Order, shipment: Shipment) -> None:
    """Refuse a parcel with pieces that were refunded after they were packed."""
    sent = pieces_in_parcels_sent(order)
    for row in shipment.lines.select_related("order_line"):
        if sent.get(row.order_line_id, 0) + row.quantity > row.order_line.owed:
            raise ShipmentRefused(f"{row.order_line.sku} was refunded after it was packed: pack this parcel anew.")


def _bought(shipment: Shipment, label: Label) -> None:
    Shipment.objects.filter(pk=shipment.pk, state=State.BUYING).update(
        state=State.LABELLED,
        provider_id=label.id,
        tracking_number=label.tracking_number[:64],
        tracking_url=label.tracking_url[:300],
        label_url=label.label_url[:1000],
        error="",
        updated_at=timezone.now(),
    )


def _not_bought(shipment: Shipment, reason: str) -> None:
    Shipment.objects.filter(pk=shipment.pk, state=State.BUYING).update(
        state=State.PREPARED, cost_minor=0, error=reason[:300], updated_at=timezone.now()
    )


def _box(variants: list[Variant]) -> dict[str, int]:
    """Guess a box: the largest sides of the pieces; staff correct it."""
    sides = [sorted((each.width_mm, each.depth_mm, each.height_mm), reverse=True) for each in variants]
    length, width, height = (max((side[index] for side in sides), default=0) for index in range(3))
    return {"length_mm": length, "width_mm": width, "height_mm": height}


def _parcel(shipment: Shipment) -> Parcel:
    order, origin = shipment.order, settings.SHIPPING.origin
    sender = Party(
        origin.name,
        origin.street,
        "",
        origin.city,
        origin.state,
        origin.zip,
        origin.country,
        origin.phone,
        origin.email,
    )
    recipient = Party(
        order.name, order.street, order.street2, order.city, order.state, order.zip, order.country, order.phone,
        order.email,
    )  # fmt: skip
    sizes = (max(shipment.grams, 1), *(max(size, 1) for size in _sizes(shipment)))
    return Parcel(sender, recipient, *sizes, shipment.reference)


def _sizes(shipment: Shipment) -> tuple[int, int, int]:
    return shipment.length_mm, shipment.width_mm, shipment.height_mm
