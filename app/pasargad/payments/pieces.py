"""What of an order a refund is for: noted with it, inherited by the one that takes its place, owed again without it.

All run in the transaction that holds the order's lock.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.db.models import F
from django.db.models.functions import Least

from pasargad.catalog.exceptions import OutOfStock
from pasargad.catalog.models import StockMovement
from pasargad.catalog.stock import stock_move
from pasargad.orders.models import Order, OrderLine, Status
from pasargad.orders.parcels import pieces_sent
from pasargad.orders.returns import pieces_in_returns, restock

from .exceptions import RefundRefused
from .models import Refund, RefundLine

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Piece:
    """How many pieces of an order line a refund is for, and whether they go back into stock.

    `sent` says that they had left the house. Otherwise those that have not are taken first: they are not sent any more.
    """

    line: OrderLine
    quantity: int
    restock: bool = False
    sent: bool = False


def pieces_note(refund: Refund, order: Order, pieces: list[Piece]) -> None:
    """Note which pieces the money is for, and put into stock what the buyer never got. Raises RefundRefused."""
    returned, sent = (pieces_in_returns(order), pieces_sent(order)) if pieces else ({}, {})
    noted = []
    for piece in pieces:
        room = F("refunded_quantity") + piece.quantity + returned.get(piece.line.pk, 0)
        line = OrderLine.objects.filter(pk=piece.line.pk, order=order, quantity__gte=room)
        of_sent = _of_sent(piece, sent, returned) if piece.quantity > 0 else 0
        if piece.quantity < 1 or not line.update(
            refunded_quantity=F("refunded_quantity") + piece.quantity,
            refunded_sent_quantity=F("refunded_sent_quantity") + of_sent,
        ):
            raise RefundRefused("More pieces than were bought.")
        noted.append(
            RefundLine(
                refund=refund,
                line=piece.line,
                quantity=piece.quantity,
                sent_quantity=of_sent,
                restocked=piece.restock,
            )
        )
    if any(piece.restock for piece in pieces):
        _require_in_the_house(order)
    RefundLine.objects.bulk_create(noted)
    restock(((piece.line, piece.quantity) for piece in pieces if piece.restock), reference=f"refund:{refund.pk}")


def pieces_owe_again(refund: Refund, *, short: bool = False) -> None:
    """Let the buyer have the pieces of a refund that was given up; those put into stock for it are taken out.

    Raises OutOfStock for what was sold since, unless the shop may be `short` of it.
    """
    for row in refund.lines.select_related("line").order_by("line__variant_id"):
        left = F("refunded_quantity") - row.quantity
        # Of rows from before it was noted, nobody knows how many pieces had left: never more than are refunded.
        of_sent = Least(F("refunded_sent_quantity") - row.sent_quantity, left)
        OrderLine.objects.filter(pk=row.line_id).update(refunded_quantity=left, refunded_sent_quantity=of_sent)
        if not row.restocked or row.line.made_to_order:
            continue
        reference = f"refund:{refund.pk}:withdrawn"
        try:
            stock_move(row.line.variant_id, -row.quantity, kind=StockMovement.Kind.RETURNED, reference=reference)
        except OutOfStock:
            if not short:
                raise
            logger.error("owed again, and not in stock", extra={"refund": refund.idempotency_key, "line": row.line_id})


def pieces_inherit(refund: Refund, displaced: Iterable[Refund]) -> None:
    """A refund that takes the place of others is for their pieces: they stay given back."""
    for row in RefundLine.objects.filter(refund__in=list(displaced)).order_by("pk"):
        kin = RefundLine.objects.filter(refund=refund, line=row.line_id).first()
        if kin is None:
            RefundLine.objects.filter(pk=row.pk).update(refund=refund)
            continue
        kin.quantity += row.quantity
        kin.sent_quantity += row.sent_quantity
        # Of two that differ, what was put into stock stays there.
        kin.restocked = kin.restocked and row.restocked
        kin.save()
        row.delete()


def _of_sent(piece: Piece, sent: Mapping[int, int], returned: Mapping[int, int]) -> int:
    """Return how many of the pieces had left the house. Raises RefundRefused for what is not where it is said to be."""
    line = OrderLine.objects.filter(pk=piece.line.pk).first() or piece.line
    gone = sent.get(line.pk, 0)
    if piece.sent:
        if piece.quantity > gone - line.refunded_sent_quantity - returned.get(line.pk, 0):
            raise RefundRefused("Not so many pieces were sent.")
        return piece.quantity
    of_sent = max(0, piece.quantity - max(0, line.owed - gone))
    if of_sent and piece.restock:
        raise RefundRefused("What has left the house comes back into stock by a return.")
    return of_sent


def _require_in_the_house(order: Order) -> None:
    """Only what was sold and has not left can be put back by a refund."""
    if order.status not in (Status.PAID, Status.PROCESSING, Status.READY_FOR_PICKUP):
        raise RefundRefused("What has left the house comes back into stock by a return.")
