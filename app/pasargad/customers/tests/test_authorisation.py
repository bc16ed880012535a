"""Every address of the shop, walked: who may see it is written here, and an address that is not listed fails.

Whoever adds an address adds it to one of the lists; what takes the id or token of somebody's things says how such a
thing is made, and then has to be a 404 for everybody else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from allauth.mfa.models import Authenticator
from django.conf import settings as live
from django.test import Client
from django.urls import URLPattern, get_resolver
from django.urls.resolvers import LocalePrefixPattern
from django.utils.translation import override
from testing.factories import make_order, make_variant
from testing.people import make_user, prove, sign_in

from config.settings import base
from pasargad.accounts.models import User
from pasargad.accounts.services import address_save
from pasargad.cart.services import cart_add, cart_of_user
from pasargad.orders.models import Order
from pasargad.reminders.services import consent_set, stop_token

pytestmark = pytest.mark.django_db
ADMIN = f"{live.ADMIN_URL_PATH}/"
ORDER = "^orders/(?P<token>[0-9a-f]{32})"


def _words(text: str) -> list[str]:
    return text.split()


# The same for everybody, or about whoever asks; nothing in the address names anybody's things.
ANYBODY = _words("""
    _home_ shop/ c/<slug:slug>/ p/<slug:slug>/ p/<slug:slug>/reviews/ p/<slug:slug>/review/ compare/ seen/ wishlist/
    wishlist/add/ wishlist/remove/ cart/ cart/add/ cart/coupon/ checkout/ checkout/quote/ checkout/coupon/ orders/find/
    info/<slug:page>/ health/warm sitemap.xml sitemap-pages.xml sitemap-products-<int:number>.xml robots.txt
    .well-known/security.txt account/login/ account/logout/ account/inactive/ account/signup/ account/confirm-email/
    account/password/reset/ account/password/reset/done/ account/password/reset/key/done/
    account/2fa/authenticate/ account/2fa/webauthn/login/ account/login/code/confirm/
    account/3rdparty/login/cancelled/ account/3rdparty/login/error/ account/3rdparty/signup/
    account/social/login/cancelled/ account/social/login/error/ account/social/signup/ account/social/connections/
    account/google/login/ account/google/login/callback/ account/google/login/token/
    account/facebook/login/ account/facebook/login/callback/ account/facebook/login/token/
    account/github/login/ account/github/login/callback/ health/live health/ready
    seen/view/ api/docs/ api/v1/openapi.json sw.js offline/ manifest.webmanifest
""")
# Machines with a secret of their own; each has tests where it lives.
# All of the API's operations stand in its own matrix: api/tests/test_access.py.
MACHINES = _words("webhooks/stripe/ webhooks/shippo/ health/detail metrics api/^v1/(?P<path>.*)$")
# About whoever is signed in: strangers are led to sign in.
SIGNED_IN = _words("""
    account/ account/orders/ account/addresses/ account/addresses/add/ account/profile/ account/privacy/
    account/privacy/export/ account/privacy/erase/ account/reminders/ account/reauthenticate/
    account/reauthenticate/code/ account/reauthenticate/code/confirm/ account/email/
    account/password/change/ account/password/set/ account/2fa/ account/2fa/reauthenticate/ account/2fa/totp/activate/
    account/2fa/totp/deactivate/ account/2fa/recovery-codes/ account/2fa/recovery-codes/generate/
    account/2fa/recovery-codes/download/ account/2fa/webauthn/ account/2fa/webauthn/add/
    account/2fa/webauthn/reauthenticate/ account/3rdparty/ account/sessions/
