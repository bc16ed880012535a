"""Steps of the staff that need a form: a refund of an order, and what becomes of a return."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse

from pasargad.orders import returns
from pasargad.orders.exceptions import IllegalTransition, ReturnRefused
from pasargad.orders.models import Order
from pasargad.orders.return_models import RETURN_TRANSITIONS, ReturnRequest, ReturnState

from .exceptions import RefundRefused
from .refunds import order_refund, refundable, return_refund
from .staff_forms import AcceptForm, AnswerForm, ReceiveForm, RefundForm, ReturnRefundForm

REFUSALS = (RefundRefused, ReturnRefused, IllegalTransition)


def refund_order(request: HttpRequest, order_id: int) -> HttpResponse:
    """Give part or all of an order's money back."""
    if not request.user.has_perm("payments.add_refund"):
        raise PermissionDenied
    order = get_object_or_404(Order, pk=order_id)
    back = reverse("admin:orders_order_change", args=[order.pk])
    if not refundable(order):
        messages.warning(request, "There is nothing to give back for this order.")
        return HttpResponseRedirect(back)
    form = RefundForm(request.POST or None, order=order)

    def act() -> str:
        data = form.cleaned_data
        order_refund(
            order.pk,
            form.amount_minor,
            data["reason"],
            actor=str(request.user),
            pieces=form.pieces(),
            key=data["request_key"],
        )
        return "The refund is on its way."

    return _step(request, form, act, title=f"Refund for order {order}", back=back)


@dataclass(frozen=True)
class ReturnStep:
    """One thing staff do with a return: the state it leads to, its form, and the deed."""

    label: str
    to: ReturnState
    form: Callable[[ReturnRequest, Any], Any]
    deed: Callable[[ReturnRequest, Any, str], object]


def _answer(deed: Callable[..., object]) -> Callable[[ReturnRequest, Any, str], object]:
    return lambda found, form, actor: deed(found.pk, actor=actor, answer=form.cleaned_data["answer"])


STEPS = {
    "accept": ReturnStep(
        "Accept", ReturnState.ACCEPTED, lambda found, data: AcceptForm(data), _answer(returns.return_accept)
    ),
    "refuse": ReturnStep(
        "Refuse", ReturnState.REFUSED, lambda found, data: AnswerForm(data), _answer(returns.return_refuse)
    ),
    "receive": ReturnStep(
        "Note what came back",
        ReturnState.RECEIVED,
        lambda found, data: ReceiveForm(data, request=found),
        lambda found, form, actor: returns.return_receive(
            found.pk, form.arrived(), actor=actor, note=form.cleaned_data["note"]
        ),
    ),
    "refund": ReturnStep(
        "Give the money back",
        ReturnState.REFUNDING,
        lambda found, data: ReturnRefundForm(data, request=found),
        lambda found, form, actor: return_refund(found.pk, form.amount_minor, actor=actor),
    ),
    "close": ReturnStep(
        "Close without refund", ReturnState.CLOSED, lambda found, data: AnswerForm(data), _answer(returns.return_close)
    ),
}


def steps_of(found: ReturnRequest) -> list[tuple[str, str]]:
    """Return (name, label) of what can be done with a return now."""
    if found.state == ReturnState.REFUNDED:
        return []
    after = RETURN_TRANSITIONS[ReturnState(found.state)]
    return [(name, step.label) for name, step in STEPS.items() if step.to in after and found.state != "refunding"]


def may_do(user: Any, name: str) -> bool:
    """Whether somebody may do this step: money is one right, unpacking another, answering a third."""
    rights = {
        "refund": ("payments.add_refund",),
        "receive": ("staff.receive_return", "orders.change_returnrequest"),
    }.get(name, ("orders.change_returnrequest",))
    return any(user.has_perm(right) for right in rights)


def return_step(request: HttpRequest, request_id: int, name: str) -> HttpResponse:
    """Do one step of a return."""
    if name not in STEPS:
        raise Http404
    if not may_do(request.user, name):
        raise PermissionDenied
    step, found = STEPS[name], get_object_or_404(ReturnRequest.objects.select_related("order"), pk=request_id)
    back = reverse("admin:orders_returnrequest_change", args=[found.pk])
    if name not in dict(steps_of(found)):
        messages.warning(request, f"This return is {found.get_state_display().lower()}.")
        return HttpResponseRedirect(back)
    form = step.form(found, request.POST or None)

    def act() -> str:
        step.deed(found, form, str(request.user))
        return f"{step.label}: done."

    return _step(request, form, act, title=f"{step.label}: return {found.number} of order {found.order}", back=back)


def _step(request: HttpRequest, form: forms.Form, act: Callable[[], str], *, title: str, back: str) -> HttpResponse:
    """Show a form until it is right, and do what it asks for."""
    status = 200
    if request.method == "POST":
        if form.is_valid():
            try:
                messages.success(request, act())
                return HttpResponseRedirect(back)
            except REFUSALS as refusal:
                form.add_error(None, str(refusal))
        status = 422
    context = {**admin.site.each_context(request), "title": title, "form": form, "back": back}
    return render(request, "admin/payments/step.html", context, status=status)
