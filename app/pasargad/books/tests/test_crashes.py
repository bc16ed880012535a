"""A process that dies at any labelled point loses nothing: the next one finishes what it left."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

import pytest
from django.db import connection
from django.utils import timezone
from testing.factories import make_variant
from testing.provider import SECRET_KEY, Provider

from pasargad.books.oracles import check, check_provider
from pasargad.faults import KILLED, POINTS, read_plan
from pasargad.notifications.models import Mail
from pasargad.notifications.services import mails_send_due
from pasargad.orders.models import Order, Status
from pasargad.payments import gateway
from pasargad.payments.models import Refund
from pasargad.payments.refunds import refunds_resend
from pasargad.payments.services import events_pull, orders_expire, payments_reconcile
from pasargad.webhooks import transport
from pasargad.webhooks.models import Delivery, Event
from pasargad.webhooks.services import deliveries_send_due

APP = Path(__file__).resolve().parents[3]


def live(provider: Provider, fault: str = "") -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "config.settings.test",
        "PYTHONPATH": str(APP),
        "DB_NAME": str(connection.settings_dict["NAME"]),
        "STRIPE_API_BASE": provider.url,
        "STRIPE_SECRET_KEY": SECRET_KEY,
        "STRIPE_MAX_NETWORK_RETRIES": "0",
        "PASARGAD_FAULT": fault,
    }
    return subprocess.run(
        [sys.executable, "-m", "testing.life"], cwd=APP, env=environment, capture_output=True, text=True, timeout=120
    )


def recover() -> None:
    """What the workers do within minutes, without the waiting."""
    for _ in range(2):
        events_pull()
        payments_reconcile(quiet_seconds=0)
        refunds_resend(quiet_seconds=0)
    Order.objects.filter(status=Status.AWAITING_PAYMENT).update(expires_at=timezone.now() - timedelta(seconds=1))
    orders_expire()
    Mail.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))
    mails_send_due()
    Delivery.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))
    with patch.object(transport, "post", return_value=transport.Result(204, "", 1)):
        deliveries_send_due()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("point", POINTS)
def test_nothing_is_lost_when_a_process_dies(outside, point):
    make_variant(stock=5)
    make_variant(stock=5)
    ended = live(outside, point)
    assert ended.returncode == KILLED, f"{point} was never reached\n{ended.stderr}"
    assert check() == [], "what is committed is whole, also before anybody recovers"
    recover()
    assert check() == [] and check_provider(timezone.now() - timedelta(hours=1)) == []
    assert not Refund.objects.exclude(status="succeeded").exists()
    assert not Mail.objects.filter(state="pending").exists()
    assert not Delivery.objects.filter(state="pending").exists()
    told = Event.objects.filter(kind="order.paid").count()
    assert told == Order.objects.filter(events__after="paid").distinct().count()
    now = timezone.now()
    listed = gateway.intents_between(now - timedelta(hours=1), now + timedelta(hours=1))
    taken = {intent.attempt_key for intent in listed if intent.received}
    assert Order.objects.filter(events__after="paid").distinct().count() == len(taken)


@pytest.mark.django_db(transaction=True)
def test_without_a_fault_the_whole_life_is_lived(outside):
    """The control of the test above: the process does not end at a point by itself."""
    make_variant(stock=5)
    make_variant(stock=5)
    ended = live(outside)
    assert ended.returncode == 0, ended.stderr
    statuses = sorted(Order.objects.values_list("status", flat=True))
    assert statuses == ["expired", "paid", "paid", "shipped"]
    assert check() == [] and check_provider(timezone.now() - timedelta(hours=1)) == []


@pytest.mark.parametrize("text", ["nowhere", "payments.settle.done:0", "payments.settle.done:x"])
def test_a_fault_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="no such fault"):
        read_plan(text)


def test_a_fault_may_wait_for_a_later_visit():
    assert read_plan("payments.settle.done:3") == ("payments.settle.done", 3)
