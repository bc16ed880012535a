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
from pasargad.notifications.tasks import mail_send_task, mails_send_due
from pasargad.payments.tasks import (
    events_pull,
    orders_expire,
    payments_reconcile,
    refund_send_task,
    refunds_check_task,
    refunds_resend,
)
from pasargad.webhooks.tasks import deliveries_send_due, delivery_send_task

EXPIRE = "pasargad.payments.tasks.orders_expire"


@pytest.mark.django_db
def test_what_is_due_is_started_once_and_again_after_its_time():
    names = enqueue_due()
    assert "pasargad.payments.tasks.orders_expire" in names
    assert "pasargad.notifications.tasks.mails_send_due" in names
    assert enqueue_due() == []
    DBTaskResult.objects.update(status="SUCCESSFUL", started_at=timezone.now(), finished_at=timezone.now())
    PeriodicRun.objects.filter(name="pasargad.payments.tasks.orders_expire").update(next_at=timezone.now())
    assert enqueue_due() == ["pasargad.payments.tasks.orders_expire"]


@pytest.mark.django_db
@pytest.mark.parametrize(("state", "started"), [("READY", []), ("RUNNING", [EXPIRE]), ("FAILED", [EXPIRE])])
def test_what_still_waits_from_the_last_time_is_not_started_beside_itself(state, started):
    enqueue_due()
    DBTaskResult.objects.update(status=state, started_at=None if state == "READY" else timezone.now())
    PeriodicRun.objects.filter(name=EXPIRE).update(next_at=timezone.now())
    assert enqueue_due() == started
    assert DBTaskResult.objects.ready().filter(task_path=EXPIRE).count() == 1
    assert PeriodicRun.objects.get(name=EXPIRE).next_at > timezone.now(), "its next time comes all the same"


@pytest.mark.django_db
def test_money_goes_before_mails_and_mails_before_the_servers_of_others():
    """What was asked for last is taken first, if it is urgent."""
    delivery_send_task.enqueue(1)
    deliveries_send_due.enqueue()
    mail_send_task.enqueue(1)
    mails_send_due.enqueue()
    urgent = [refund_send_task, refunds_check_task, orders_expire, payments_reconcile, events_pull, refunds_resend]
    for task in urgent:
        task.enqueue(*([1] if task in (refund_send_task, refunds_check_task) else []))
    taken = []
    while row := DBTaskResult.objects.ready().first():
        taken.append(row.task_path.rpartition(".")[2])
        row.delete()
    last = ["mail_send_task", "mails_send_due", "delivery_send_task", "deliveries_send_due"]
    assert taken == [task.name for task in urgent] + last


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
