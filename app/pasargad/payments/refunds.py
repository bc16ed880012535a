"""Giving money back: noted with its key before the provider is called, and never more than was received.

Rows are locked in one order: the order, its attempt, the refund. An order's status follows the sums.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from datetime import timedelta

from django.db import transaction
from django.db.models import F, Q, Sum
from django.utils import timezone
from django.utils.translation import gettext as _

from pasargad.background.urgency import SWEEP_SECONDS
from pasargad.catalog.exceptions import OutOfStock
from pasargad.faults import crash_point
from pasargad.orders.models import TRANSITIONS, Order, Status
from pasargad.orders.return_models import ReturnRequest, ReturnState
from pasargad.orders.returns import return_lock, return_move
from pasargad.orders.services import order_lock, order_move
from pasargad.orders.signals import money_returned, pieces_refunded

from . import gateway
from .bookkeeping import book_came_back, book_promised, book_sent, book_withdrawn
from .exceptions import PaymentError, ProviderFailed, ProviderRefused, ProviderUnreachable, RefundRefused
from .gateway import Sent
from .keys import next_key, refund_key
from .models import PaymentAttempt, Refund, RefundFailure
from .pieces import Piece, pieces_inherit, pieces_note, pieces_owe_again

logger = logging.getLogger(__name__)

STATUS_OF = {
    "succeeded": Refund.Status.SUCCEEDED,
    "pending": Refund.Status.PENDING,
    "requires_action": Refund.Status.PENDING,
    "failed": Refund.Status.FAILED,
    "canceled": Refund.Status.FAILED,
}
# Messages come in any order: a later one of a lower rank is old news. A refund may fail after it looked fine.
RANK = {Refund.Status.CREATED: 0, Refund.Status.PENDING: 1, Refund.Status.SUCCEEDED: 2, Refund.Status.FAILED: 3}
# Who made a refund that we did not ask for.
FOREIGN = "provider"
# A key that the provider answers with its own failure is given up after this.
POISONED_AFTER = timedelta(minutes=10)


def refund_open(
    attempt: PaymentAttempt,
    amount_minor: int,
    reason: str,
    *,
    actor: str = "shop",
    pieces: Iterable[Piece] = (),
    return_request: ReturnRequest | None = None,
    request_key: str | None = None,
) -> Refund:
    """Note, in the caller's transaction, that money is due back; a worker sends it. Raises RefundRefused."""
    order, attempt = _lock(attempt)
    _require_room(attempt, amount_minor)
    refund = _promise(
        order, attempt, amount_minor, reason, actor=actor, return_request=return_request, request_key=request_key
    )
    given_up = list(pieces)
    pieces_note(refund, order, given_up)
    _follow_the_sums(order, actor=actor, note=reason)
    if given_up:
        pieces_refunded.send(sender=Order, order=order, actor=actor)
    crash_point("payments.refund.opened")
    return refund


def _promise(
    order: Order,
    attempt: PaymentAttempt,
    amount_minor: int,
    reason: str,
    *,
    actor: str,
    return_request: ReturnRequest | None = None,
    request_key: str | None = None,
) -> Refund:
    """Note a refund of a locked payment with its books, and let a worker send it."""
    from .tasks import refund_send_task

    number = Refund.objects.filter(attempt=attempt).count() + 1
    # The CHECK on the attempt refuses more than was received.
    PaymentAttempt.objects.filter(pk=attempt.pk).update(refunded_minor=F("refunded_minor") + amount_minor)
    refund = Refund.objects.create(
        attempt=attempt,
        amount_minor=amount_minor,
        reason=reason[:200],
        actor=actor[:100],
        return_request=return_request,
        request_key=request_key,
        idempotency_key=refund_key(order, attempt.number, number),
    )
    book_promised(refund)
    refund_send_task.enqueue(refund.pk)
    return refund


def order_refund(
    order_id: int, amount_minor: int, reason: str, *, actor: str, pieces: Iterable[Piece] = (), key: str | None = None
) -> Refund:
    """Give back part or all of what was paid for an order; the same key gives the same refund. Raises RefundRefused."""
    with transaction.atomic():
        order_lock(order_id)
        if key and (known := Refund.objects.filter(request_key=key, attempt__order_id=order_id).first()):
            return known
        return refund_open(_payment_of(order_id), amount_minor, reason, actor=actor, pieces=pieces, request_key=key)


