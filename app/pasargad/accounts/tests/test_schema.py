"""What the tables of accounts promise: to the release before, to the library's next version, and to long lists."""

from __future__ import annotations

import pytest
from allauth.usersessions.models import UserSession
from django.core.management import call_command
from django.db import connection
from testing.people import make_user

from pasargad.accounts.services import address_save
from pasargad.orders.models import Order
from pasargad.orders.selectors import orders_of
from pasargad.reminders.services import consent_set


@pytest.mark.django_db
def test_no_migration_is_missing_not_even_of_the_library_s_apps():
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


@pytest.mark.django_db
def test_the_release_before_can_delete_an_account_whose_new_tables_it_does_not_know():
    user = make_user()
    address_save(user, {"name": "A", "street": "1", "zip": "1", "city": "B", "country": "US"}, default=True)
    consent_set(user, agree=True)
    UserSession.objects.create(user=user, ip="192.0.2.1", session_key="k", user_agent="x")
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM accounts_user WHERE id = %s", [user.pk])
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert not UserSession.objects.exists()


@pytest.mark.django_db
def test_a_person_s_orders_are_found_by_indexes():
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        query, values = orders_of(1, ["ada@example.org"]).order_by().query.sql_with_params()
        cursor.execute(f"EXPLAIN {query}", values)
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "orders_order_guest_email" in plan and "Seq Scan on orders_order" not in plan, plan
    assert Order.objects.count() == 0
