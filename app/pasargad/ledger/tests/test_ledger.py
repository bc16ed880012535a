"""The books: written once for each cause, adding up to zero, never changed; the database itself refuses the rest."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from pasargad.ledger.models import Account, Entry, Posting
from pasargad.ledger.selectors import balances
from pasargad.ledger.services import Unbalanced, ledger_move, ledger_post


def receive(key: str = "payment:1", amount: int = 500) -> bool:
    return ledger_move(
        key, subject="order:1", currency="usd", amount=amount, into=Account.PROVIDER, out_of=Account.ORDERS
    )


@pytest.mark.django_db
def test_a_cause_is_booked_once():
    assert receive() and not receive() and not receive(amount=999)
    assert Entry.objects.count() == 1 and Posting.objects.count() == 2
    assert balances() == {("provider", "usd"): 500, ("orders", "usd"): -500}
    assert balances(subject="order:2") == {}


@pytest.mark.django_db
def test_what_does_not_add_up_is_not_written():
    with pytest.raises(Unbalanced):
        ledger_post("x", subject="s", currency="usd", postings={Account.PROVIDER: 1, Account.ORDERS: -2})
    with pytest.raises(Unbalanced):
        ledger_post("x", subject="s", currency="usd", postings={Account.PROVIDER: 0})


@pytest.mark.django_db(transaction=True)
def test_the_ledger_is_only_written_with_its_cause():
    with pytest.raises(transaction.TransactionManagementError):
        receive()


@pytest.mark.django_db
@pytest.mark.parametrize("model", [Entry, Posting])
@pytest.mark.parametrize("change", ["update", "delete"])
def test_the_database_refuses_to_change_what_is_written(model, change):
    receive()
    values = {Entry: "note = 'other'", Posting: "amount_minor = amount_minor + 1"}[model]
    table = model._meta.db_table
    statement = {"update": f"UPDATE {table} SET {values}", "delete": f"DELETE FROM {table}"}[change]  # noqa: S608
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("amounts", [[], [5], [5, -4]])
def test_the_database_refuses_an_entry_that_does_not_add_up(amounts):
    with pytest.raises(IntegrityError, match="does not balance"), transaction.atomic():
        entry = Entry.objects.create(key="crooked", subject="order:1", currency="usd")
        for account, amount in zip((Account.PROVIDER, Account.ORDERS), amounts, strict=False):
            Posting.objects.create(entry=entry, account=account, amount_minor=amount)
    assert not Entry.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_database_refuses_to_add_to_an_entry_later():
    with transaction.atomic():
        receive()
    with pytest.raises(IntegrityError, match="does not balance"), transaction.atomic():
        Posting.objects.create(entry=Entry.objects.get(), account=Account.LOSSES, amount_minor=1)
