"""Orders, parcels and refunds, for staff and their programs."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from django.db import transaction

from pasargad.orders.exceptions import IllegalTransition
from pasargad.orders.models import Order, OrderLine, Status
from pasargad.orders.selectors import orders_before
from pasargad.orders.services import order_lock, order_move
from pasargad.payments.exceptions import RefundRefused
from pasargad.payments.pieces import Piece
from pasargad.payments.refunds import order_refund
from pasargad.shipments.exceptions import ShipmentRefused
from pasargad.shipments.models import Shipment
from pasargad.shipments.services import shipment_prepare, shipment_send

from .. import answers, cursors, showing
from ..operations import Call, operation
from ..problems import FieldError, Problem
from ..schemas import OrderQuery, ParcelToPack, ParcelToSend, RefundWanted, StatusWanted
from ..scopes import Scope

USUAL_SIZE = 24


@operation(
    "GET",
    "/staff/orders",
    tag="Staff: orders",
    summary="Orders, newest first",
    access=Scope.ORDERS_READ,
    query=OrderQuery,
    answer=answers.StaffOrderList,
    refusals=True,
)
def staff_orders_list(call: Call) -> answers.StaffOrderList:
    asked: OrderQuery = call.query
    size = asked.limit or USUAL_SIZE
    since = datetime.fromisoformat(asked.placed_since).replace(tzinfo=UTC) if asked.placed_since else None
    found = orders_before(
        cursors.place_of(asked), size=size, status=asked.status or "", email=asked.email or "", since=since
    )
    rows = found[:size]
    return answers.StaffOrderList(
        items=[showing.staff_order(row, with_money=False) for row in rows],
        next=cursors.cursor_of(rows[-1].pk if len(found) > size else None, asked),
    )


@operation(
    "GET",
    "/staff/orders/{number}",
    tag="Staff: orders",
    summary="An order",
    access=Scope.ORDERS_READ,
    answer=answers.StaffOrder,
)
def staff_order_show(call: Call) -> answers.StaffOrder:
    return showing.staff_order(_order(call), with_money=True)


@operation(
    "POST",
    "/staff/orders/{number}/status",
    tag="Staff: orders",
    summary="Move an order on",
    access=Scope.ORDERS_WRITE,
    body=StatusWanted,
    answer=answers.StaffOrder,
    refusals=True,
)
def staff_order_move(call: Call) -> answers.StaffOrder:
    body: StatusWanted = call.body
    order = _order(call)
    try:
        with transaction.atomic():
            moved = order_move(order_lock(order.pk), Status(body.status), actor=call.actor, note=body.note)
    except IllegalTransition as error:
        raise Problem("refused", str(error)) from error
    return showing.staff_order(moved, with_money=True)


@operation(
    "POST",
    "/staff/orders/{number}/parcels",
    tag="Staff: orders",
    summary="Pack a parcel",
    access=Scope.ORDERS_WRITE,
    body=ParcelToPack,
    answer=answers.ParcelShown,
    status=201,
    keyed=True,
    refusals=True,
)
def parcel_pack(call: Call) -> answers.ParcelShown:
    order = _order(call)
    body: ParcelToPack = call.body
    quantities = None
    if body.lines is not None:
        lines, quantities = _lines(order), {}
        for place, wanted in enumerate(body.lines):
            line = _line(lines, wanted.sku, place)
            quantities[line.pk] = quantities.get(line.pk, 0) + wanted.quantity
    try:
        return showing.parcel(shipment_prepare(order.pk, quantities=quantities))
    except ShipmentRefused as error:
        raise Problem("refused", str(error)) from error


@operation(
    "POST",
    "/staff/parcels/{parcel}/send",
    tag="Staff: orders",
    summary="Note that a parcel was handed over",
    access=Scope.ORDERS_WRITE,
    body=ParcelToSend,
    answer=answers.ParcelShown,
    refusals=True,
)
def parcel_send(call: Call) -> answers.ParcelShown:
    body: ParcelToSend = call.body
    try:
        sent = shipment_send(int(call.path["parcel"]), actor=call.actor, tracking_number=body.tracking_number.strip())
    except Shipment.DoesNotExist:
        raise Problem("not-found", "There is no such parcel.") from None
    except ShipmentRefused as error:
        raise Problem("refused", str(error)) from error
    return showing.parcel(sent)


@operation(
    "POST",
    "/staff/orders/{number}/refunds",
    tag="Staff: orders",
    summary="Give back part or all of an order's money",
    detail="The refund is noted at once and sent by a worker; its `status` follows.",
    access=Scope.REFUNDS_WRITE,
    body=RefundWanted,
    answer=answers.RefundShown,
    status=201,
    keyed=True,
    refusals=True,
)
def refund_give(call: Call) -> answers.RefundShown:
    order = _order(call)
    body: RefundWanted = call.body
    lines = _lines(order)
    pieces = [
        Piece(_line(lines, wanted.sku, place), wanted.quantity, wanted.restock)
        for place, wanted in enumerate(body.lines)
    ]
    if len({piece.line.pk for piece in pieces}) != len(pieces):
        raise Problem("refused", "A line is named twice.")
    key = hashlib.sha256(f"{call.actor}:{call.idempotency_key}".encode()).hexdigest()[:32]
    try:
        given = order_refund(order.pk, body.amount_minor, body.reason.strip(), actor=call.actor, pieces=pieces, key=key)
    except RefundRefused as error:
        raise Problem("refused", str(error)) from error
    return showing.refund(given, order.number)


def _order(call: Call) -> Order:
    found = Order.objects.filter(number=call.path["number"]).first()
    if found is None:
        raise Problem("not-found", "There is no such order.")
    return found


def _lines(order: Order) -> dict[str, OrderLine]:
    return {line.sku: line for line in order.lines.all()}


def _line(lines: dict[str, OrderLine], sku: str, place: int) -> OrderLine:
    if sku not in lines:
        raise Problem("refused", errors=[FieldError("body", f"/lines/{place}/sku", "Not in this order.")])
    return lines[sku]
