"""Double-entry books in integer minor units.

Every movement of money is an entry whose postings add up to zero. The database keeps it so: triggers refuse UPDATE and
DELETE, a deferred trigger refuses an entry that does not add up, and a key is used once.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class Account(models.TextChoices):
    """A positive amount is a debit: money at the provider is positive, what shoppers paid for orders negative."""

    PROVIDER = "provider", "Money at the payment provider"
    ORDERS = "orders", "Received for orders"
    REFUNDS_DUE = "refunds_due", "Promised back, not sent yet"
    DISPUTED = "disputed", "Held by banks in disputes"
    LOSSES = "losses", "Lost in disputes"


class Entry(models.Model):
    """One movement of money; `key` names its cause, so that no cause is booked twice."""

    key = models.CharField(max_length=80, unique=True)
    subject = models.CharField(max_length=60, help_text="What it is about, for example an order")
    currency = models.CharField(max_length=3)
    note = models.CharField(max_length=200, blank=True)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "entries"
        indexes = [models.Index(fields=["subject"], name="ledger_entry_subject")]

    def __str__(self) -> str:
        return self.key


class Posting(models.Model):
    entry = models.ForeignKey(Entry, on_delete=models.PROTECT, related_name="postings")
    account = models.CharField(max_length=20, choices=Account)
    amount_minor = models.BigIntegerField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(condition=~Q(amount_minor=0), name="ledger_posting_amount"),
            models.CheckConstraint(condition=Q(account__in=Account.values), name="ledger_posting_account"),
            models.UniqueConstraint(fields=["entry", "account"], name="ledger_posting_once"),
        ]
        indexes = [models.Index(fields=["account"], include=["amount_minor"], name="ledger_posting_balance")]

    def __str__(self) -> str:
        return f"{self.account} {self.amount_minor:+d}"
