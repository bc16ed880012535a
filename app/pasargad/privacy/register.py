"""The register of personal data (personal_data.toml), typed, and the rows of it that belong to one person."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from allauth.account.models import EmailAddress
from django.apps import apps
from django.db.models import Model, Q, QuerySet

from pasargad.accounts.models import User
from pasargad.accounts.selectors import verified_emails
from pasargad.cart.models import Cart
from pasargad.notifications.selectors import mails_to
from pasargad.orders.models import ERASED_EMAIL, Order
from pasargad.orders.selectors import orders_of
from pasargad.payments.models import PaymentAttempt

FILE = Path(__file__).with_name("personal_data.toml")
ERASURES = ("account", "delete", "anonymise", "keep")


@dataclass(frozen=True)
class Entry:
    """What is known of one model. `whose` is "" where no row belongs to anybody, or nobody can tell to whom."""

    label: str
    whose: str = ""
    personal: tuple[str, ...] = ()
    secret: tuple[str, ...] = ()
    other: tuple[str, ...] = ()
    erase: str = ""
    kept: str = ""
    why: str = ""
    blank: Mapping[str, Any] = field(default_factory=dict)

    @property
    def model(self) -> type[Model]:
        return apps.get_model(self.label)

    @property
    def fields(self) -> tuple[str, ...]:
        return (*self.personal, *self.secret, *self.other)

    @property
    def exported(self) -> tuple[str, ...]:
        return (*self.personal, *self.other)


@dataclass(frozen=True)
class Person:
    """Everything by which rows are known to be somebody's, read once; a guest has no `user_id`."""

    user_id: int | None
    emails: tuple[str, ...]
    order_ids: tuple[int, ...]
    intents: tuple[str, ...]
    mailed_about: tuple[str, ...] = ()


class NoGuest(Exception):
    """The text is for staff."""


@cache
def register() -> dict[str, Entry]:
    """Return the register by label of the model."""
    found = {}
    for label, said in tomllib.loads(FILE.read_text()).items():
        words = {name: tuple(str(said.get(name, "")).split()) for name in ("personal", "secret", "other")}
        rest = {name: said[name] for name in ("whose", "erase", "kept", "why", "blank") if name in said}
        found[label] = Entry(label=label, **words, **rest)
    return found


def person(user: User) -> Person:
    """Read what belongs to an account; guest orders count only with a mail address that the person has proved."""
    emails = verified_emails(user)
    orders = tuple(orders_of(user.pk, emails).values_list("pk", flat=True))
    return Person(
        user_id=user.pk,
        emails=tuple(emails),
        order_ids=orders,
        intents=_intents(orders),
        mailed_about=(
            f"user-{user.pk}",
            *(f"address-{pk}" for pk in EmailAddress.objects.filter(user=user).values_list("pk", flat=True)),
            *(f"cart-{pk}" for pk in Cart.objects.filter(user=user).values_list("pk", flat=True)),
        ),
    )


def guest(email: str) -> Person:
    """Read what belongs to a mail address without an account; that it is the person's, staff have made sure of.

    Raises NoGuest where there is nothing, and where an account has proved the address: its owner needs nobody's help.
    """
    email = email.strip()
    if EmailAddress.objects.filter(email__iexact=email, verified=True).exists():
        raise NoGuest(f"{email} belongs to an account: its owner exports and erases on the account's page Privacy.")
    orders = tuple(Order.objects.filter(user=None, email__iexact=email).order_by("pk").values_list("pk", flat=True))
    if email == ERASED_EMAIL or not (orders or mails_to(recipients=[email], order_ids=()).exists()):
        raise NoGuest(f"Nothing is kept of a guest {email}.")
    return Person(user_id=None, emails=(email,), order_ids=orders, intents=_intents(orders))


def _intents(order_ids: Collection[int]) -> tuple[str, ...]:
    found = PaymentAttempt.objects.filter(order__in=order_ids, intent_id__isnull=False)
    return tuple(str(intent) for intent in found.values_list("intent_id", flat=True))


def rows_of(entry: Entry, who: Person) -> QuerySet[Any]:
    """Return the rows of a model that belong to a person."""
    rows: QuerySet[Any] = entry.model._default_manager.all()
    kind, _separator, path = entry.whose.partition(":")
    if kind == "user":
        # Rows without an account are not the guest's: they are all guests'.
        return rows.none() if who.user_id is None else rows.filter(**{path: who.user_id})
    if kind == "order":
        return rows.filter(**{f"{path}__in": who.order_ids})
    if kind == "reference":
        return rows.filter(**{f"{path}__in": [f"order:{pk}" for pk in who.order_ids]})
    if kind == "intent":
        inside = f"{path}__data__object"
        return rows.filter(
            Q(**{f"{inside}__id__in": who.intents}) | Q(**{f"{inside}__payment_intent__in": who.intents})
        )
    if kind == "mails":
        return mails_to(recipients=who.emails, order_ids=who.order_ids, things=who.mailed_about)
    return rows.none()
