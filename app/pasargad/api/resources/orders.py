"""An order, for whoever holds its token."""

from __future__ import annotations

import hashlib

from pasargad.orders.exceptions import IllegalTransition, ReturnRefused
from pasargad.orders.return_models import ReturnRequest
from pasargad.orders.returns import Wish, return_request, return_withdraw, returnable_lines
from pasargad.payments.services import order_withdraw

from .. import answers, showing
from ..operations import ORDER, Call, operation
from ..problems import FieldError, Problem
from ..schemas import ReturnWanted


@operation(
    "GET",
    "/orders/{token}",
    tag="Orders",
    summary="An order",
    access=ORDER,
    answer=answers.OrderShown,
    limit="order_lookup",
)
def order_show(call: Call) -> answers.OrderShown:
    return showing.order(call.order)


@operation(
    "POST",
    "/orders/{token}/cancel",
    tag="Orders",
    summary="Cancel an order that was not paid, or cost nothing and has not been begun",
    detail="If the money was faster, the answer shows a paid order. Sent again it changes nothing.",
    access=ORDER,
    answer=answers.OrderShown,
    limit="checkout",
    refusals=True,
)
def order_cancel(call: Call) -> answers.OrderShown:
    try:
        return showing.order(order_withdraw(call.order.pk, actor=call.actor))
    except IllegalTransition as error:
        raise Problem("refused", str(error)) from error


@operation(
    "GET",
    "/orders/{token}/returns",
    tag="Orders",
    summary="Returns of an order, and what can still be returned",
    access=ORDER,
    answer=answers.ReturnList,
    limit="order_lookup",
)
def returns_list(call: Call) -> answers.ReturnList:
    return answers.ReturnList(
        items=[showing.returned(found) for found in call.order.returns.order_by("number")],
        returnable=[
            answers.ReturnLineShown(sku=found.line.sku, quantity=found.left) for found in returnable_lines(call.order)
        ],
    )


@operation(
    "POST",
    "/orders/{token}/returns",
    tag="Orders",
    summary="Ask for pieces to be taken back",
    access=ORDER,
    body=ReturnWanted,
    answer=answers.ReturnShown,
    status=201,
    limit="order_lookup",
    keyed=True,
    refusals=True,
)
def return_ask(call: Call) -> answers.ReturnShown:
    body: ReturnWanted = call.body
    lines = {line.sku: line.pk for line in call.order.lines.all()}
    quantities: dict[int, int] = {}
    for place, wanted in enumerate(body.lines):
        if wanted.sku not in lines:
            raise Problem("refused", errors=[FieldError("body", f"/lines/{place}/sku", "Not in this order.")])
        pk = lines[wanted.sku]
        quantities[pk] = quantities.get(pk, 0) + wanted.quantity
    key = hashlib.sha256(f"{call.order.pk}:{call.idempotency_key}".encode()).hexdigest()[:32]
    wish = Wish(quantities, body.reason, body.comment.strip())
    try:
        return showing.returned(return_request(call.order.pk, wish, key=key))
    except ReturnRefused as error:
        raise Problem("refused", str(error)) from error


@operation(
    "POST",
    "/orders/{token}/returns/{return_number}/withdraw",
    tag="Orders",
    summary="Take a return back before the parcel is here",
    access=ORDER,
    answer=answers.ReturnShown,
    limit="order_lookup",
    refusals=True,
)
def return_take_back(call: Call) -> answers.ReturnShown:
    found = ReturnRequest.objects.filter(order=call.order, number=int(call.path["return_number"])).first()
    if found is None:
        raise Problem("not-found", "There is no such return of this order.")
    try:
        return showing.returned(return_withdraw(found.pk))
    except IllegalTransition as error:
        raise Problem("refused", str(error)) from error
