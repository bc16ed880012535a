"""Staff enter their pages through the shop's own sign-in, and only with a second factor used in that session."""

from __future__ import annotations

import io
import time
from urllib.parse import unquote

import pytest
from allauth.mfa.models import Authenticator
from django.core.management import CommandError, call_command
from django.test import Client
from testing.people import PASSWORD, enrol, make_user, sign_in, totp

from config.settings import base
from pasargad.accounts.services import ensure_admin

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _as_in_production(settings):
    settings.STAFF_SECOND_FACTOR = base.STAFF_SECOND_FACTOR
    assert settings.STAFF_SECOND_FACTOR is True


@pytest.fixture
def admin(settings):
    return f"/{settings.ADMIN_URL_PATH}/"


def test_the_first_login_of_an_administrator_leads_to_enrolment(client, admin):
    ensure_admin("boss@example.org", PASSWORD)
    first = client.get(admin, follow=True)
    assert unquote(first.redirect_chain[-1][0]) == f"/account/login/?next={admin}"
    answer = sign_in(client, "boss@example.org", next=admin)
    assert answer.headers["Location"] == admin, "no mail has to be confirmed: an operator made this account"
    led = client.get(admin)
    assert (led.status_code, led.headers["Location"]) == (303, "/account/2fa/")
    assert "need a second factor" in client.get("/account/2fa/").content.decode()
    secret = enrol(client)
    asked = client.get(admin)
    assert asked.headers["Location"] == f"/account/2fa/reauthenticate/?next={admin.replace('/', '%2F')}"
    code = totp(secret, at=time.time() + 30)
    assert client.post(asked.headers["Location"], {"code": code, "next": admin}).headers["Location"] == admin
    assert client.get(admin).status_code == 200


def test_the_next_login_asks_for_the_second_factor_and_opens(client, admin):
    ensure_admin("boss@example.org", PASSWORD)
    sign_in(client, "boss@example.org")
    secret = enrol(client)
    later = Client()
    assert sign_in(later, "boss@example.org", next=admin).headers["Location"].startswith("/account/2fa/authenticate/")
    assert later.get(admin).status_code == 302
    code = totp(secret, at=time.time() + 30)
    assert later.post("/account/2fa/authenticate/", {"code": code}).headers["Location"] == admin
    assert later.get(admin).status_code == 200


def test_a_session_that_never_used_the_second_factor_stays_outside(client, admin):
    """Somebody who got in with the password alone before it was set up elsewhere gains nothing from it."""
    ensure_admin("boss@example.org", PASSWORD)
    stolen = Client()
    sign_in(stolen, "boss@example.org")
    sign_in(client, "boss@example.org")
    enrol(client)
    for path in (admin, f"{admin}orders/order/", f"{admin}accounts/user/"):
        assert stolen.get(path).headers["Location"].startswith("/account/2fa/reauthenticate/")
    assert stolen.post(f"{admin}accounts/user/1/delete/", {"post": "yes"}).status_code in (303, 403)


def test_recovery_codes_alone_are_no_second_factor(client, admin):
    ensure_admin("boss@example.org", PASSWORD)
    sign_in(client, "boss@example.org")
    enrol(client)
    Authenticator.objects.filter(type="totp").delete()
    assert client.get(admin).headers["Location"] == "/account/2fa/"


def test_shoppers_are_refused_and_staff_can_always_sign_out(client, admin):
    make_user()
    sign_in(client)
    assert client.get(admin).status_code in (302, 403)
    assert client.get(f"{admin}login/").status_code == 403
    boss = Client()
    ensure_admin("boss@example.org", PASSWORD)
    sign_in(boss, "boss@example.org")
    assert boss.post(f"{admin}logout/").status_code in (200, 302)
    assert boss.get("/account/").status_code == 302


def test_whoever_lost_the_second_factor_is_helped_by_an_operator(client, admin):
    ensure_admin("boss@example.org", PASSWORD)
    sign_in(client, "boss@example.org")
    enrol(client)
    out = io.StringIO()
    call_command("forget_second_factor", "BOSS@example.org", stdout=out)
    assert "2 deleted" in out.getvalue() and not Authenticator.objects.exists()
    assert sign_in(later := Client(), "boss@example.org").headers["Location"] == "/account/"
    assert later.get(admin).headers["Location"] == "/account/2fa/"
    with pytest.raises(CommandError, match="no account"):
        call_command("forget_second_factor", "nobody@example.org")


def test_staff_see_no_secrets_of_others(client, admin, settings):
    ensure_admin("boss@example.org", PASSWORD)
    sign_in(client, "boss@example.org")
    enrol(client)
    settings.STAFF_SECOND_FACTOR = False
    row = Authenticator.objects.get(type="totp")
    page = client.get(f"{admin}mfa/authenticator/{row.pk}/change/").content.decode()
    assert row.data["secret"] not in page and "boss@example.org" in page
    assert client.get(f"{admin}socialaccount/socialtoken/").status_code == 404


def test_staff_sign_in_while_the_shop_is_closed(client, admin, settings):
    from dataclasses import replace

    from pasargad.storefront.middleware import Maintenance

    settings.FEATURES = replace(settings.FEATURES, maintenance=True)
    opened = Maintenance(lambda request: None).open
    for path in ("/account/login/", "/account/2fa/authenticate/", "/account/2fa/totp/activate/", "/account/logout/"):
        assert path.startswith(opened)
    assert not "/account/orders/".startswith(opened)