def return_refund(request_id: int, amount_minor: int, *, actor: str) -> Refund:
    """Give back the money for a return that was received: once. Raises RefundRefused or IllegalTransition."""
    with transaction.atomic():
        request = return_lock(request_id)
        if request.state == ReturnState.REFUNDED:
            # The table lets it be under way again, for the refund that the bank sends back: not for a second one.
            raise RefundRefused("The money for this return was given back.")
        return_move(request, ReturnState.REFUNDING, actor=actor)
        crash_point("payments.return.refunding")
        reason = f"Return {request.number} of the order."
        return refund_open(_payment_of(request.order_id), amount_minor, reason, actor=actor, return_request=request)


def refundable(order: Order) -> int:
    """Return what can still be given back, in minor units."""
    return sum(_room(attempt) for attempt in PaymentAttempt.objects.filter(order=order, received_minor__gt=0))


def refund_send(refund_id: int) -> None:
    """Send one refund; safe to repeat, the provider answers a known key with the same refund."""
    refund = Refund.objects.select_related("attempt").get(pk=refund_id)
    if refund.status != Refund.Status.CREATED:
        return
    crash_point("payments.refund.sending")
    try:
        sent = gateway.refund_create(
            intent_id=refund.attempt.intent_id or "", amount=refund.amount_minor, key=refund.idempotency_key
        )
    except ProviderFailed:
        _look_for(refund)
        return
    except ProviderUnreachable:
        logger.warning("refund not sent yet", extra={"refund": refund.idempotency_key})
        return
    except ProviderRefused as error:
        logger.error("refund refused", extra={"refund": refund.idempotency_key, "reason": str(error)})
        with transaction.atomic():
            order, _attempt = _lock(refund.attempt)
            refund = Refund.objects.select_for_update().get(pk=refund_id)
            if refund.status == Refund.Status.CREATED:
                _become(order, refund, Refund.Status.FAILED, provider_id=None, error=str(error), actor="provider")
        return
    crash_point("payments.refund.sent")
    refund_settle(sent, actor="shop")
    crash_point("payments.refund.settled")


def refund_settle(sent: Sent, *, actor: str) -> bool:
    """Bring a refund to what the provider says, once, in any order; False if its payment is not here yet.

    One that we did not ask for was made at the provider: it is taken into the books.
    """
    with transaction.atomic():
        attempt = PaymentAttempt.objects.filter(intent_id=sent.intent_id).first()
        if attempt is None or not attempt.received_minor:
            return False
        order, attempt = _lock(attempt)
        if RefundFailure.objects.filter(provider_id=sent.id).exists():
            return True
        mine = Q(provider_id=sent.id) | (Q(idempotency_key=sent.key) if sent.key else Q(pk=None))
        refund = Refund.objects.select_for_update().select_related("attempt").filter(mine, attempt=attempt).first()
        status = STATUS_OF.get(sent.status, Refund.Status.PENDING)
        if refund is None:
            if status == Refund.Status.FAILED:
                # Remembered, so that an older message of it finds that it is over.
                _note_foreign(attempt, sent, Refund.Status.WITHDRAWN)
                return True
            refund = _adopt(order, attempt, sent)
        if refund.status == Refund.Status.WITHDRAWN:
            if status != Refund.Status.FAILED:
                logger.error("a withdrawn refund was given", extra={"refund": refund.idempotency_key})
            return True
        if RANK[status] > RANK[Refund.Status(refund.status)]:
            _become(order, refund, status, provider_id=sent.id, error=sent.error, actor=actor)
    return True


def refund_again(refund_id: int, *, actor: str) -> Refund:
    """Send a refund that failed once more, with a new key. Raises RefundRefused if it did not fail."""
    with transaction.atomic():
        refund = _locked_refund(refund_id)
        if refund.status != Refund.Status.FAILED:
            raise RefundRefused(f"This refund is {refund.get_status_display().lower()}, not failed.")
        _renew(refund)
        logger.info("refund sent again", extra={"refund": refund.idempotency_key, "actor": actor})
    return refund


def refund_withdraw(refund_id: int, *, actor: str) -> Refund:
    """Give up a refund that failed: its money is no longer promised, its pieces are owed again. Raises RefundRefused.

    Not while the whole order is due back: such a refund is sent again, or made in another way and noted.
    """
    with transaction.atomic():
        refund = _locked_refund(refund_id)
        if refund.status != Refund.Status.FAILED:
            raise RefundRefused(f"This refund is {refund.get_status_display().lower()}, not failed.")
        if refund.attempt.order.status == Status.REFUND_DUE:
            raise RefundRefused("The whole order is due back: send this refund again.")
        _withdraw(refund)
        try:
            pieces_owe_again(refund)
        except OutOfStock as error:
            text = "Its pieces were put into stock and are not there any more: send this refund again."
            raise RefundRefused(text) from error
        logger.info("refund withdrawn", extra={"refund": refund.idempotency_key, "actor": actor})
    return refund


