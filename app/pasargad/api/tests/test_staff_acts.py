"""What staff do by the API counts as much as what they do on their pages: a second factor, and the audit log."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from testing.api import Api, with_key
from testing.factories import make_variant
from testing.people import enrol, make_user, sign_in

from config.settings import base
from pasargad.api.scopes import RIGHTS, Scope
from pasargad.audit.models import Entry

pytestmark = pytest.mark.django_db


def staff_with(scope: Scope) -> Api:
    user = make_user("boss@example.org", is_staff=True)
    label, _dot, codename = RIGHTS[scope].partition(".")
    user.user_permissions.add(Permission.objects.get(content_type__app_label=label, codename=codename))
    api = Api()
    sign_in(api.client, "boss@example.org")
    return api


def test_a_session_without_its_second_factor_is_not_enough(settings):
    settings.STAFF_SECOND_FACTOR = base.STAFF_SECOND_FACTOR
    api = staff_with(Scope.ORDERS_READ)
    refused = api.get("/staff/orders")
    assert refused.status_code == 403 and "second factor" in refused.json()["detail"]
    enrol(api.client)
    assert api.get("/staff/orders").status_code == 403, "set up, and not used in this session"
    settings.STAFF_SECOND_FACTOR = False
    assert api.get("/staff/orders").status_code == 200


def test_an_act_is_in_the_log_with_its_author():
    variant = make_variant()
    api = with_key(Scope.STOCK_WRITE)
    answer = api.post(f"/staff/stock/{variant.sku}/movements", {"quantity": 1, "kind": "received"})
    assert answer.status_code in (200, 201), answer.content
    [entry] = Entry.objects.filter(action__startswith="api: ")
    assert entry.actor.startswith("api:") and entry.changes == {"sku": [None, variant.sku]}
    assert Entry.objects.filter(action="created", actor=entry.actor).exists(), "the movement of stock"


def test_an_act_that_is_refused_leaves_no_entry():
    answer = with_key(Scope.STOCK_WRITE).post("/staff/stock/NO-SUCH/movements", {"quantity": 1, "kind": "received"})
    assert answer.status_code == 404
    assert not Entry.objects.filter(action__startswith="api: ").exists()


def test_reading_is_no_act():
    assert with_key(Scope.ORDERS_READ).get("/staff/orders").status_code == 200
    assert not Entry.objects.filter(action__startswith="api: ").exists()
