"""Accounts are opened, confirmed, entered, changed and left; nothing tells strangers who has one."""

from __future__ import annotations

import re
import statistics
import time
from dataclasses import replace
from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from allauth.core.internal import ratelimit
from allauth.mfa.models import Authenticator
from django.conf import settings as live
from django.contrib.auth.hashers import identify_hasher
from django.core.cache import caches
from django.test import Client
from django.utils import timezone
from testing.people import PASSWORD, delivered, enrol, link_in, make_user, prove, sign_in, totp

from config.settings import base
from pasargad.accounts.models import User
from pasargad.notifications.models import Mail

NEW = "new strong password 7"
pytestmark = pytest.mark.django_db


def open_account(client: Client, email: str = "ada@example.org", password: str = PASSWORD):
    return client.post("/account/signup/", {"email": email, "password1": password})


def signed_in(client: Client) -> bool:
    return client.get("/account/").status_code == 200


def test_an_account_is_opened_confirmed_entered_and_left(client):
    assert open_account(client, "Ada@Example.org").status_code == 302
    assert not signed_in(client), "nobody is let in with an address that was not confirmed"
    path = link_in(delivered("ada@example.org")[0])
    assert client.get(path).status_code == 200
    assert not EmailAddress.objects.get().verified, "opening the link alone, as mail programs do, confirms nothing"
    client.post(path)
    assert EmailAddress.objects.get().verified and signed_in(client)
    client.post("/account/logout/")
    assert not signed_in(client)
    assert sign_in(client).status_code == 302 and signed_in(client)


def test_a_link_works_once_and_not_after_a_day(client, monkeypatch):
    open_account(client)
    path = link_in(delivered("ada@example.org")[0])
    later = time.time() + 86400 + 60
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: later)
        client.post(path)
    assert not EmailAddress.objects.get().verified
    client.post(path)
    assert EmailAddress.objects.get().verified
    elsewhere = Client()
    elsewhere.post(path)
    assert not signed_in(elsewhere), "a used link lets nobody in"


def test_no_link_that_opens_anything_is_stored(client):
    open_account(client)
    make_user("bob@example.org")
    client.post("/account/password/reset/", {"email": "bob@example.org"})
    paths = [link_in(delivered(email)[0]) for email in ("ada@example.org", "bob@example.org")]
    rows = str(list(Mail.objects.values()))
    for path in paths:
        for part in re.findall(r"[^/]{12,}", path):
            assert part not in rows


def test_a_password_is_reset_by_mail_once(client):
    make_user()
    sign_in(old := Client())
    client.post("/account/password/reset/", {"email": "ADA@example.org"})
    path = link_in(delivered("ada@example.org")[0])
    page = client.get(path, follow=True)
    assert page.status_code == 200
    form = page.redirect_chain[-1][0]
    answer = client.post(form, {"password1": NEW, "password2": NEW})
    assert answer.status_code == 302
    assert User.objects.get().check_password(NEW)
    assert not signed_in(old), "whoever was signed in with the old password is not any more"
    again = Client().get(path, follow=True).content.decode()
    assert 'name="password1"' not in again
    assert "password was changed" in delivered("ada@example.org")[-1].subject


@pytest.mark.parametrize("weak", ["short", "password1234", "12345678901234", "ada@example.org"])
def test_weak_passwords_are_refused(client, weak):
    answer = open_account(client, password=weak)
    assert answer.status_code == 200 and not User.objects.exists()
    assert 'aria-invalid="true"' in answer.content.decode()


def test_passwords_are_kept_as_argon2(settings):
    settings.PASSWORD_HASHERS = base.PASSWORD_HASHERS
    assert identify_hasher(make_user().password).algorithm == "argon2"


