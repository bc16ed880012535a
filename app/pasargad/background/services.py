"""Care for the queue itself: tasks of dead workers, and tasks finished long ago."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.utils import timezone
from django_tasks import TaskResultStatus
from django_tasks_db.models import DBTaskResult


def requeue_stuck() -> int:
    """Give tasks that run longer than any worker would to the next worker; returns how many."""
    before = timezone.now() - timedelta(seconds=settings.BACKGROUND.stuck_seconds)
    stuck = DBTaskResult.objects.filter(status=TaskResultStatus.RUNNING, started_at__lt=before)
    return stuck.update(status=TaskResultStatus.READY, started_at=None)


def prune_finished() -> int:
    """Delete what finished before the retention began; returns how many."""
    before = timezone.now() - timedelta(days=settings.BACKGROUND.retention_days)
    deleted, _ = DBTaskResult.objects.finished().filter(finished_at__lt=before).delete()
    return deleted
