"""What can be done with an order now: each step is a confirmation or a small form, and one call of a service.

A step that stays inside the database is written to the audit log in its transaction. One that asks a provider or a
carrier is written down before it begins: what became of it stands in the order's own history.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from pasargad.audit.services import audit_record
from pasargad.orders.exceptions import IllegalTransition
from pasargad.orders.models import Delivery, Order, Status
from pasargad.orders.selectors import order_cancellable
from pasargad.orders.services import order_lock, order_move
from pasargad.payments.services import order_withdraw
from pasargad.shipments.models import Shipment
from pasargad.shipments.selectors import pieces_left
from pasargad.shipments.services import (
    SENDABLE,
    label_buy,
    shipment_cancel,
    shipment_prepare,
    shipment_rates,
    shipment_send,
)

from .forms import ConfirmForm, LabelForm, PackForm, SendForm

State = Shipment.State


@dataclass(frozen=True)
class Step:
    """One button. `opens` says whether it can be pressed now; `does` returns the words that say what was done."""

    label: str
    right: str
    opens: Callable[[Any], bool]
    form: Callable[[Any, Any], Any]
    does: Callable[[Any, Any, str], str]
    asks: str = ""
    danger: bool = False


def _confirm(_: Any, data: Any) -> ConfirmForm:
    return ConfirmForm(data)


def _may_become(to: Status) -> Callable[[Order], bool]:
    return lambda order: order.may_become(to)


def _move(to: Status) -> Callable[[Order, Any, str], str]:
    def move(order: Order, form: Any, actor: str) -> str:
        with transaction.atomic():
            locked = order_lock(order.pk)
            before = locked.status
            order_move(locked, to, actor=actor)
            audit_record("moved", target=locked, changes={"status": [before, to.value]})
        return f"The order is {to.label.lower()}."

    return move


def _cancel(order: Order, form: Any, actor: str) -> str:
    audit_record("began cancel", target=order, changes={"status": [order.status, Status.CANCELLED.value]})
    found = order_withdraw(order.pk, actor=actor, begun=True)
    if found.status != Status.CANCELLED:
        raise IllegalTransition(f"The order was not cancelled: it is {found.get_status_display().lower()}.")
    return "The order is cancelled, and its goods are free again."


def _pack(order: Order, form: PackForm, actor: str) -> str:
    with transaction.atomic():
        made = shipment_prepare(order.pk, quantities=form.quantities(), carrier=form.cleaned_data["carrier"])
        pieces = sum(form.quantities().values())
        audit_record("packed", target=order, changes={"parcel": [None, made.pk], "pieces": [None, pieces]})
    return f"Parcel {made.pk} is packed."


ORDER_STEPS: dict[str, Step] = {
    "start": Step(
        "Start production",
        "orders.change_order",
        _may_become(Status.PROCESSING),
        _confirm,
        _move(Status.PROCESSING),
        "The buyer is told that the pieces are being made.",
    ),
    "pack": Step(
        "Pack a parcel",
        "shipments.add_shipment",
        lambda order: (
            order.delivery == Delivery.SHIPPING and order.status in SENDABLE and any(pieces_left(order).values())
        ),
        lambda order, data: PackForm(data, order=order),
        _pack,
        "All pieces that are in no parcel yet are filled in. Take some out to send them later.",
    ),
    "ready": Step(
        "Ready for pickup",
        "orders.change_order",
        _may_become(Status.READY_FOR_PICKUP),
        _confirm,
        _move(Status.READY_FOR_PICKUP),
        "The buyer is told to come.",
    ),
    "delivered": Step(
        "Mark delivered",
        "orders.change_order",
        _may_become(Status.DELIVERED),
        _confirm,
        _move(Status.DELIVERED),
        "The time in which the buyer may return something begins.",
    ),
    "cancel": Step(
        "Cancel",
        "staff.cancel_order",
        lambda order: order_cancellable(order, begun=True),
        _confirm,
        _cancel,
        "Its payment is withdrawn and its goods are free again. This cannot be taken back.",
        danger=True,
    ),
}


def _label(shipment: Shipment, form: LabelForm, actor: str) -> str:
    rate = form.cleaned_data["offer"]
    audit_record("began label", target=shipment, changes={"offer": [None, f"{rate.name}: {rate.price_minor}"]})
    bought = label_buy(shipment.pk, rate)
    return f"Label bought: {rate.name}, number {bought.tracking_number}."


def _send(shipment: Shipment, form: SendForm, actor: str) -> str:
    with transaction.atomic():
        before = shipment.state
        sent = shipment_send(shipment.pk, actor=actor, tracking_number=form.cleaned_data["tracking_number"])
        audit_record("sent", target=sent, changes={"state": [before, sent.state]})
    return f"Parcel {shipment.pk} is on its way."


def _unpack(shipment: Shipment, form: Any, actor: str) -> str:
    with transaction.atomic():
        before = shipment.state
        shipment_cancel(shipment.pk, actor=actor)
        audit_record("unpacked", target=shipment, changes={"state": [before, State.CANCELLED.value]})
    return f"Parcel {shipment.pk} is unpacked."


def _waits(*states: str) -> Callable[[Shipment], bool]:
    return lambda shipment: shipment.state in states and shipment.order.status in SENDABLE


PARCEL_STEPS: dict[str, Step] = {
    "label": Step(
        "Buy a label",
        "shipments.change_shipment",
        lambda shipment: shipment.carrier != "own" and _waits(State.PREPARED)(shipment),
        lambda shipment, data: LabelForm(data, rates=shipment_rates(shipment), shipment=shipment),
        _label,
        "The carrier is paid at once.",
    ),
    "send": Step(
        "Handed over",
        "shipments.change_shipment",
        _waits(State.PREPARED, State.LABELLED),
        lambda shipment, data: SendForm(data, shipment=shipment),
        _send,
        "With the last parcel the order is shipped, and the buyer is told.",
    ),
    "unpack": Step(
        "Unpack",
        "shipments.change_shipment",
        lambda shipment: shipment.state in (State.PREPARED, State.LABELLED),
        _confirm,
        _unpack,
        "Its pieces can be packed anew. A label that was bought is not paid back.",
        danger=True,
    ),
}


def steps_for(user: Any, steps: dict[str, Step], subject: Any) -> list[tuple[str, Step]]:
    """Return the steps that somebody may do with an order or a parcel now."""
    return [(name, step) for name, step in steps.items() if user.has_perm(step.right) and step.opens(subject)]
