"""Writing the books: one statement, in the transaction of the cause, once for each key."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import connection, transaction

from .models import Account

POST = """
WITH entry AS (
    INSERT INTO ledger_entry (key, subject, currency, note, at) VALUES (%s, %s, %s, %s, now())
    ON CONFLICT (key) DO NOTHING RETURNING id
)
INSERT INTO ledger_posting (entry_id, account, amount_minor)
SELECT entry.id, posting.account, posting.amount
FROM entry, unnest(%s::text[], %s::bigint[]) AS posting(account, amount)
"""


class Unbalanced(ValueError):
    """The postings of an entry do not add up to zero."""


def ledger_post(key: str, *, subject: str, currency: str, postings: Mapping[Account, int], note: str = "") -> bool:
    """Write an entry; False if its key was written before. The caller's transaction holds the cause."""
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("The ledger is only written in the transaction of a cause.")
    if sum(postings.values()) or len(postings) < 2:
        raise Unbalanced(f"{key}: {dict(postings)}")
    with connection.cursor() as cursor:
        accounts = [account.value for account in postings]
        cursor.execute(POST, [key, subject, currency, note[:200], accounts, list(postings.values())])
        return bool(cursor.rowcount)


def ledger_move(key: str, *, subject: str, currency: str, amount: int, into: Account, out_of: Account) -> bool:
    """Move money between two accounts: the first is debited, the second credited."""
    return ledger_post(key, subject=subject, currency=currency, postings={into: amount, out_of: -amount})
