"""Attempts to be paid, refunds, and what the provider told us."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import F, Q

from pasargad.orders.models import Order


class PaymentAttempt(models.Model):
    """Stored with its idempotency key before the provider is called, so that a lost answer can be asked for again."""

    class Status(models.TextChoices):
        CREATED = "created", "Created"
        PENDING = "pending", "Waiting for the shopper"
        PROCESSING = "processing", "Being processed"
        SUCCEEDED = "succeeded", "Succeeded"
        CANCELLED = "cancelled", "Cancelled"

    LIVE = (Status.CREATED, Status.PENDING, Status.PROCESSING, Status.SUCCEEDED)

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="attempts")
    number = models.PositiveSmallIntegerField()
    amount_minor = models.PositiveIntegerField()
    currency = models.CharField(max_length=3)
    idempotency_key = models.CharField(max_length=80, unique=True)
    intent_id = models.CharField(max_length=80, unique=True, null=True, blank=True)
    client_secret = models.CharField(max_length=200, blank=True)
    status = models.CharField(max_length=12, choices=Status, default=Status.CREATED)
    received_minor = models.PositiveIntegerField(default=0)
    refunded_minor = models.PositiveIntegerField(default=0)
    error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    checked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["order", "number"], name="payments_attempt_number"),
            models.UniqueConstraint(
                fields=["order"],
                condition=Q(status__in=["created", "pending", "processing", "succeeded"]),
                name="payments_attempt_one_live",
            ),
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="payments_attempt_amount"),
            models.CheckConstraint(
                condition=Q(refunded_minor__lte=F("received_minor")), name="payments_attempt_refunded"
            ),
        ]
        indexes = [
            models.Index(
                fields=["updated_at"],
                condition=Q(status__in=["created", "pending", "processing"]),
                name="payments_attempt_unsettled",
            )
        ]

    def __str__(self) -> str:
        return self.idempotency_key


class Refund(models.Model):
    """Money to give back; like an attempt, stored with its key before the provider is called."""

    class Status(models.TextChoices):
        CREATED = "created", "Created"
        SUCCEEDED = "succeeded", "Succeeded"
        FAILED = "failed", "Failed"

    attempt = models.ForeignKey(PaymentAttempt, on_delete=models.PROTECT, related_name="refunds")
    amount_minor = models.PositiveIntegerField()
    reason = models.CharField(max_length=200)
    idempotency_key = models.CharField(max_length=80, unique=True)
    provider_id = models.CharField(max_length=80, unique=True, null=True, blank=True)
    status = models.CharField(max_length=10, choices=Status, default=Status.CREATED)
    error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-id"]
        constraints = [models.CheckConstraint(condition=Q(amount_minor__gt=0), name="payments_refund_amount")]

    def __str__(self) -> str:
        return self.idempotency_key


class WebhookEvent(models.Model):
    """Written in the transaction of its effect: an event that is here has done its work, exactly once."""

    event_id = models.CharField(max_length=80, unique=True)
    type = models.CharField(max_length=80)
    payload: models.JSONField[Any, Any] = models.JSONField()
    received_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"