@pytest.mark.parametrize(
    ("path", "typed"),
    [
        ("/account/signup/", {"password1": PASSWORD}),
        ("/account/password/reset/", {}),
        ("/account/login/", {"password": "not the password 1"}),
    ],
)
def test_a_known_and_an_unknown_address_get_the_same_answer(path, typed):
    make_user("known@example.org")
    make_user("unsure@example.org", verified=False)
    seen = []
    for email in ("known@example.org", "unsure@example.org", "nobody@example.org"):
        client = Client()
        answer = client.post(path, {"email": email, "login": email, **typed}, follow=True)
        said = re.sub(r'value="[A-Za-z0-9]{64}"', "", answer.content.decode().replace(email, "EMAIL"))
        seen.append((answer.status_code, answer.redirect_chain, said, sorted(client.cookies)))
    assert seen[0] == seen[1] == seen[2]
    mails = {email: delivered(email) for email in ("known@example.org", "nobody@example.org")}
    if path != "/account/login/":
        assert all(mails.values()), "the owner of the address is told either way"


@pytest.mark.parametrize(
    ("path", "typed"),
    [("/account/signup/", {"password1": PASSWORD}), ("/account/login/", {"password": "not the password 1"})],
)
def test_a_known_and_an_unknown_address_take_about_as_long(settings, path, typed):
    """With Argon2, which takes most of the time: what is left out for one of them would show."""
    settings.PASSWORD_HASHERS = base.PASSWORD_HASHERS
    make_user("known@example.org")

    def seconds(email: str) -> float:
        start = time.perf_counter()
        Client().post(path, {"email": email, "login": email, **typed})
        return time.perf_counter() - start

    seconds("warm@example.org")
    # In turn, so that whatever else the machine does slows both.
    pairs = [(seconds("known@example.org"), seconds(f"nobody{number}@example.org")) for number in range(9)]
    assert 0.5 < statistics.median(known / unknown for known, unknown in pairs) < 2


def test_too_many_attempts_are_refused_and_counted_beside_the_other_limits(client, settings):
    settings.ACCOUNT_RATE_LIMITS = {}
    make_user()
    answers = [sign_in(client, password=f"wrong {number}").content.decode() for number in range(7)]
    assert "Too many failed" in answers[-1] and "Too many failed" not in answers[0]
    assert "Too many failed" in sign_in(client).content.decode(), "the right password does not help now"
    assert any("allauth" in key for key in caches["limits"].keys("*"))
    assert not any("allauth" in key for key in caches["default"].keys("*"))


def test_attempts_from_one_line_of_ipv6_count_together(rf, settings):
    """The library counts whom every other limit counts."""
    settings.RATE_LIMITS = replace(settings.RATE_LIMITS, trusted_proxies=1)

    def counted(address: str) -> str:
        return ratelimit.get_ip(rf.post("/account/login/", headers={"X-Forwarded-For": address}))

    assert counted("2001:db8:0:1::1") == counted("2001:db8:0:1:ffff::2") != counted("2001:db8:0:2::1")
    assert counted("::ffff:203.0.113.1") == counted("203.0.113.1") != counted("::ffff:203.0.113.2")


def test_people_sign_in_while_redis_is_away(client, settings):
    settings.ACCOUNT_RATE_LIMITS = {}
    settings.CACHES = {
        name: {**cache, "LOCATION": "redis://127.0.0.1:1/0"} if name == "limits" else cache
        for name, cache in settings.CACHES.items()
    }
    make_user()
    start = time.perf_counter()
    assert sign_in(client).status_code == 302 and signed_in(client)
    assert time.perf_counter() - start < 10


def test_a_mail_address_is_changed_once_the_new_one_is_confirmed(client):
    user = make_user()
    sign_in(client)
    prove(client)
    client.post("/account/email/", {"email": "ada@new.example", "action_add": ""})
    user.refresh_from_db()
    assert user.email == "ada@example.org"
    client.post(link_in(delivered("ada@new.example")[0]))
    user.refresh_from_db()
    assert user.email == "ada@new.example"
    assert list(EmailAddress.objects.values_list("email", "verified")) == [("ada@new.example", True)]
    assert any("changed" in message.subject for message in delivered("ada@example.org")), "the old address hears of it"


