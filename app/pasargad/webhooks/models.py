"""Events for other programs: written in the transaction of their cause, delivered by workers at least once."""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from .kinds import Kind


class Endpoint(models.Model):
    """Where events go. Both secrets sign while a change of them lasts; they are shown once, when they are made."""

    name = models.CharField(max_length=80, help_text="Whose it is")
    url = models.URLField("address", max_length=500, help_text="https, and on the public internet")
    events: ArrayField[Any, Any] = ArrayField(models.CharField(max_length=30, choices=Kind))
    is_enabled = models.BooleanField("enabled", default=True)
    secret = models.CharField(max_length=60, editable=False)
    former_secret = models.CharField(max_length=60, blank=True, editable=False)
    former_until = models.DateTimeField(null=True, editable=False)
    failing_since = models.DateTimeField(null=True, editable=False)
    disabled_at = models.DateTimeField(null=True, editable=False)
    disabled_reason = models.CharField(max_length=300, blank=True, editable=False)
    staff_told_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name", "id"]

    def __str__(self) -> str:
        return self.name


class Event(models.Model):
    """Something that happened, as it was then; `message_id` names it at every attempt, so a copy can be told."""

    message_id = models.CharField(max_length=40, unique=True)
    kind = models.CharField(max_length=30, choices=Kind)
    body: models.JSONField[Any, Any] = models.JSONField()
    at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.kind} {self.message_id}"


class Delivery(models.Model):
    class State(models.TextChoices):
        PENDING = "pending", "Pending"
        DELIVERED = "delivered", "Delivered"
        GIVEN_UP = "given_up", "Given up"

    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="deliveries")
    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="deliveries")
    state = models.CharField(max_length=10, choices=State, default=State.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField()
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "deliveries"
        constraints = [models.UniqueConstraint(fields=["event", "endpoint"], name="webhooks_delivery_once")]
        indexes = [models.Index(fields=["next_attempt_at"], condition=Q(state="pending"), name="webhooks_delivery_due")]

    def __str__(self) -> str:
        return f"{self.event_id} to {self.endpoint_id}"


class Attempt(models.Model):
    """One try: the status that was answered (0: none), and what went wrong."""

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="tries")
    status = models.PositiveSmallIntegerField(default=0)
    error = models.CharField(max_length=300, blank=True)
    took_ms = models.PositiveIntegerField()
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.status or self.error}"