""")
POST_ONLY = {"account/privacy/export/", "account/reminders/"}


def _address(user: User) -> dict[str, Any]:
    typed = {"name": "Ada", "street": "1 Engine Street", "zip": "1", "city": "Boston", "country": "US"}
    return {"address_id": address_save(user, typed, default=True).pk}


def _key(user: User) -> dict[str, Any]:
    data = {"name": "Key", "passwordless": True, "credential": {}}
    return {"pk": Authenticator.objects.create(user=user, type="webauthn", data=data).pk}


def _line(user: User) -> dict[str, Any]:
    return {"line_id": cart_add(cart_of_user(user), make_variant(), 1).pk}


# Of one account: the owner gets something, everybody else 404 (or is led to sign in).
OWNED: dict[str, tuple[str, Callable[[User], dict[str, Any]]]] = {
    "account/addresses/<int:address_id>/": ("get", _address),
    "account/addresses/<int:address_id>/delete/": ("post", _address),
    "account/addresses/<int:address_id>/default/": ("post", _address),
    "account/2fa/webauthn/keys/<int:pk>/remove/": ("get", _key),
    "account/2fa/webauthn/keys/<int:pk>/edit/": ("get", _key),
    "cart/lines/<int:line_id>/": ("post", _line),
}


def _order(user: User) -> dict[str, Any]:
    order = make_order()
    Order.objects.filter(pk=order.pk).update(user=user, status="delivered")
    return {"token": order.token, "slug": order.lines.get().variant.product.slug, "number": "1"}


def _reminder(user: User) -> dict[str, Any]:
    consent_set(user, agree=True)
    return {"token": stop_token(user.pk)}


def _confirmation(user: User) -> dict[str, Any]:
    address = EmailAddress.objects.create(user=user, email="new@example.org", verified=False, primary=False)
    return {"key": EmailConfirmationHMAC(address).key}


# Whoever holds the secret in the address is let in, as the shop's mails need it; any other secret opens nothing.
# The last word is what a wrong one gets: 404, or a page that says so and does nothing.
HELD: dict[str, tuple[str, Callable[[User], dict[str, Any]], str, int]] = {
    f"{ORDER}/$": ("get", _order, "token", 404),
    f"{ORDER}/pay/$": ("post", _order, "token", 404),
    f"{ORDER}/cancel/$": ("post", _order, "token", 404),
    f"{ORDER}/return/$": ("get", _order, "token", 404),
    f"{ORDER}/reviews/$": ("get", _order, "token", 404),
    f"{ORDER}/reviews/(?P<slug>[-a-zA-Z0-9_]+)/$": ("get", _order, "token", 404),
    f"{ORDER}/returns/$": ("get", _order, "token", 404),
    f"{ORDER}/returns/(?P<number>\\d{{1,4}})/withdraw/$": ("post", _order, "token", 404),
    "reminders/stop/<str:token>/": ("get", _reminder, "token", 404),
    r"account/^confirm-email/(?P<key>[-:\w]+)/$": ("get", _confirmation, "key", 200),
    r"account/^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$": (
        "get", lambda user: {"uidb36": str(user.pk), "key": "x-x"}, "key", 200,
    ),
}  # fmt: skip

FORM_OF_A_LINK = r'<form[^>]*action="/account/(confirm-email|password)/'
# What staff without any right may open, as it shows nothing: their first page, and their own sign-in.
STAFF_WITHOUT_RIGHTS = {"index", "login", "logout", "password_change", "password_change_done", "jsi18n"}


def walk(patterns: list[Any], prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield route or "_home_", pattern
        else:
            yield from walk(pattern.url_patterns, route)


def translated() -> list[Any]:
    """The patterns whose prefix is a language."""
    return [pattern for pattern in get_resolver().url_patterns if isinstance(pattern.pattern, LocalePrefixPattern)]


ROUTES = dict(walk(get_resolver().url_patterns))
STAFF = {route: pattern for route, pattern in ROUTES.items() if route.startswith(ADMIN)}


def path_of(route: str, values: dict[str, Any]) -> str:
    """Fill in a route; what is not named is 1, which is nobody's."""
    text = route.replace("^", "").replace("$", "").replace("\\Z", "")
    text = re.sub(r"\(\?P<(\w+)>(?:[^()]|\([^()]*\))*\)", lambda found: str(values.get(found[1], 1)), text)
    return "/" + re.sub(r"<(?:\w+:)?(\w+)>", lambda found: str(values.get(found[1], 1)), text)


def ask(client: Client, method: str, path: str) -> int:
    return getattr(client, method)(path).status_code


def person(email: str, **fields: Any) -> tuple[User, Client]:
    user, client = make_user(email, **fields), Client()
    sign_in(client, email)
    prove(client)
    return user, client


def test_every_address_is_listed_once():
    lists = [ANYBODY, MACHINES, SIGNED_IN, OWNED.keys(), HELD.keys(), STAFF.keys()]
    listed = [route for one in lists for route in one]
    assert set(ROUTES) - set(listed) == set(), "say in this file who may see these"
    assert set(listed) - set(ROUTES) == set(), "these addresses do not exist any more"
    assert len(listed) == len(set(listed))


