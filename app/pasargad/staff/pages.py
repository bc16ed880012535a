"""An order's work page, and the pages of its steps."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import translation

from pasargad.audit.services import audit_record
from pasargad.catalog.exceptions import CatalogError
from pasargad.catalog.money import Money
from pasargad.languages import known
from pasargad.orders.exceptions import IllegalTransition, OrderRefused, ReturnRefused
from pasargad.orders.models import Order, Status
from pasargad.orders.presenting import order_view
from pasargad.payments.exceptions import PaymentError
from pasargad.payments.models import Dispute, PaymentAttempt, Refund
from pasargad.payments.refunds import refundable
from pasargad.payments.staff_views import may_do, steps_of
from pasargad.redirects import see_other
from pasargad.reviews.exceptions import ReviewRefused
from pasargad.reviews.models import Review
from pasargad.reviews.models import Status as ReviewStatus
from pasargad.reviews.services import review_decide, review_reply
from pasargad.shipments.exceptions import CarrierError, ShipmentRefused
from pasargad.shipments.models import Shipment
from pasargad.shipments.selectors import pieces_left
from pasargad.shipments.services import SENDABLE

from .forms import ConfirmForm, ReplyForm
from .work import ORDER_STEPS, PARCEL_STEPS, Step, steps_for

logger = logging.getLogger(__name__)
REFUSALS = (
    IllegalTransition, OrderRefused, ReturnRefused, ShipmentRefused, CarrierError, PaymentError, CatalogError,
    ReviewRefused,
)  # fmt: skip


@dataclass(frozen=True)
class Happening:
    at: datetime
    text: str
    actor: str = ""
    note: str = ""


def order_page(request: HttpRequest, order_id: int) -> HttpResponse:
    """Everything about one order, and what can be done with it now."""
    _require(request, "orders.view_order")
    order = get_object_or_404(Order, pk=order_id)
    user: Any = request.user
    parcels = list(order.shipments.prefetch_related("lines__order_line", "events"))
    for parcel in parcels:
        parcel.order = order
    sees_money = user.has_perm("payments.view_paymentattempt")
    context = {
        **admin.site.each_context(request),
        "title": f"Order {order.number}",
        "order": order,
        "view": order_view(order),
        "steps": [(name, step) for name, step in steps_for(user, ORDER_STEPS, order)],
        "may_refund": user.has_perm("payments.add_refund") and refundable(order) > 0,
        "left": sum(to_pack(order).values()),
        "lines": _lines(order),
        "parcels": [(parcel, steps_for(user, PARCEL_STEPS, parcel)) for parcel in parcels],
        "returns": [
            (found, [step for step in steps_of(found) if may_do(user, step[0])])
            for found in order.returns.prefetch_related("lines__line")
        ]
        if user.has_perm("orders.view_returnrequest")
        else [],
        "attempts": _with_money(PaymentAttempt.objects.filter(order=order)) if sees_money else [],
        "refunds": _with_money(Refund.objects.filter(attempt__order=order).select_related("attempt"))
        if user.has_perm("payments.view_refund")
        else [],
        "disputes": _with_money(Dispute.objects.filter(attempt__order=order))
        if user.has_perm("payments.view_dispute")
        else [],
        "reviews": order.reviews.select_related("product") if user.has_perm("reviews.view_review") else [],
        "may_moderate": user.has_perm("reviews.change_review"),
        "happenings": _happenings(order, parcels),
    }
    return render(request, "staff/order.html", context)


def order_step(request: HttpRequest, order_id: int, name: str) -> HttpResponse:
    """Ask about one step of an order, then do it."""
    order = get_object_or_404(Order, pk=order_id)
    return _do(request, ORDER_STEPS, name, order, order, f"order {order.number}")


def parcel_step(request: HttpRequest, order_id: int, parcel_id: int, name: str) -> HttpResponse:
    """Ask about one step of a parcel, then do it; a parcel of another order does not exist."""
    parcel = get_object_or_404(Shipment.objects.select_related("order"), pk=parcel_id, order_id=order_id)
    about = f"parcel {parcel.pk} of order {parcel.order.number}"
    return _do(request, PARCEL_STEPS, name, parcel, parcel.order, about)


def review_step(request: HttpRequest, order_id: int, review_id: int, name: str) -> HttpResponse:
    """Show a review, hide it, or answer it."""
    _require(request, "reviews.change_review")
    review = get_object_or_404(Review.objects.select_related("product", "order"), pk=review_id, order_id=order_id)
    deeds: dict[str, tuple[str, Callable[[forms.Form], object]]] = {
        "approve": ("Show", lambda form: review_decide(review.pk, ReviewStatus.APPROVED, actor=str(request.user))),
        "reject": (
            "Do not show",
            lambda form: review_decide(review.pk, ReviewStatus.REJECTED, actor=str(request.user)),
        ),
        "reply": ("Answer", lambda form: review_reply(review.pk, form.cleaned_data["reply"])),
    }
    if name not in deeds:
        raise Http404
    label, deed = deeds[name]
    form = ReplyForm(_data(request), review=review) if name == "reply" else ConfirmForm(_data(request))

    def act() -> str:
        deed(form)
        return f"{label}: done."

    title = f"{label}: review of {review.product.name}"
    return ask(request, form, act, title=title, button=label, back=page_of(review.order), order=review.order)


def page_of(order: Order) -> str:
    return reverse("admin:orders_order_work", args=[order.pk])


def _do(
    request: HttpRequest, steps: dict[str, Step], name: str, subject: Any, order: Order, about: str
) -> HttpResponse:
    step = steps.get(name)
    if step is None:
        raise Http404
    _require(request, step.right)
    back = page_of(order)
    if not step.opens(subject):
        messages.warning(request, f"{step.label} is not possible: {about} has moved on.")
        return see_other(back)
    try:
        form = step.form(subject, _data(request))
    except REFUSALS as refusal:
        messages.error(request, f"{step.label}: {refusal}")
        return see_other(back)
    return ask(
        request, form, lambda: step.does(subject, form, str(request.user)), title=f"{step.label}: {about}",
        button=step.label, back=back, order=order, asks=step.asks, danger=step.danger,
    )  # fmt: skip


def ask(
    request: HttpRequest,
    form: forms.Form,
    act: Callable[[], str],
    *,
    title: str,
    button: str,
    back: str,
    order: Order,
    asks: str = "",
    danger: bool = False,
) -> HttpResponse:
    """Show a form until it is right, do what it asks for, and say in words what a service refuses."""
    status = 200
    if request.method == "POST":
        if form.is_valid():
            try:
                messages.success(request, act())
                return see_other(back)
            except REFUSALS as refusal:
                logger.info("staff refused", extra={"order": order.number, "step": button, "reason": str(refusal)})
                form.add_error(None, str(refusal))
        status = 422
    context = {
        **admin.site.each_context(request), "title": title, "form": form, "button": button, "back": back,
        "order": order, "asks": asks, "danger": danger,
    }  # fmt: skip
    return render(request, "staff/ask.html", context, status=status)


def picking_list(request: HttpRequest) -> HttpResponse:
    """What to take from the shelves for the chosen orders, by article, with the orders it is for."""
    _require(request, "orders.view_order")
    orders = _chosen(request)
    wanted: dict[str, dict[str, Any]] = {}
    for order in orders:
        left = to_pack(order)
        for line in order.lines.all():
            if left.get(line.pk):
                row = wanted.setdefault(line.sku, {"line": line, "pieces": 0, "orders": []})
                row["pieces"] += left[line.pk]
                row["orders"].append((order.number, left[line.pk]))
    rows = [wanted[sku] for sku in sorted(wanted)]
    return render(request, "staff/picking.html", {"rows": rows, "orders": orders, "actor": request.user})


def packing_slips(request: HttpRequest) -> HttpResponse:
    """One slip for each parcel of the chosen orders that has not left yet; an order without one gets a slip of all.

    Each is in its order's language, for the buyer reads it.
    """
    _require(request, "orders.view_order")
    slips: list[dict[str, Any]] = []
    for order in _chosen(request):
        language = known(order.language)
        with translation.override(language):
            view = order_view(order)
        open_states = (Shipment.State.PREPARED, Shipment.State.BUYING, Shipment.State.LABELLED)
        parcels = order.shipments.filter(state__in=open_states).prefetch_related("lines__order_line")
        for parcel in parcels:
            lines = [(row.quantity, row.order_line) for row in parcel.lines.all()]
            slips.append({"order": view, "parcel": parcel, "lines": lines, "language": language})
        left = to_pack(order)
        if not parcels and any(left.values()):
            lines = [(left[line.pk], line) for line in order.lines.all() if left[line.pk]]
            slips.append({"order": view, "parcel": None, "lines": lines, "language": language})
    audit_record("printed slips", target_type="orders.order", changes={"slips": [None, len(slips)]})
    return render(request, "staff/slips.html", {"slips": slips})


MOST_PRINTED = 200


def _chosen(request: HttpRequest) -> list[Order]:
    keys = [key for key in request.GET.get("orders", "").split(",") if key.isascii() and key.isdecimal()]
    numbers = sorted({int(key) for key in keys if len(key) < 19})[:MOST_PRINTED]
    found = Order.objects.filter(pk__in=numbers).prefetch_related("lines", "events").order_by("placed_at", "pk")
    if not found:
        raise Http404
    return list(found)


def to_pack(order: Order) -> dict[int, int]:
    """Return how many pieces of each line wait for a parcel or a buyer; none of an order that does not stand."""
    return pieces_left(order) if order.status in (*SENDABLE, Status.READY_FOR_PICKUP) else {}


def _lines(order: Order) -> list[dict[str, Any]]:
    left = to_pack(order)
    return [
        {
            "line": line,
            "unit": Money(line.unit_price_minor, order.currency),
            "total": Money(line.total_minor, order.currency),
            "discount": Money(-line.discount_minor, order.currency),
            "left": left.get(line.pk, 0),
        }
        for line in order.lines.select_related("variant")
    ]


def _with_money(rows: Any) -> list[tuple[Any, Money]]:
    return [(row, Money(row.amount_minor, getattr(row, "currency", "") or row.attempt.currency)) for row in rows]


def _happenings(order: Order, parcels: list[Shipment]) -> list[Happening]:
    """The history of an order, of its parcels and of its returns, as one."""
    found = [Happening(event.at, event.get_after_display(), event.actor, event.note) for event in order.events.all()]
    for parcel in parcels:
        found += [
            Happening(event.at, f"Parcel {parcel.pk}: {event.text or event.status}", "carrier", event.place)
            for event in parcel.events.all()
        ]
    for request in order.returns.prefetch_related("events"):
        found += [
            Happening(event.at, f"Return {request.number}: {event.get_after_display()}", event.actor, event.note)
            for event in request.events.all()
        ]
    return sorted(found, key=lambda happening: happening.at)


def _data(request: HttpRequest) -> Any:
    """Return what was sent; a form without fields is bound by being sent at all."""
    return request.POST if request.method == "POST" else None


def _require(request: HttpRequest, right: str) -> None:
    if not request.user.has_perm(right):  # type: ignore[union-attr]
        raise PermissionDenied