def refunds_resend(*, quiet_seconds: int = 60, limit: int = 200) -> int:
    """Send again what got no answer; returns how many were tried."""
    until, tried = time.monotonic() + SWEEP_SECONDS, 0
    before = timezone.now() - timedelta(seconds=quiet_seconds)
    waiting = Refund.objects.filter(status=Refund.Status.CREATED, created_at__lt=before).order_by("created_at")
    ids = list(waiting.values_list("pk", flat=True)[:limit])
    for pk in ids:
        if time.monotonic() > until:
            break
        tried += 1
        try:
            refund_send(pk)
        except Exception:
            # One refund that cannot be noted must not keep the others from being sent.
            logger.exception("a refund cannot be sent", extra={"refund": pk})
    return tried


def refunds_check(attempt_id: int) -> None:
    """Ask the provider for all refunds of a payment and settle them; raises PaymentError."""
    intent_id = PaymentAttempt.objects.values_list("intent_id", flat=True).get(pk=attempt_id)
    for sent in gateway.refunds_of(intent_id or ""):
        refund_settle(sent, actor="reconciler")


def _lock(attempt: PaymentAttempt) -> tuple[Order, PaymentAttempt]:
    order = order_lock(attempt.order_id)
    return order, PaymentAttempt.objects.select_for_update().get(pk=attempt.pk)


def _locked_refund(refund_id: int) -> Refund:
    attempt = PaymentAttempt.objects.get(refunds__pk=refund_id)
    _lock(attempt)
    return Refund.objects.select_for_update(of=("self",)).select_related("attempt__order").get(pk=refund_id)


def _payment_of(order_id: int) -> PaymentAttempt:
    """Return the payment with most money left: of one that came twice, the one that was kept."""
    paid = PaymentAttempt.objects.filter(order_id=order_id, received_minor__gt=0).order_by("number")
    if not paid:
        raise RefundRefused("Nothing was paid for this order.")
    return max(paid, key=_room)


def _room(attempt: PaymentAttempt) -> int:
    return max(0, attempt.received_minor - attempt.refunded_minor - attempt.disputed_minor)


def _require_room(attempt: PaymentAttempt, amount_minor: int) -> None:
    if amount_minor < 1:
        raise RefundRefused("There is nothing to give back.")
    if amount_minor > _room(attempt):
        raise RefundRefused("That is more than can be given back.")


def _adopt(order: Order, attempt: PaymentAttempt, sent: Sent) -> Refund:
    """Take a refund that was made at the provider into the books; what failed here makes room for it."""
    displaced: list[Refund] = []
    if sent.amount > attempt.received_minor - attempt.refunded_minor:
        displaced = list(Refund.objects.select_for_update().filter(attempt=attempt, status=Refund.Status.FAILED))
        for failed in displaced:
            _withdraw(failed)
        attempt.refresh_from_db()
    if sent.amount > attempt.received_minor - attempt.refunded_minor:
        # Ours has not been refused yet; it will be, and this message comes again.
        raise RefundRefused("A refund made at the provider does not fit beside ours.")
    PaymentAttempt.objects.filter(pk=attempt.pk).update(refunded_minor=F("refunded_minor") + sent.amount)
    refund = _note_foreign(attempt, sent, Refund.Status.CREATED)
    book_promised(refund)
    pieces_inherit(refund, displaced)
    rest = attempt.received_minor - attempt.refunded_minor - sent.amount
    if rest and order.status == Status.REFUND_DUE:
        # All of it is due; what was given up above was more than fits beside this one.
        _promise(order, attempt, rest, "The rest of what is due back.", actor="shop")
    _follow_the_sums(order, actor=FOREIGN, note=refund.reason)
    return refund


def _note_foreign(attempt: PaymentAttempt, sent: Sent, status: Refund.Status) -> Refund:
    return Refund.objects.create(
        attempt=attempt,
        amount_minor=sent.amount,
        reason="Given back at the payment provider.",
        actor=FOREIGN,
        idempotency_key=f"{FOREIGN}-{sent.id}"[:80],
        provider_id=sent.id,
        status=status,
    )