def test_an_address_that_is_not_listed_is_noticed(monkeypatch):
    monkeypatch.setitem(ROUTES, "invoices/<int:pk>/", None)
    with pytest.raises(AssertionError, match="invoices"):
        test_every_address_is_listed_once()


def test_what_anybody_may_see_names_nobody_s_things():
    for route in ANYBODY:
        names = set(re.findall(r"<(?:\w+:)?(\w+)>", route))
        assert names <= {"slug", "page", "number"}, f"{route} takes an id: is it really the same for everybody?"


@pytest.mark.parametrize("route", SIGNED_IN)
def test_strangers_are_led_to_sign_in(client, route):
    method = "post" if route in POST_ONLY else "get"
    answer = getattr(client, method)(path_of(route, {}))
    assert answer.status_code == 302 and answer.headers["Location"].startswith("/account/login/"), route


@pytest.mark.parametrize("route", SIGNED_IN)
def test_another_language_opens_nothing(client, route):
    method = "post" if route in POST_ONLY else "get"
    answer = getattr(client, method)("/fa" + path_of(route, {}))
    assert answer.status_code == 302 and answer.headers["Location"].startswith("/fa/account/login/"), route


def test_only_pages_have_addresses_in_another_language():
    """What is in every language has no other name than its own, so that the lists above are about both."""
    named = set(dict(walk(translated()[0].url_patterns)))
    assert named < set(ROUTES)
    assert not named & {*MACHINES, *STAFF, "robots.txt", "sw.js", "sitemap.xml", "seen/view/", "api/docs/"}
    with override("fa"):
        spoken = dict(walk(get_resolver().url_patterns))
    assert {f"fa/{route}".replace("_home_", "") for route in named} == set(spoken) - set(ROUTES)


@pytest.mark.parametrize("route", OWNED)
def test_what_is_somebody_s_does_not_exist_for_others(client, route):
    method, make = OWNED[route]
    ada, hers = person("ada@example.org")
    _bob, his = person("bob@example.org")
    path = path_of(route, make(ada))
    before = list(Authenticator.objects.values()), list(ada.addresses.values()), list(cart_of_user(ada).lines.values())
    assert ask(his, method, path) == 404
    stranger = getattr(client, method)(path)
    led = stranger.status_code == 302 and stranger.headers["Location"].startswith("/account/login/")
    assert led or stranger.status_code == 404
    now = list(Authenticator.objects.values()), list(ada.addresses.values()), list(cart_of_user(ada).lines.values())
    assert now == before
    assert ask(hers, method, path) in (200, 302, 303, 422), "the owner is not refused, so the 404 above means something"


@pytest.mark.parametrize("route", HELD)
def test_a_secret_that_is_not_known_opens_nothing(route):
    method, make, name, wrong_status = HELD[route]
    ada, _hers = person("ada@example.org")
    _bob, his = person("bob@example.org")
    values = make(ada)
    right = path_of(route, values)
    for forged in ("0" * 32, "f" * 32):
        wrong = path_of(route, {**values, name: forged})
        for client in (Client(), his):
            answer = getattr(client, method)(wrong, follow=wrong_status == 200)
            assert answer.status_code == wrong_status, route
            assert not re.search(FORM_OF_A_LINK, answer.content.decode()), route
    assert ask(Client(), method, right) != 404 or name == "key" or "withdraw" in route


@pytest.mark.parametrize("route", STAFF)
def test_staff_s_pages_refuse_shoppers_and_staff_without_rights(settings, route):
    settings.STAFF_SECOND_FACTOR = base.STAFF_SECOND_FACTOR
    path = path_of(route, {"url": "x/", "app_label": "orders", "content_type_id": 1})
    name = STAFF[route].name or ""
    _bob, shopper = person("bob@example.org")
    for client in (Client(), shopper):
        for method in ("get", "post"):
            answer = getattr(client, method)(path)
            assert answer.status_code in (302, 403, 404, 405), (path, answer.status_code)
            if answer.status_code == 302:
                target = answer.headers["Location"]
                assert target.startswith((f"/{ADMIN}", "/account/login/")), (path, target)
    _eve, staff = person("eve@example.org", is_staff=True)
    answer = staff.get(path)
    assert answer.status_code in (302, 303, 403, 404, 405), "staff need a second factor first"
    settings.STAFF_SECOND_FACTOR = False
    answer = staff.get(path)
    assert answer.status_code != 200 or name in STAFF_WITHOUT_RIGHTS, path
