"""Returns: asked for by the buyer, answered and received by the staff. Money is the payments' part.

Rows are locked in one order: the order, then the return. The condition in each UPDATE is the last line of defence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Sum
from django.utils import timezone
from django.utils.translation import gettext as _

from pasargad.catalog.models import StockMovement
from pasargad.catalog.money import half_up
from pasargad.catalog.stock import stock_move
from pasargad.faults import crash_point

from .exceptions import IllegalTransition, ReturnRefused
from .models import Order, OrderLine, Status
from .return_models import COUNTING, RETURN_TRANSITIONS, ReturnEvent, ReturnLine, ReturnRequest, ReturnState
from .services import order_lock
from .signals import return_changed

RETURNABLE = (Status.SHIPPED, Status.DELIVERED)
RETURN_DAYS = 30


@dataclass(frozen=True)
class Returnable:
    """A line of an order and how many of its pieces may still be asked back."""

    line: OrderLine
    left: int


@dataclass(frozen=True)
class Wish:
    """What the buyer typed, checked by the form; `quantities` by line."""

    quantities: Mapping[int, int]
    reason: str
    comment: str = ""


@dataclass(frozen=True)
class Arrived:
    """How many pieces of a line came back, sorted by what becomes of them."""

    restock: int = 0
    write_off: int = 0


def returnable_lines(order: Order) -> list[Returnable]:
    """Return the lines with pieces that may be asked back, or nothing when the time for it is over: two queries."""
    if order.status not in RETURNABLE or _too_late(order):
        return []
    taken = pieces_in_returns(order)
    lines = (
        Returnable(line, line.quantity - line.refunded_quantity - taken.get(line.pk, 0)) for line in order.lines.all()
    )
    return [found for found in lines if found.left > 0]


def pieces_in_returns(order: Order) -> dict[int, int]:
    """Return how many pieces of each line are, or were, in a return that counts."""
    asked = ReturnLine.objects.filter(request__order=order, request__state__in=COUNTING)
    return dict(asked.order_by().values_list("line_id").annotate(pieces=Sum("quantity")))


def return_request(order_id: int, wish: Wish, *, key: str, actor: str = "shopper") -> ReturnRequest:
    """Ask for pieces to be taken back; the same key gives the same return. Raises ReturnRefused."""
    with transaction.atomic():
        order = order_lock(order_id)
        if known := ReturnRequest.objects.filter(request_key=key).first():
            if known.order_id != order.pk:
                raise ReturnRefused(_("This form is damaged. Please load the page again."))
            return known
        wanted = {pk: pieces for pk, pieces in wish.quantities.items() if pieces}
        left = {found.line.pk: found.left for found in returnable_lines(order)}
        if not left:
            raise ReturnRefused(_("Nothing of this order can be returned (any more)."))
        if not wanted:
            raise ReturnRefused(_("Choose at least one piece."))
        if any(pieces > left.get(pk, 0) for pk, pieces in wanted.items()):
            raise ReturnRefused(_("That is more than can still be returned."))
        request = ReturnRequest.objects.create(
            order=order,
            number=ReturnRequest.objects.filter(order=order).count() + 1,
            request_key=key,
            reason=wish.reason,
            comment=wish.comment,
        )
        ReturnLine.objects.bulk_create(
            ReturnLine(request=request, line_id=pk, quantity=pieces) for pk, pieces in sorted(wanted.items())
        )
        _note(request, "", ReturnState.REQUESTED, actor, wish.comment)
    return request


def return_lock(request_id: int) -> ReturnRequest:
    """Return the request with its order, both locked, the order first."""
    order_lock(ReturnRequest.objects.values_list("order_id", flat=True).get(pk=request_id))
    return ReturnRequest.objects.select_for_update(of=("self",)).select_related("order").get(pk=request_id)


def return_move(request: ReturnRequest, to: ReturnState, *, actor: str, note: str = "") -> ReturnRequest:
    """Move a locked return to another state, with its history; raises IllegalTransition."""
    before = ReturnState(request.state)
    if to not in RETURN_TRANSITIONS[before]:
        raise IllegalTransition(f"The return is {before.label.lower()} and cannot become {to.label.lower()}.")
    if not ReturnRequest.objects.filter(pk=request.pk, state=before).update(state=to, updated_at=timezone.now()):
        raise IllegalTransition("The return changed meanwhile.")
    request.state = to
    _note(request, before, to, actor, note)
    return request


def return_accept(request_id: int, *, actor: str, answer: str = "") -> ReturnRequest:
    """Agree to take the pieces back; `answer` tells the buyer where to send them."""
    return _answered(request_id, ReturnState.ACCEPTED, actor, answer)


def return_refuse(request_id: int, *, actor: str, answer: str) -> ReturnRequest:
    """Refuse, and tell the buyer why."""
    return _answered(request_id, ReturnState.REFUSED, actor, answer)


def return_close(request_id: int, *, actor: str, answer: str) -> ReturnRequest:
    """End a return that brings no refund: nothing came, or what came cannot be taken back."""
    return _answered(request_id, ReturnState.CLOSED, actor, answer)


def return_withdraw(request_id: int, *, actor: str = "shopper") -> ReturnRequest:
    """Take the wish back, as the buyer may until the parcel is here."""
    with transaction.atomic():
        return return_move(return_lock(request_id), ReturnState.WITHDRAWN, actor=actor)


def return_receive(request_id: int, arrived: Mapping[int, Arrived], *, actor: str, note: str = "") -> ReturnRequest:
    """Note what came back, by return line, and put what can be sold again into stock: once. Raises ReturnRefused."""
    with transaction.atomic():
        request = return_move(return_lock(request_id), ReturnState.RECEIVED, actor=actor, note=note)
        lines = list(request.lines.select_related("line").order_by("line__variant_id"))
        for row in lines:
            found = arrived.get(row.pk, Arrived())
            if found.restock + found.write_off > row.quantity:
                raise ReturnRefused("More pieces came back than were asked for.")
            row.restocked, row.written_off = found.restock, found.write_off
        if not any(row.restocked + row.written_off for row in lines):
            raise ReturnRefused("Nothing came back: close the return instead.")
        ReturnLine.objects.bulk_update(lines, ["restocked", "written_off"])
        restock(((row.line, row.restocked) for row in lines), reference=request.reference)
        crash_point("orders.return.received")
    return request


def restock(pieces: Iterable[tuple[OrderLine, int]], *, reference: str) -> None:
    """Put pieces back into stock; goods made to order never were in it. A reference does so once."""
    for line, quantity in sorted(pieces, key=lambda pair: pair[0].variant_id):
        if quantity and not line.made_to_order:
            stock_move(line.variant_id, quantity, kind=StockMovement.Kind.RETURNED, reference=reference)


def return_value(request: ReturnRequest) -> int:
    """What was paid for the pieces that came back, in minor units: less their discount, with tax that was added."""
    lines = request.lines.select_related("line")
    return sum(
        half_up(_paid(row.line, request.order) * (row.restocked + row.written_off), row.line.quantity) for row in lines
    )


def _paid(line: OrderLine, order: Order) -> int:
    return line.total_minor - line.discount_minor + (0 if order.tax_inclusive else line.tax_minor)


def _answered(request_id: int, to: ReturnState, actor: str, answer: str) -> ReturnRequest:
    with transaction.atomic():
        request = return_lock(request_id)
        ReturnRequest.objects.filter(pk=request.pk).update(answer=answer[:500])
        request.answer = answer[:500]
        return return_move(request, to, actor=actor, note=answer)


def _note(request: ReturnRequest, before: str, after: ReturnState, actor: str, note: str) -> None:
    ReturnEvent.objects.create(request=request, before=before, after=after, actor=actor[:100], note=note[:500])
    return_changed.send(sender=ReturnRequest, request=request, before=before, after=after)


def _too_late(order: Order) -> bool:
    """The time runs from the delivery, or from the shipping as long as nobody noted a delivery."""
    steps = order.events.filter(after__in=RETURNABLE).order_by("-id").values_list("at", flat=True)
    last = steps.first()
    return last is not None and last < timezone.now() - timedelta(days=RETURN_DAYS)


def return_address() -> list[str]:
    """Where pieces are sent back to."""
    place = settings.SHIPPING.origin
    town = " ".join(filter(None, [place.zip, place.city, place.state]))
    return [line for line in (place.name, place.street, town, place.country) if line]