def _become(
    order: Order, refund: Refund, status: Refund.Status, *, provider_id: str | None, error: str, actor: str
) -> None:
    """Move a locked refund to another status, with its books, its return and its order."""
    refund.status, refund.error = status, error[:300]
    refund.provider_id = provider_id or refund.provider_id
    refund.save(update_fields=["status", "error", "provider_id", "updated_at"])
    if status == Refund.Status.FAILED:
        # One that was refused never left.
        if refund.provider_id:
            book_came_back(refund)
        logger.error("refund failed", extra={"refund": refund.idempotency_key, "reason": error})
        if refund.actor == FOREIGN:
            # Not promised by us: whoever made it at the provider decides what follows.
            _withdraw(refund)
            pieces_owe_again(refund, short=True)
    elif status == Refund.Status.SUCCEEDED:
        book_sent(refund)
    _follow_the_sums(order, actor=actor, note=refund.reason)
    if refund.status == status:
        _follow_return(refund, actor)
    if status == Refund.Status.SUCCEEDED and order.status != Status.REFUNDED:
        money_returned.send(sender=Order, order=order, reference=str(refund.pk), amount_minor=refund.amount_minor)


def _follow_the_sums(order: Order, *, actor: str, note: str) -> None:
    """Let a locked order's status follow what was received, promised back and sent back."""
    sums = PaymentAttempt.objects.filter(order=order).aggregate(
        received=Sum("received_minor", default=0), promised=Sum("refunded_minor", default=0)
    )
    done = Refund.objects.filter(attempt__order=order, status=Refund.Status.SUCCEEDED)
    sent = done.aggregate(total=Sum("amount_minor", default=0))["total"]
    if sent != order.refunded_minor:
        Order.objects.filter(pk=order.pk).update(refunded_minor=sent)
        order.refunded_minor = sent
    received = sums["received"]
    due = received and sums["promised"] >= received and (order.status != Status.REFUNDED or sent < received)
    if due and Status.REFUND_DUE in TRANSITIONS[Status(order.status)]:
        order_move(order, Status.REFUND_DUE, actor=actor, note=note)
    if order.status == Status.REFUND_DUE and received and sent >= received:
        order_move(order, Status.REFUNDED, actor=actor, note=note)


def _follow_return(refund: Refund, actor: str) -> None:
    if refund.return_request_id is None:
        return
    request = return_lock(refund.return_request_id)
    to = {Refund.Status.SUCCEEDED: ReturnState.REFUNDED, Refund.Status.WITHDRAWN: ReturnState.RECEIVED}.get(
        Refund.Status(refund.status), ReturnState.REFUNDING
    )
    if request.state != to:
        return_move(request, to, actor=actor)


def _renew(refund: Refund) -> None:
    """Give a locked refund a new key and let it be sent; the old one is kept with its failure."""
    from .tasks import refund_send_task

    RefundFailure.objects.create(
        refund=refund,
        number=refund.sending,
        idempotency_key=refund.idempotency_key,
        provider_id=refund.provider_id,
        error=refund.error,
    )
    refund.sending += 1
    refund.idempotency_key = next_key(refund.idempotency_key, refund.sending)
    refund.provider_id, refund.error, refund.status = None, "", Refund.Status.CREATED
    refund.save()
    refund_send_task.enqueue(refund.pk)


def _withdraw(refund: Refund) -> None:
    refund.status = Refund.Status.WITHDRAWN
    refund.save(update_fields=["status", "updated_at"])
    PaymentAttempt.objects.filter(pk=refund.attempt_id).update(refunded_minor=F("refunded_minor") - refund.amount_minor)
    book_withdrawn(refund)
    _follow_return(refund, "shop")


def _look_for(refund: Refund) -> None:
    """The provider failed, and its answer to this key stays: look whether it gave the money all the same.

    If it did not, and had time enough to, the refund gets another key.
    """
    logger.warning("the provider failed at a refund", extra={"refund": refund.idempotency_key})
    try:
        found = [
            sent for sent in gateway.refunds_of(refund.attempt.intent_id or "") if sent.key == refund.idempotency_key
        ]
    except PaymentError:
        return
    if found:
        refund_settle(found[0], actor="reconciler")
    elif refund.updated_at < timezone.now() - POISONED_AFTER:
        with transaction.atomic():
            locked = _locked_refund(refund.pk)
            if (locked.status, locked.idempotency_key) == (Refund.Status.CREATED, refund.idempotency_key):
                locked.error = _("The payment service failed.")
                _renew(locked)
