"""Tasks that are due again and again, started once however many workers there are.

A task must be safe to run twice: one whose worker died is given to another worker.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django_tasks.base import Task
from django_tasks_db.models import DBTaskResult

from .models import PeriodicRun


@dataclass(frozen=True)
class Periodic:
    task: Task[Any, Any]
    every: timedelta


_registered: dict[str, Periodic] = {}


def periodic(*, seconds: int) -> Callable[[Task[Any, Any]], Task[Any, Any]]:
    """Decorate a task (without arguments) that is due every so many seconds."""

    def register(task: Task[Any, Any]) -> Task[Any, Any]:
        _registered[task.module_path] = Periodic(task, timedelta(seconds=seconds))
        return task

    return register


def enqueue_due() -> list[str]:
    """Enqueue every periodic task that is due and return their names; of several callers one gets each.

    One that still waits from the last time is not enqueued beside itself: what is slow would fill the queue.
    """
    now = timezone.now()
    known = dict(PeriodicRun.objects.values_list("name", "next_at"))
    if missing := _registered.keys() - known.keys():
        runs = [PeriodicRun(name=name, next_at=now) for name in sorted(missing)]
        PeriodicRun.objects.bulk_create(runs, ignore_conflicts=True)
    due = sorted(name for name in _registered if known.get(name, now) <= now)
    return [name for name in due if _enqueue_once(name, _registered[name])]


def _enqueue_once(name: str, entry: Periodic) -> bool:
    with transaction.atomic():
        now = timezone.now()
        # The condition is what lets only one of several workers win.
        won = PeriodicRun.objects.filter(name=name, next_at__lte=now).update(next_at=now + entry.every)
        if not won or DBTaskResult.objects.ready().filter(task_path=name).exists():
            return False
        entry.task.enqueue()
    return True
