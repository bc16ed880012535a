"""Attempts to be paid, refunds, disputes, and what the provider told us."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import F, Q

from pasargad.orders.models import Order, OrderLine
from pasargad.orders.return_models import ReturnRequest


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
    # Promised back, sent or not: what a further refund may not touch.
    refunded_minor = models.PositiveIntegerField(default=0)
    # Taken by banks: open disputes and lost ones.
    disputed_minor = models.PositiveIntegerField(default=0, db_default=0)
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
    """Money to give back; like an attempt, stored with its key before the provider is called.

    A refund that failed can be sent again with a new key; what failed is kept as a RefundFailure. Until it is withdrawn
    its money stays promised.
    """

    class Status(models.TextChoices):
        CREATED = "created", "To be sent"
        PENDING = "pending", "On its way"
        SUCCEEDED = "succeeded", "Succeeded"
        FAILED = "failed", "Failed"
        WITHDRAWN = "withdrawn", "Withdrawn"

    attempt = models.ForeignKey(PaymentAttempt, on_delete=models.PROTECT, related_name="refunds")
    return_request = models.ForeignKey(
        ReturnRequest, on_delete=models.PROTECT, related_name="refunds", null=True, blank=True
    )
    request_key = models.CharField(max_length=32, null=True, blank=True, help_text="The form that asked for it")
    actor = models.CharField(max_length=100, default="shop", db_default="shop")
    sending = models.PositiveSmallIntegerField(default=1, db_default=1, help_text="How often it was sent")
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
        indexes = [
            models.Index(
                fields=["created_at"], condition=Q(status__in=["created", "failed"]), name="payments_refund_open"
            ),
            models.Index(fields=["request_key"], condition=Q(request_key__isnull=False), name="payments_refund_form"),
        ]

    def __str__(self) -> str:
        return self.idempotency_key


class RefundLine(models.Model):
    """Which pieces a refund is for."""

    refund = models.ForeignKey(Refund, on_delete=models.CASCADE, related_name="lines")
    line = models.ForeignKey(OrderLine, on_delete=models.PROTECT, related_name="refunds")
    quantity = models.PositiveIntegerField()
    # Those of them that had left the house.
    sent_quantity = models.PositiveIntegerField(default=0, db_default=0)
    restocked = models.BooleanField(default=False)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["refund", "line"], name="payments_refundline_once"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="payments_refundline_quantity"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} x line {self.line_id}"


class RefundFailure(models.Model):
    """One sending of a refund that brought nobody money."""

    refund = models.ForeignKey(Refund, on_delete=models.CASCADE, related_name="failures")
    number = models.PositiveSmallIntegerField()
    idempotency_key = models.CharField(max_length=80, unique=True)
    provider_id = models.CharField(max_length=80, unique=True, null=True, blank=True)
    error = models.CharField(max_length=300, blank=True)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.idempotency_key


class Dispute(models.Model):
    """A payment that the shopper's bank has taken back, at least until the case is decided."""

    class Status(models.TextChoices):
        WARNING = "warning", "Asked about"
        OPEN = "open", "Open"
        WON = "won", "Won"
        LOST = "lost", "Lost"

    UNDECIDED = (Status.WARNING, Status.OPEN)

    attempt = models.ForeignKey(PaymentAttempt, on_delete=models.PROTECT, related_name="disputes")
    provider_id = models.CharField(max_length=80, unique=True)
    amount_minor = models.PositiveIntegerField()
    currency = models.CharField(max_length=3)
    status = models.CharField(max_length=10, choices=Status)
    reason = models.CharField(max_length=80, blank=True)
    due_at = models.DateTimeField(null=True, blank=True, help_text="Until when the bank takes our evidence")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-id"]
        constraints = [models.CheckConstraint(condition=Q(amount_minor__gt=0), name="payments_dispute_amount")]

    def __str__(self) -> str:
        return self.provider_id


class WebhookEvent(models.Model):
    """Written in the transaction of its effect: an event that is here has done its work, exactly once.

    One that came before its payment waits here, and does its work in the transaction that notes the payment.
    """

    event_id = models.CharField(max_length=80, unique=True)
    type = models.CharField(max_length=80)
    payload: models.JSONField[Any, Any] = models.JSONField()
    received_at = models.DateTimeField(auto_now_add=True)
    subject = models.CharField(max_length=80, default="", db_default="", blank=True)
    waiting = models.BooleanField(default=False, db_default=False)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["subject"], condition=Q(waiting=True), name="payments_event_waiting")]

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"


class Watermark(models.Model):
    """Up to when a stream of the provider has been read; everything older has been seen."""

    name = models.CharField(max_length=40, unique=True)
    at = models.DateTimeField()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return f"{self.name}: {self.at}"
