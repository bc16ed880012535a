"""Passkeys are added, let people in without a password, and only on our own pages."""

from __future__ import annotations

import json
import re

import pytest
from allauth.mfa.models import Authenticator
from django.test import Client
from testing.passkey import Passkey
from testing.people import PASSWORD, make_user, sign_in

from config.settings import base
from pasargad.accounts.services import ensure_admin

pytestmark = pytest.mark.django_db
ADD, LOGIN = "/account/2fa/webauthn/add/", "/account/2fa/webauthn/login/"


def browser() -> Client:
    """Browsers know passkeys only where TLS is spoken."""
    return Client(headers={"x-forwarded-proto": "https"})


def add_key(client: Client, key: Passkey) -> int:
    client.post("/account/reauthenticate/", {"password": PASSWORD})
    page = client.get(ADD).content.decode()
    options = json.loads(re.search(r'id="js_data"[^>]*>(.*?)</script>', page, re.DOTALL)[1])["creation_options"]
    typed = {"name": "Laptop", "passwordless": "on", "credential": key.create(options)}
    return client.post(ADD, typed).status_code


def sign_in_with(client: Client, key: Passkey) -> bool:
    options = client.get(LOGIN, headers={"x-requested-with": "XMLHttpRequest"}).json()["request_options"]
    client.post(LOGIN, {"credential": key.get(options)})
    return client.get("/account/").status_code == 200


@pytest.fixture
def key() -> Passkey:
    make_user()
    client, key = browser(), Passkey()
    sign_in(client)
    assert add_key(client, key) == 302
    assert Authenticator.objects.filter(type="webauthn").count() == 1
    return key


def test_a_passkey_lets_its_owner_in_without_a_password(key):
    assert sign_in_with(browser(), key)


def test_an_answer_to_another_page_lets_nobody_in(key):
    key.origin = "https://evil.example"
    assert not sign_in_with(browser(), key)


def test_an_answer_is_taken_once_and_only_for_its_own_question(key):
    first, second = browser(), browser()
    options = first.get(LOGIN, headers={"x-requested-with": "XMLHttpRequest"}).json()["request_options"]
    answer = key.get(options)
    second.get(LOGIN, headers={"x-requested-with": "XMLHttpRequest"})
    second.post(LOGIN, {"credential": answer})
    assert second.get("/account/").status_code == 302, "somebody else's question was answered"
    first.post(LOGIN, {"credential": answer})
    assert first.get("/account/").status_code == 200
    first.post("/account/logout/")
    first.post(LOGIN, {"credential": answer})
    assert first.get("/account/").status_code == 302


def test_another_key_with_the_same_name_lets_nobody_in(key):
    forged = Passkey(credential_id=key.credential_id, user_handle=key.user_handle)
    assert not sign_in_with(browser(), forged)


@pytest.mark.parametrize(
    "answer", ["", "{}", "[]", '{"id": 1}', "x" * 5000, '{"response": null, "type": "public-key"}']
)
def test_nonsense_is_refused(key, answer):
    client = browser()
    client.get(LOGIN, headers={"x-requested-with": "XMLHttpRequest"})
    assert client.post(LOGIN, {"credential": answer}).status_code == 302
    assert client.get("/account/").status_code == 302


@pytest.mark.parametrize("answer", ["[]", '{"id": 1}', '{"response": {}, "type": "public-key"}'])
def test_nonsense_is_no_new_key(answer):
    make_user("eve@example.org")
    client = browser()
    sign_in(client, "eve@example.org")
    client.post("/account/reauthenticate/", {"password": PASSWORD})
    client.get(ADD)
    refused = client.post(ADD, {"name": "Key", "credential": answer, "passwordless": "on"})
    assert refused.status_code == 200 and not Authenticator.objects.filter(user__email="eve@example.org").exists()


def test_a_passkey_is_a_second_factor_for_staff(settings):
    settings.STAFF_SECOND_FACTOR = base.STAFF_SECOND_FACTOR
    admin = f"/{settings.ADMIN_URL_PATH}/"
    ensure_admin("boss@example.org", PASSWORD)
    client, key = browser(), Passkey()
    sign_in(client, "boss@example.org")
    assert client.get(admin).headers["Location"] == "/account/2fa/"
    add_key(client, key)
    assert client.get(admin).headers["Location"].startswith("/account/2fa/webauthn/reauthenticate/")
    later = browser()
    assert sign_in_with(later, key)
    assert later.get(admin).status_code == 200
