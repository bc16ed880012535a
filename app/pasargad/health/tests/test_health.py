"""Readiness tells the truth: each of its checks has been made to fail."""

from __future__ import annotations

import json
import time

import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from pasargad.health import checks

TOKEN = "Bearer metrics-token-of-the-workbench"


def test_live_needs_no_database(client, settings):
    settings.PASARGAD_SLOT, settings.PASARGAD_RELEASE = "blue", "abc123"
    answer = client.get("/health/live")
    assert answer.json() == {"status": "ok", "release": "abc123", "slot": "blue"}
    assert answer.headers["X-Pasargad-Slot"] == "blue"
    assert answer.headers["X-Pasargad-Release"] == "abc123"
    assert "no-store" in answer.headers["Cache-Control"]


@pytest.mark.django_db
def test_ready_when_everything_answers(client):
    answer = client.get("/health/ready")
    assert answer.status_code == 200, answer.content
    assert set(answer.json()["checks"]) == {"database", "redis", "migrations", "staticfiles"}
    assert all(check["ok"] for check in answer.json()["checks"].values())


@pytest.mark.django_db
def test_not_ready_while_a_migration_is_missing(client):
    [(_, newest)] = MigrationLoader(connection).graph.leaf_nodes("orders")
    MigrationRecorder(connection).record_unapplied("orders", newest)
    answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert f"orders.{newest}" in answer.json()["checks"]["migrations"]["detail"]


@pytest.mark.django_db
def test_a_database_that_is_ahead_is_fine(client):
    MigrationRecorder(connection).record_applied("orders", "0999_from_a_newer_release")
    assert client.get("/health/ready").status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("alias", ["default", "sessions", "limits"])
def test_not_ready_when_one_redis_is_away(client, settings, alias):
    own = {**settings.CACHES[alias], "LOCATION": "unix:///nowhere/redis.sock?db=0"}
    settings.CACHES = {**settings.CACHES, alias: own}
    answer = client.get("/health/ready")
    assert answer.status_code == 503 and not answer.json()["checks"]["redis"]["ok"]


@pytest.mark.django_db
def test_not_ready_without_the_manifest_of_static_files(monkeypatch, tmp_path):
    from django.contrib.staticfiles.storage import ManifestStaticFilesStorage

    monkeypatch.setattr(
        checks, "staticfiles_storage", ManifestStaticFilesStorage(location=str(tmp_path), base_url="/s/")
    )
    assert not checks.staticfiles().ok


@pytest.mark.django_db
def test_detail_and_metrics_are_for_those_who_know_the_token(client):
    for path in ("/health/detail", "/metrics"):
        assert client.get(path).status_code == 404
        assert client.get(path, headers={"Authorization": TOKEN}).status_code == 200


@pytest.mark.django_db
def test_metrics_count_orders(client):
    from testing.factories import make_order

    make_order()
    text = client.get("/metrics", headers={"Authorization": TOKEN}).content.decode()
    assert 'pasargad_orders{status="awaiting_payment"} 1.0' in text
    assert "pasargad_reserved_pieces 1.0" in text


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("status", "good"),
    [
        ({"ok": True, "hours": 1}, True),
        ({"ok": False, "hours": 1}, False),
        ({"ok": True, "hours": 99}, False),
        (None, False),
    ],
)
def test_an_old_failed_or_missing_backup_is_reported(settings, tmp_path, status, good):
    from dataclasses import replace

    file = tmp_path / "status.json"
    if status:
        file.write_text(json.dumps({"ok": status["ok"], "finished_at": time.time() - status["hours"] * 3600}))
    settings.MONITORING = replace(settings.MONITORING, backup_expected=True, backup_status_file=str(file))
    assert checks.backup().ok is good


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        (f"/orders/{'a' * 32}/pay/", "/orders/…/pay/"),
        ("/account/confirm-email/MQ:1abc:def/", "/account/confirm-email/…/"),
        ("/account/password/reset/key/1-abc-def/", "/account/password/reset/key/…/"),
        ("/reminders/stop/MQ:abc/", "/reminders/stop/…/"),
        ("/account/email/", "/account/email/"),
    ],
)
def test_the_log_lets_nobody_in(path, logged):
    from pasargad.health.middleware import masked

    assert masked(path) == logged
