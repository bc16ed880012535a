"""Periodic work is started once, by however many workers, and a dead worker's task is not lost."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from pasargad.background import services
from pasargad.background.models import PeriodicRun
from pasargad.background.periodic import enqueue_due
from pasargad.background.selectors import queue_lag_seconds
from pasargad.background.tasks import prune_finished


@pytest.mark.django_db
def test_what_is_due_is_started_once_and_again_after_its_time():
    names = enqueue_due()
    assert "pasargad.payments.tasks.orders_expire" in names
    assert "pasargad.notifications.tasks.mails_send_due" in names
    assert enqueue_due() == []
    PeriodicRun.objects.filter(name="pasargad.payments.tasks.orders_expire").update(next_at=timezone.now())
    assert enqueue_due() == ["pasargad.payments.tasks.orders_expire"]


@pytest.mark.django_db(transaction=True)
def test_of_many_workers_one_starts_each_task():
    start, started = threading.Barrier(6), []

    def look() -> None:
        try:
            start.wait(10)
            started.extend(enqueue_due())
        finally:
            connection.close()

    threads = [threading.Thread(target=look) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(started) == len(set(started)) == PeriodicRun.objects.count() == DBTaskResult.objects.count()


@pytest.mark.django_db(transaction=True)
def test_the_worker_does_what_is_due():
    call_command("db_worker", batch=True, startup_delay=False, verbosity=0)
    assert DBTaskResult.objects.count() == PeriodicRun.objects.count() > 3
    assert set(DBTaskResult.objects.values_list("status", flat=True)) == {"SUCCESSFUL"}


@pytest.mark.django_db
def test_a_dead_worker_s_task_is_given_to_another():
    prune_finished.enqueue()
    DBTaskResult.objects.update(status="RUNNING", started_at=timezone.now() - timedelta(hours=1))
    assert services.requeue_stuck() == 1
    assert DBTaskResult.objects.ready().count() == 1


@pytest.mark.django_db
def test_old_results_are_forgotten_and_new_ones_kept(settings):
    for _ in range(2):
        prune_finished.enqueue()
    DBTaskResult.objects.update(status="SUCCESSFUL", started_at=timezone.now(), finished_at=timezone.now())
    first = DBTaskResult.objects.first()
    long_ago = timezone.now() - timedelta(days=settings.BACKGROUND.retention_days + 1)
    DBTaskResult.objects.filter(pk=first.pk).update(finished_at=long_ago)
    assert services.prune_finished() == 1 and DBTaskResult.objects.count() == 1


@pytest.mark.django_db
def test_lag_is_the_age_of_the_oldest_waiting_task():
    assert queue_lag_seconds() == 0
    prune_finished.enqueue()
    DBTaskResult.objects.update(enqueued_at=timezone.now() - timedelta(seconds=90))
    assert 89 < queue_lag_seconds() < 95
