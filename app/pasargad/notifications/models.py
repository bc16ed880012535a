"""Mails to be sent: written in the transaction of their cause, sent by a worker, each kind once for its subject."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class Mail(models.Model):
    class State(models.TextChoices):
        PENDING = "pending", "Pending"
        SENT = "sent", "Sent"
        GIVEN_UP = "given_up", "Given up"
        WITHDRAWN = "withdrawn", "Not wanted any more"

    kind = models.CharField(max_length=40)
    key = models.CharField(max_length=80, help_text="What it is about, for example an order")
    recipient = models.EmailField(max_length=254)
    # What it is written in; "" is the shop's own.
    language = models.CharField(max_length=10, blank=True, default="", db_default="")
    state = models.CharField(max_length=10, choices=State, default=State.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField()
    error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["kind", "key"], name="notifications_mail_once")]
        indexes = [
            models.Index(fields=["next_attempt_at"], condition=Q(state="pending"), name="notifications_mail_due"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"