def test_nobody_takes_an_address_that_became_another_account_s(client):
    make_user()
    sign_in(client)
    prove(client)
    client.post("/account/email/", {"email": "eve@example.org", "action_add": ""})
    path = link_in(delivered("eve@example.org")[0])
    make_user("eve@example.org")
    assert client.post(path, follow=True).status_code == 200
    assert User.objects.filter(email="ada@example.org").count() == 1
    assert EmailAddress.objects.get(email="eve@example.org", verified=True).user.email == "eve@example.org"


def test_whoever_only_claims_an_address_gives_way_to_who_proves_it(client):
    user = make_user()
    sign_in(client)
    prove(client)
    client.post("/account/email/", {"email": "ada@new.example", "action_add": ""})
    make_user("ADA@new.example", verified=False)
    client.post(link_in(delivered("ada@new.example")[0]))
    user.refresh_from_db()
    assert user.email == "ada@new.example" and User.objects.count() == 1


def test_asking_for_somebody_s_address_tells_nothing_of_it(client):
    make_user()
    make_user("known@example.org")
    sign_in(client)
    prove(client)
    seen = []
    for email in ("known@example.org", "nobody@example.org"):
        answer = client.post("/account/email/", {"email": email, "action_add": ""}, follow=True)
        said = re.sub(r'value="[A-Za-z0-9]{64}"', "", answer.content.decode().replace(email, "EMAIL"))
        seen.append((answer.status_code, answer.redirect_chain, said))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("path", ["/account/2fa/totp/activate/", "/account/privacy/erase/"])
def test_sensitive_acts_ask_for_the_password_again(client, path):
    make_user()
    sign_in(client)
    answer = client.get(path)
    assert answer.status_code == 302 and answer.headers["Location"].startswith("/account/reauthenticate/")
    assert client.post(answer.headers["Location"], {"password": "wrong"}).status_code == 200
    assert client.get(path).status_code == 302
    assert client.post(answer.headers["Location"], {"password": PASSWORD}).headers["Location"] == path
    assert client.get(path).status_code == 200
    session = client.session
    records = session["account_authentication_methods"]
    session["account_authentication_methods"] = [{**record, "at": record["at"] - 600} for record in records]
    session.save()
    assert client.get(path).status_code == 302, "what was proved long ago is asked for again"


def test_sessions_are_listed_and_ended(client):
    make_user()
    elsewhere = Client(headers={"user-agent": "A phone"})
    for browser in (client, elsewhere):
        sign_in(browser)
    assert "A phone" in client.get("/account/sessions/").content.decode()
    client.post("/account/sessions/")
    assert signed_in(client) and not signed_in(elsewhere)


def test_a_second_factor_is_asked_for_and_no_code_works_twice(client):
    make_user()
    sign_in(client)
    secret = enrol(client)
    stored = Authenticator.objects.get(type="totp").data
    assert secret not in str(stored), "the secret is encrypted where it is stored"
    elsewhere = Client()
    assert sign_in(elsewhere).headers["Location"].startswith("/account/2fa/authenticate/")
    assert not signed_in(elsewhere)
    code = totp(secret, at=time.time() + 30)
    assert elsewhere.post("/account/2fa/authenticate/", {"code": code}).status_code == 302 and signed_in(elsewhere)
    third = Client()
    sign_in(third)
    third.post("/account/2fa/authenticate/", {"code": code})
    assert not signed_in(third), "a code that was used is not taken again"


def test_a_recovery_code_works_once(client):
    make_user()
    sign_in(client)
    enrol(client)
    code = client.get("/account/2fa/recovery-codes/download/").content.decode().split()[-1]
    for expected in (True, False):
        browser = Client()
        sign_in(browser)
        browser.post("/account/2fa/authenticate/", {"code": code})
        assert signed_in(browser) is expected


def test_secrets_stay_readable_while_the_key_is_changed(client, settings):
    make_user()
    sign_in(client)
    secret = enrol(client)
    authenticator = Authenticator.objects.get(type="totp")
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [live.SECRET_KEY], "another key " * 6
    assert authenticator.wrap().validate_code(totp(secret, at=time.time() + 30))


