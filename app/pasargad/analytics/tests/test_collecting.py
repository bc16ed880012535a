"""Views are counted without anything that tells who looked, and cost shoppers nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from django.conf import settings as conf
from django.core.cache import caches
from django.utils import timezone
from testing.factories import make_product, make_variant
from testing.money import together

from config.env import Rate
from pasargad.analytics import collecting, services
from pasargad.analytics.collecting import View, clean_term, is_bot, view_note, views_store
from pasargad.analytics.models import Hit, Page, PastHits

pytestmark = pytest.mark.django_db
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
ADDRESS = "203.0.113.77"


def tell(client, path: str = "/", *, agent: str = FIREFOX, raw: bytes | None = None, **more: object):
    body = raw if raw is not None else json.dumps({"p": path, **more.pop("told", {})}).encode()
    headers = {"User-Agent": agent, "X-Forwarded-For": ADDRESS, "Origin": "http://testserver", **more}
    return client.post("/seen/view/", body, content_type="text/plain", headers=headers)


def hits() -> list[Hit]:
    views_store()
    return list(Hit.objects.order_by("id"))


def test_a_visit_is_a_visitor_a_session_and_its_steps(client):
    product = make_variant().product
    for path in ("/", f"/p/{product.slug}/", f"/p/{product.slug}/", "/cart/", "/checkout/"):
        answer = tell(client, path)
        assert answer.status_code == 204 and answer.content == b"" and not answer.cookies
    found = hits()
    assert [hit.page for hit in found] == ["home", "product", "product", "cart", "checkout"]
    assert [hit.new_visitor for hit in found] == [True] + [False] * 4
    assert [hit.new_session for hit in found] == [True] + [False] * 4
    assert [hit.new_step for hit in found] == [True, True, False, True, True]


def test_another_browser_is_another_visitor_and_a_pause_begins_another_session(client):
    tell(client)
    tell(client, agent=FIREFOX.replace("140", "141"))
    client_of_redis = caches["limits"].client.get_client(write=True)
    tell(client)
    for key in client_of_redis.keys(f"{collecting.PREFIX}session:*"):
        if key.count(b":") == 3:
            client_of_redis.delete(key)
    tell(client)
    assert [(hit.new_visitor, hit.new_session, hit.new_step) for hit in hits()] == [
        (True, True, True), (True, True, True), (False, False, False), (False, True, True),
    ]  # fmt: skip


def test_neither_the_address_nor_the_browser_is_kept_anywhere(client, caplog):
    tell(client, "/shop/", told={"q": "vase", "n": 3, "r": "https://www.search.example/find?q=ada%40example.org"})
    redis = caches["limits"].client.get_client(write=True)
    kept = b""
    for key in redis.keys("*"):
        kind = redis.type(key)
        value = redis.get(key) if kind == b"string" else repr(redis.zrange(key, 0, -1)).encode()
        kept += key + b" " + (value or b"") + b"\n"
        if b"analytics" in key:
            assert 0 < redis.ttl(key) <= 7 * 86400, key
    hit = hits()[0]
    stored = kept.decode() + str(vars(hit)) + caplog.text
    for secret in (ADDRESS, "Firefox", "ada", "find?q"):
        assert secret not in stored, secret
    assert (hit.referrer, hit.term, hit.found, hit.page) == ("search.example", "vase", 3, "search")
    assert b"buffer" in kept and collecting._salt(timezone.now().date().isoformat()) not in str(vars(hit))


def test_tomorrow_nobody_is_recognised(client, monkeypatch):
    tell(client)
    tomorrow = timezone.now() + timedelta(days=1)
    monkeypatch.setattr("pasargad.analytics.collecting.timezone.now", lambda: tomorrow)
    tell(client)
    assert [hit.new_visitor for hit in hits()] == [True, True]


@pytest.mark.parametrize("headers", [{"DNT": "1"}, {"Sec-GPC": "1"}])
def test_whoever_asks_not_to_be_counted_is_not(client, headers):
    assert tell(client, **headers).status_code == 204
    assert hits() == [] and not caches["limits"].client.get_client().keys(f"{collecting.PREFIX}*")


@pytest.mark.parametrize(
    "agent",
    ["", "curl/8.5", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
     "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/120.0.0.0 Safari/537.36",
     "python-requests/2.32 with a long name", "facebookexternalhit/1.1 (+http://www.facebook.com)"],
)  # fmt: skip
def test_programs_are_not_counted(client, agent):
    assert tell(client, agent=agent).status_code == 204
    assert hits() == []


def test_people_s_browsers_are_no_programs():
    for agent in (
        FIREFOX,
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1",
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile",
    ):
        assert not is_bot(agent)


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"7", b'"x"', b"null", b'{"p": 7}', b'{"p": "x"}', b'{}', b'{"p": "/", "z": 1}',
     b'{"p": "/", "n": true}', b'{"p": "/", "n": -1}', b'{"p": "/", "n": 1.5}', b'{"p": "/", "n": 10000000}',
     b'{"p": "/", "q": 1}', b'{"p": "/", "r": 1}', b"\xff\xfe", b"[" * 1900, b'{"p": "/' + b"x" * 400 + b'"}',
     b'{"p": "/", "r": "https://[bad"}', b'{"p": "/", "n": NaN}'],
)  # fmt: skip
def test_what_no_page_of_ours_sends_is_refused(client, raw):
    assert tell(client, raw=raw).status_code == 400 and hits() == []


def test_large_bodies_foreign_pages_and_other_methods_are_refused(client):
    assert tell(client, raw=b'{"p": "/", "q": "' + b"x" * 3000 + b'"}').status_code == 413
    assert tell(client, Origin="https://evil.example").status_code == 403
    assert client.get("/seen/view/").status_code == 405
    assert hits() == []


@pytest.mark.parametrize("path", ["/orders/" + "a" * 32 + "/", "/orders/find/", "/nowhere/", "/admin/", "/robots.txt"])
def test_pages_that_are_nobody_s_business_are_not_counted(client, path):
    assert tell(client, path).status_code == 204 and hits() == []


@pytest.mark.parametrize(
    ("told", "referrer"),
    [("https://www.News.example/a?b", "news.example"), ("http://testserver/x", ""), ("", ""), ("javascript:x", ""),
     ("https://a_b.example/", ""), ("https://" + "x" * 200 + ".example", "")],
)  # fmt: skip
def test_of_a_referrer_only_a_foreign_host_is_kept(client, told, referrer):
    assert tell(client, told={"r": told}).status_code == 204
    assert hits()[0].referrer == referrer


@pytest.mark.parametrize(
    ("typed", "kept"),
    [("  Vase  BLUE ", "vase blue"), ("ada@example.org", ""), ("+1 617 555 0100", ""), ("x" * 200, "x" * 80),
     ("a\0b", "ab"), ("vase 20 cm", "vase 20 cm")],
)  # fmt: skip
def test_terms_are_made_alike_and_personal_ones_dropped(typed, kept):
    assert clean_term(typed) == kept


def test_the_limit_holds_and_says_when_to_come_back(client, settings, monkeypatch):
    settings.RATE_LIMITS = replace(settings.RATE_LIMITS, enabled=True)
    monkeypatch.setattr("pasargad.storefront.views.beacon.LIMIT", Rate(3, 3600))
    assert [tell(client).status_code for _ in range(4)] == [204, 204, 204, 429]
    assert len(hits()) == 3


def test_without_redis_pages_and_beacon_go_on(client, monkeypatch):
    def away(*args: object, **kwargs: object) -> None:
        raise ConnectionError

    monkeypatch.setattr("pasargad.analytics.collecting._redis", away)
    assert tell(client).status_code == 204


def test_the_buffer_has_an_end(client, monkeypatch):
    monkeypatch.setattr(collecting, "MOST_WAITING", 2)
    assert [view_note(View(Page.HOME), address="a", agent="b") for _ in range(3)] == [True, True, False]


def test_a_beacon_asks_the_database_nothing(client, django_assert_num_queries):
    tell(client)
    with django_assert_num_queries(0):
        tell(client)


def test_many_views_are_written_by_few_statements(client, django_assert_max_num_queries):
    for number in range(40):
        view_note(View(Page.HOME), address=str(number), agent=FIREFOX)
    with django_assert_max_num_queries(4):
        assert views_store(batch=100) == 40
    assert Hit.objects.count() == 40 and views_store() == 0


def test_what_was_written_before_a_crash_is_not_written_twice(monkeypatch):
    view_note(View(Page.HOME), address="1", agent=FIREFOX)
    redis = collecting._redis()

    class Dying:
        def __getattr__(self, name: str):
            if name == "zremrangebyscore":
                raise SystemExit
            return getattr(redis, name)

    with monkeypatch.context() as patched:
        patched.setattr(collecting, "_redis", Dying)
        with pytest.raises(SystemExit):
            views_store()
    view_note(View(Page.HOME), address="2", agent=FIREFOX)
    views_store()
    assert Hit.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_workers_and_shoppers_at_the_same_moment_lose_and_double_nothing():
    for number in range(200):
        view_note(View(Page.HOME), address=str(number), agent=FIREFOX)

    def both() -> None:
        for number in range(25):
            view_note(View(Page.CART), address=f"late {number}", agent=FIREFOX)
            views_store(batch=7)

    assert together(both, count=6) == []
    views_store()
    assert Hit.objects.filter(page="home").count() == 200 and Hit.objects.filter(page="cart").count() == 150


def test_damaged_members_are_passed_over():
    collecting._redis().zadd(f"{collecting.PREFIX}buffer", {"nonsense": 1, '111{"k": "x"}': 2})
    view_note(View(Page.HOME), address="1", agent=FIREFOX)
    views_store()
    assert Hit.objects.count() == 1


def test_old_views_are_dropped_in_batches_and_stay_counted(settings):
    settings.ANALYTICS = replace(settings.ANALYTICS, retention_days=10)
    now = timezone.now()
    Hit.objects.bulk_create(
        Hit(key=f"k{number}", at=now - timedelta(days=number % 20, hours=1), page="search", term=f"t{number % 3}",
            found=number % 2, new_session=number % 5 == 0, new_visitor=number % 10 == 0, new_step=True)
        for number in range(200)
    )  # fmt: skip
    old = Hit.objects.filter(at__lt=now - timedelta(days=10)).count()
    assert services.hits_drop(batch=30, batches=2) == 60 and Hit.objects.count() == 140
    assert services.hits_drop(batch=30) == old - 60 and Hit.objects.count() == 200 - old
    assert services.hits_drop() == 0
    past = PastHits.objects.all()
    assert sum(row.views for row in past) == sum(row.steps for row in past) == old
    assert all(row.visitors <= row.sessions <= row.views for row in past)


def test_counts_that_no_page_shows_any_more_are_dropped_too():
    for days in (799, 801, 2000):
        PastHits.objects.create(day=timezone.localdate() - timedelta(days=days), page="home", found=False, views=1,
                                visitors=1, sessions=1, steps=1)  # fmt: skip
    services.hits_drop(batch=1)
    assert PastHits.objects.count() == 2
    services.hits_drop()
    assert PastHits.objects.count() == 1


def test_every_page_of_the_shop_carries_the_script_and_stays_the_same_for_all(client):
    product = make_product()
    for path in ("/", "/shop/", f"/p/{product.slug}/", "/cart/"):
        page = client.get(path).content.decode()
        assert 'data-beacon="/seen/view/"' in page and page.count("beacon.js") == 1
    assert 'data-found="0"' in client.get("/shop/?q=zzzzqqq").content.decode()
    assert "public" in client.get("/").headers["Cache-Control"]
    assert conf.ANALYTICS.retention_days == 90
