"""Deleting a person: what the law wants kept is made anonymous, the rest goes; not while an order is under way."""

from __future__ import annotations

import logging
import secrets
from typing import Any

from allauth.usersessions.models import UserSession
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.utils.translation import gettext as _

from pasargad.accounts.models import User
from pasargad.audit.acting import Actor
from pasargad.audit.services import audit_record
from pasargad.cart.models import Cart
from pasargad.orders.models import ERASED_EMAIL, Order, Status
from pasargad.orders.return_models import ReturnRequest, ReturnState
from pasargad.payments.models import Dispute, PaymentAttempt, Refund
from pasargad.reviews.models import Review
from pasargad.reviews.services import review_delete

from .register import Entry, Person, guest, person, register, rows_of

logger = logging.getLogger(__name__)
DONE = (Status.DELIVERED, Status.EXPIRED, Status.CANCELLED, Status.REFUNDED)
OPEN_RETURNS = (ReturnState.REQUESTED, ReturnState.ACCEPTED, ReturnState.RECEIVED, ReturnState.REFUNDING)
OPEN_PAYMENTS = (PaymentAttempt.Status.CREATED, PaymentAttempt.Status.PENDING, PaymentAttempt.Status.PROCESSING)
OPEN_REFUNDS = (Refund.Status.CREATED, Refund.Status.PENDING, Refund.Status.FAILED)


class ErasureRefused(Exception):
    """The reasons are for the person."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__(" ".join(reasons))
        self.reasons = reasons


def erasure_obstacles(user: User) -> list[str]:
    """Say why an account cannot be erased yet; nothing: it can."""
    return [*_rank(user), *_obstacles(person(user))]


def account_erase(user_id: int) -> None:
    """Erase an account and everything about the person, as the register says; raises ErasureRefused.

    In one transaction, with the cart, the account and its orders locked in this order, as placing an order locks them.
    """
    with transaction.atomic():
        list(Cart.objects.select_for_update().filter(user_id=user_id))
        user = User.objects.select_for_update().get(pk=user_id)
        who = person(user)
        _lock_orders(who)
        if reasons := [*_rank(user), *_obstacles(who)]:
            raise ErasureRefused(reasons)
        for session in UserSession.objects.filter(user=user):
            session.end()
        _erase_rows(who)
        in_logs = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(User), object_id=str(user_id))
        in_logs.update(object_repr="-", change_message="")
        user.delete()
    logger.info("account erased", extra={"user": user_id, "orders": len(who.order_ids)})


def guest_erase(email: str, *, actor: Actor) -> int:
    """Erase somebody without an account: guest orders with this address, and mails to it; returns how many orders.

    What was erased is in the audit log by the orders' numbers, which name nobody. Raises NoGuest and ErasureRefused.
    """
    with transaction.atomic():
        who = guest(email)
        _lock_orders(who)
        if reasons := _obstacles(who):
            raise ErasureRefused(reasons)
        numbers = list(Order.objects.filter(pk__in=who.order_ids).order_by("pk").values_list("number", flat=True))
        _erase_rows(who)
        audit_record("erased a guest", target_type=Order._meta.label_lower, changes={"orders": [numbers, None]},
                     actor=actor)  # fmt: skip
    logger.info("guest erased", extra={"orders": len(numbers)})
    return len(numbers)


def _lock_orders(who: Person) -> None:
    list(Order.objects.select_for_update().filter(pk__in=who.order_ids).order_by("pk"))


def _erase_rows(who: Person) -> None:
    for pk in rows_of(register()[Review._meta.label], who).values_list("pk", flat=True):
        review_delete(pk)
    # Orders come last: everything else is found by them, and Redemption by their numbers alone.
    for entry in sorted(register().values(), key=lambda entry: entry.label == Order._meta.label):
        _erase(entry, who)


def _rank(user: User) -> list[str]:
    return [_("This is an account of staff. Another member of staff has to end it.")] if user.is_staff else []


def _obstacles(who: Person) -> list[str]:
    reasons = []
    under_way = Order.objects.filter(pk__in=who.order_ids).exclude(status__in=DONE)
    coming_back = ReturnRequest.objects.filter(order__in=who.order_ids, state__in=OPEN_RETURNS)
    for text, numbers in (
        (_("Order %(number)s is still under way."), under_way.values_list("number", flat=True)),
        (_("A return for order %(number)s is not finished."), coming_back.values_list("order__number", flat=True)),
    ):
        reasons += [text % {"number": number} for number in numbers]
    attempts = PaymentAttempt.objects.filter(order__in=who.order_ids)
    open_money = (
        attempts.filter(status__in=OPEN_PAYMENTS).exists()
        or Refund.objects.filter(attempt__in=attempts, status__in=OPEN_REFUNDS).exists()
        or Dispute.objects.filter(attempt__in=attempts, status__in=Dispute.UNDECIDED).exists()
    )
    if open_money and not reasons:
        reasons.append(_("A payment is not settled yet. Please try again tomorrow."))
    return reasons


def _erase(entry: Entry, who: Person) -> None:
    if entry.erase == "delete" and entry.whose:
        rows_of(entry, who).delete()
    elif entry.erase == "anonymise":
        _anonymise(entry, who)


def _anonymise(entry: Entry, who: Person) -> None:
    fixed = {name: _value(value) for name, value in entry.blank.items() if value != "@random"}
    fresh = [name for name, value in entry.blank.items() if value == "@random"]
    if fixed and not fresh:
        rows_of(entry, who).update(**fixed)
        return
    manager = entry.model._default_manager
    for pk in list(rows_of(entry, who).values_list("pk", flat=True)):
        manager.filter(pk=pk).update(**fixed, **{name: secrets.token_hex(16) for name in fresh})


def _value(value: Any) -> Any:
    return {"@erased": ERASED_EMAIL, "@nobody": None}.get(value, value) if isinstance(value, str) else value