def test_logins_of_other_providers_are_offered_where_they_are_set_up(client, settings):
    page = client.get("/account/login/").content.decode()
    assert not any(name in page for name in ("Google", "Facebook", "GitHub"))
    assert client.get("/account/google/login/").status_code == 404
    settings.SOCIALACCOUNT_PROVIDERS = {"github": {"APPS": [{"client_id": "x", "secret": "y"}]}}
    page = client.get("/account/login/").content.decode()
    assert "GitHub" in page and "Google" not in page
    assert client.get("/account/github/login/").status_code == 200, "a button first: a link alone sends nobody away"
    assert client.post("/account/github/login/").headers["Location"].startswith("https://github.com/login/oauth/")


def test_providers_are_given_one_address_in_every_language(client, settings):
    settings.SOCIALACCOUNT_PROVIDERS = {"github": {"APPS": [{"client_id": "x", "secret": "y"}]}}
    page = client.get("/fa/account/login/").content.decode()
    onward = re.search(r'href="(/fa/account/github/login/\?[^"]*)"', page)
    assert onward and "next=%2Ffa%2Faccount%2F" in onward[1]
    asked = client.post(onward[1].replace("&amp;", "&")).headers["Location"]
    assert "redirect_uri=http%3A%2F%2Ftestserver%2Faccount%2Fgithub%2Flogin%2Fcallback%2F" in asked


def test_sign_in_pages_need_no_script_and_hold_to_the_content_policy(client):
    make_user()
    paths = ["/account/login/", "/account/signup/", "/account/password/reset/"]
    pages = [client.get(path) for path in paths]
    sign_in(client)
    prove(client)
    mine = [
        *("/account/email/", "/account/password/change/", "/account/2fa/", "/account/2fa/totp/activate/"),
        *("/account/sessions/", "/account/3rdparty/", "/account/2fa/webauthn/add/", "/account/logout/"),
        *("/account/", "/account/orders/", "/account/addresses/", "/account/addresses/add/", "/account/profile/"),
        *("/account/privacy/", "/account/privacy/erase/"),
    ]
    pages += [client.get(path) for path in mine]
    for path, page in zip([*paths, *mine], pages, strict=True):
        text = page.content.decode()
        assert page.status_code == 200, path
        assert "no-store" in page.headers["Cache-Control"] or "no-cache" in page.headers["Cache-Control"], path
        assert " style=" not in text and "onclick" not in text, path
        scripts = re.findall(r"<script\b([^>]*)>", text)
        assert all("src=" in one or "application/json" in one for one in scripts), path
        assert text.count("<h1") == 1, path
        labelled = set(re.findall(r'<label[^>]* for="([^"]+)"', text))
        for field in re.findall(r"<(?:input|select|textarea)\b[^>]*>", text):
            if 'type="hidden"' in field or 'type="submit"' in field:
                continue
            assert re.search(r'\bid="([^"]+)"', field)[1] in labelled, (path, field)


def test_an_account_that_was_closed_lets_nobody_in(client):
    user = make_user()
    User.objects.filter(pk=user.pk).update(is_active=False)
    sign_in(client)
    assert not signed_in(client)


def test_a_sign_in_leads_nowhere_else(client):
    make_user()
    answer = sign_in(client, next="https://evil.example/")
    assert answer.headers["Location"] == "/account/"


def test_reset_links_end(client, monkeypatch):
    from django.contrib.auth import tokens

    make_user()
    client.post("/account/password/reset/", {"email": "ada@example.org"})
    path = link_in(delivered("ada@example.org")[0])
    ahead = timezone.localtime(timezone.now()).replace(tzinfo=None) + timedelta(hours=2)
    monkeypatch.setattr(tokens.PasswordResetTokenGenerator, "_now", lambda self: ahead)
    page = client.get(path, follow=True).content.decode()
    assert 'name="password1"' not in page
