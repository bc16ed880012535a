"""The database worker of django-tasks-db, which also starts what is due periodically."""

from __future__ import annotations

import logging
import threading
from typing import Any

from django.conf import settings
from django.db import DatabaseError, close_old_connections
from django_tasks_db.management.commands.db_worker import Command as DatabaseWorker

from pasargad.background.periodic import enqueue_due
from pasargad.background.services import requeue_stuck

logger = logging.getLogger(__name__)


class Command(DatabaseWorker):
    help = "Do background work, and start what is due periodically"

    def handle(self, *, batch: bool, **options: Any) -> None:
        if batch:
            tick()
        else:
            threading.Thread(target=tick_forever, name="periodic", daemon=True).start()
        super().handle(batch=batch, **options)


def tick() -> None:
    requeue_stuck()
    enqueue_due()


def tick_forever() -> None:
    """Look for due work at intervals; a database that is away for a while does not end it."""
    pause = threading.Event()
    while True:
        try:
            close_old_connections()
            tick()
        except DatabaseError:
            logger.exception("cannot look for periodic tasks; trying again")
        pause.wait(settings.BACKGROUND.periodic_seconds)
