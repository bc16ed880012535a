"""Administrators are made once, from a password that no list of processes shows."""

from __future__ import annotations

import io
import sys

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction

from pasargad.accounts.models import User
from pasargad.accounts.services import ensure_admin

GOOD = "correct horse battery 9"


@pytest.mark.django_db
def test_an_administrator_is_created_once_and_brought_up_to_date():
    assert ensure_admin("boss@example.org", GOOD) == "created"
    assert ensure_admin("Boss@Example.org", GOOD) == "unchanged"
    assert ensure_admin("boss@example.org", GOOD + "!") == "updated"
    User.objects.update(is_active=False)
    assert ensure_admin("boss@example.org", GOOD + "!") == "updated"
    assert User.objects.get().is_active and User.objects.get().check_password(GOOD + "!")


@pytest.mark.django_db
def test_an_administrator_s_address_counts_as_confirmed():
    from allauth.account.models import EmailAddress

    for _ in range(2):
        ensure_admin("Boss@example.org", GOOD)
        assert EmailAddress.objects.get().verified and EmailAddress.objects.get().primary
        EmailAddress.objects.update(verified=False)


@pytest.mark.django_db
def test_a_weak_password_is_refused():
    with pytest.raises(ValidationError):
        ensure_admin("boss@example.org", "password")
    assert not User.objects.exists()


@pytest.mark.django_db
def test_the_command_reads_standard_input(monkeypatch, settings, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{GOOD}\n"))
    call_command("ensure_admin")
    assert User.objects.get().email == settings.ADMIN_EMAIL and GOOD not in capsys.readouterr().out
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(CommandError, match="standard input"):
        call_command("ensure_admin")


@pytest.mark.django_db
def test_two_accounts_cannot_differ_in_case_only():
    User.objects.create_user("ada@example.org", GOOD)
    with pytest.raises((IntegrityError, ValidationError)), transaction.atomic():
        User.objects.create_user("ADA@example.org", GOOD)


@pytest.mark.django_db
def test_staff_sign_in_with_their_address_in_any_case(client, settings):
    ensure_admin("boss@example.org", GOOD)
    path = f"/{settings.ADMIN_URL_PATH}/"
    login = client.get(f"{path}login/?next={path}").headers["Location"]
    answer = client.post(login, {"login": "BOSS@example.org", "password": GOOD, "next": path})
    assert (answer.status_code, answer.headers["Location"]) == (302, path)
    assert client.get(path).status_code == 200


@pytest.mark.django_db
def test_every_list_and_form_of_the_staff_s_pages_opens(client, settings):
    from django.contrib import admin
    from testing.factories import make_order

    make_order()
    ensure_admin("boss@example.org", GOOD)
    client.force_login(User.objects.get())
    for model in admin.site._registry:
        base = f"/{settings.ADMIN_URL_PATH}/{model._meta.app_label}/{model._meta.model_name}/"
        assert client.get(base).status_code == 200, base
        row = model._default_manager.first()
        if row is not None:
            assert client.get(f"{base}{row.pk}/change/").status_code == 200, base
