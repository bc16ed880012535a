"""How the queue is doing."""

from __future__ import annotations

from django.db.models import Min
from django.utils import timezone
from django_tasks_db.models import DBTaskResult


def queue_lag_seconds() -> float:
    """Return for how long the oldest task that could run has been waiting."""
    oldest = DBTaskResult.objects.ready().aggregate(oldest=Min("enqueued_at"))["oldest"]
    return (timezone.now() - oldest).total_seconds() if oldest else 0.0
