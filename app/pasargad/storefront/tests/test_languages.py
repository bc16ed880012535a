"""A page's language stands in its path and nowhere else, and every page is there in each language."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.translation import get_language, override
from testing.factories import make_product, make_promotion, make_variant
from testing.shopper import ADDRESS, form_with, text_of

from pasargad.catalog.money import Money
from pasargad.health.middleware import masked
from pasargad.languages import known, path_in, split
from pasargad.orders.models import Order

pytestmark = pytest.mark.django_db
PERSIAN = re.compile(r"[\u0600-\u06ff]")
RIGHT_TO_LEFT = '<html lang="fa" dir="rtl">'


def page(client: Client, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status, path
    return answer.content.decode()


# Data, names of things, addresses and numbers: a page says them in any language alike.
AS_IT_IS = re.compile(
    r"<title>.*?</title>|<address>.*?</address>|<bdi>.*?</bdi>|<a href=.mailto.*?</a>|[A-Z]{2}-[0-9A-Z]{8}", re.DOTALL
)
NAMES = {
    *("Pasargad", "Prints", "LLC", "Lamp", "Lamps", "PLA", "PETG", "ASA", "SKU", "English", "JSON", "USD", "usd"),
    *("GLB", "Stripe", "Do", "Not", "Track", "or", "Global", "Privacy", "Control"),
}


def english_left(html: str) -> list[str]:
    """What a page still says in English."""
    return [word for word in re.findall(r"[A-Za-z]{2,}", text_of(AS_IT_IS.sub(" ", html))) if word not in NAMES]


@pytest.mark.parametrize(
    "path", ["/", "/shop/", "/info/about/", "/info/terms/", "/cart/", "/orders/find/", "/offline/"]
)
def test_a_page_is_there_in_both_languages(client, path):
    english, persian = page(client, path), page(client, f"/fa{path}")
    assert '<html lang="en">' in english and not PERSIAN.search(english.replace("فارسی", ""))
    assert RIGHT_TO_LEFT in persian and "css/rtl" in persian and "css/rtl" not in english
    assert f'<a href="/fa{path}" lang="fa" hreflang="fa"' in english
    assert f'<a href="{path}" lang="en" hreflang="en"' in persian


@pytest.mark.parametrize(
    "path", ["/fa/", "/fa/shop/", "/fa/info/shipping/", "/fa/info/returns/", "/fa/cart/", "/fa/account/login/",
             "/fa/compare/", "/fa/wishlist/", "/fa/orders/find/", "/fa/offline/", "/fa/nowhere/"],
)  # fmt: skip
def test_nothing_on_a_persian_page_stays_english(client, path):
    make_variant(product=make_product(name="Lamp", featured=True, material="PLA"))
    assert english_left(client.get(path).content.decode()) == []


def test_the_link_leads_to_the_same_page_with_what_was_asked(client):
    assert 'href="/fa/shop/?q=lamp&amp;sort=price"' in page(client, "/shop/?q=lamp&sort=price")
    variant = make_variant(stock=1)
    refused = client.post("/fa/cart/add/", {"variant": variant.sku, "quantity": "9"})
    assert refused.status_code == 422 and 'href="/cart/" lang="en"' in refused.content.decode()


def test_the_link_never_leads_to_another_host(client):
    for path in ("/fa//evil.example/", "/fa/%2F/evil.example/", "//evil.example/"):
        for link in re.findall(r'<a href="([^"]*)" lang=', client.get(path).content.decode()):
            assert not link.startswith("//"), path


def test_neither_a_browser_s_wish_nor_a_cookie_changes_a_page(client):
    plain = client.get("/shop/")
    client.cookies["django_language"] = "fa"
    wished = client.get("/shop/", headers={"Accept-Language": "fa"})
    assert wished.content == plain.content
    for answer in (plain, client.get("/fa/shop/")):
        assert "Language" not in answer.headers.get("Vary", "") and not answer.cookies
        assert "s-maxage" in answer.headers["Cache-Control"]
    assert plain.headers["Content-Language"] == "en"


def test_a_request_leaves_no_language_behind(client):
    client.get("/fa/shop/")
    assert get_language() == "en" and reverse("home") == "/"


@pytest.mark.parametrize(
    "path", ["robots.txt", "sitemap.xml", "sw.js", "manifest.webmanifest", "health/live", "api/docs/", "metrics", "en/",
             "seen/view/", "webhooks/stripe/"],
)  # fmt: skip
def test_what_is_no_page_has_one_address(client, path):
    assert client.get(f"/fa/{path}").status_code == 404


def test_the_shop_s_own_language_has_no_prefix(client):
    assert client.get("/en/shop/").status_code == 404


def test_the_shop_s_own_language_can_be_persian(client, persian_shop):
    assert RIGHT_TO_LEFT in page(client, "/shop/") and '<html lang="en">' in page(client, "/en/shop/")
    assert client.get("/fa/shop/").status_code == 404
    problem = client.get("/api/v1/nowhere")
    assert problem.headers["Content-Language"] == "en" and not PERSIAN.search(problem.content.decode())


def test_search_engines_are_told_of_every_language(client, settings):
    product = make_variant().product
    for path in ("/", "/shop/", f"/p/{product.slug}/"):
        for asked in (path, f"/fa{path}"):
            html = page(client, asked)
            assert f'<link rel="canonical" href="{settings.SITE_URL}{asked}">' in html
            for code, target in (("en", path), ("fa", f"/fa{path}"), ("x-default", path)):
                assert f'<link rel="alternate" hreflang="{code}" href="{settings.SITE_URL}{target}">' in html
    assert '<link rel="alternate"' not in page(client, "/cart/")
    listed = page(client, "/sitemap-products-0.xml")
    assert f"<loc>{settings.SITE_URL}/fa/p/{product.slug}/</loc>" in listed
    assert listed.count(f'hreflang="fa" href="{settings.SITE_URL}/fa/p/{product.slug}/"') == 2
    assert "Disallow: /fa/cart/" in page(client, "/robots.txt")


def test_structured_data_names_the_page_it_is_on(client, settings):
    product = make_variant().product
    html = page(client, f"/fa/p/{product.slug}/")
    assert f'"url": "{settings.SITE_URL}/fa/p/{product.slug}/"' in html
    assert f"{settings.SITE_URL}/fa/info/returns/" in page(client, "/fa/")


def test_shopping_stays_in_the_language(client, settings):
    variant = make_variant(stock=2)
    added = client.post("/fa/cart/add/", {"variant": variant.sku, "quantity": "1"})
    assert added.headers["Location"] == "/fa/cart/?done=added"
    assert "به سبد خریدتان اضافه شد." in page(client, "/fa/cart/?done=added")
    assert "Added to your cart." in page(client, "/cart/?done=added")
    too_many = client.post("/fa/cart/add/", {"variant": variant.sku, "quantity": "5"})
    assert too_many.status_code == 422 and "فقط 2 عدد در انبار مانده است." in too_many.content.decode()
    wrong = client.post("/fa/orders/find/", {"number": "X", "email": "nobody"})
    assert wrong.status_code == 422 and 'dir="rtl"' in wrong.content.decode()


def test_rules_for_paths_hold_under_a_prefix_too(client, settings, monkeypatch):
    monkeypatch.setattr("pasargad.storefront.middleware.too_many", lambda *_args: 7)
    refused = client.post("/fa/account/login/", {"login": "a@example.org", "password": "x"})
    assert refused.status_code == 429 and "7 ثانیهٔ دیگر" in refused.content.decode()
    assert client.get("/fa/account/login/").headers["Cache-Control"].count("no-store") == 1
    token = "0" * 32
    assert masked(f"/fa/orders/{token}/pay/") == "/fa/orders/…/pay/"
    assert masked("/fa/account/confirm-email/MQ:x:y/") == "/fa/account/confirm-email/…/"
    assert masked("/fa/reminders/stop/abc/") == "/fa/reminders/stop/…/"


def test_a_closed_shop_says_so_in_the_language_and_lets_staff_sign_in(client, settings):
    settings.FEATURES = replace(settings.FEATURES, maintenance=True)
    assert "زود برمی‌گردیم" in page(client, "/fa/shop/", 503)
    assert client.get("/fa/account/login/").status_code == 200


def test_errors_speak_the_language(client, settings):
    assert "این صفحه هرگز چاپ نشده است" in page(client, "/fa/nowhere/", 404)
    client.raise_request_exception = False
    refused = client.post("/fa/cart/add/", {}, headers={"Origin": "https://evil.example"})
    assert refused.status_code == 403 and "این در بسته می‌ماند" in refused.content.decode()


def test_the_worker_has_a_page_without_a_network_in_each_language(client):
    text = page(client, "/sw.js")
    assert '"offline": {"en": "/offline/", "fa": "/fa/offline/"}' in text and '"/fa/checkout/"' in text


def test_amounts_keep_their_sign_and_currency_among_persian_words():
    amount = Money(-123450, "usd")
    assert str(amount) == "-$1,234.50"
    with override("fa"):
        assert str(amount) == "\u2066-$1,234.50\u2069" and Money(500, "usd").whole == "\u2066$5\u2069"
    assert Money(500, "usd").whole == "$5" and Money(550, "usd").whole == "$5.50"


@pytest.mark.parametrize(
    ("path", "code", "plain"),
    [("/", "en", "/"), ("/fa/", "fa", "/"), ("/fa", "fa", "/"), ("/fa/shop/?q=fa", "fa", "/shop/?q=fa"),
     ("/fab/", "en", "/fab/"), ("/en/", "en", "/en/"), ("//fa/", "en", "//fa/"),
     ("/fa//evil.example/", "fa", "/evil.example/")],
)  # fmt: skip
def test_a_path_is_split_from_its_language(path, code, plain):
    assert split(path) == (code, plain)


def test_paths_and_remembered_languages():
    assert path_in("/fa/shop/", "en") == "/shop/" and path_in("/shop/?a=1", "fa") == "/fa/shop/?a=1"
    assert (known(""), known("fa"), known("xx")) == ("en", "fa", "en")


def test_an_order_remembers_its_language(client):
    variant = make_variant()
    client.post("/fa/cart/add/", {"variant": variant.sku, "quantity": "1"})
    asked = page(client, "/fa/checkout/")
    assert english_left(asked) == [] and english_left(page(client, "/fa/cart/")) == []
    form = form_with(asked, "idempotency_key")
    placed = client.post("/fa/checkout/", {**form.values, **ADDRESS})
    assert placed.status_code == 303, text_of(placed.content.decode())
    order = Order.objects.get()
    assert order.language == "fa" and f"/fa/orders/{order.token}/" in placed.headers["Location"]
    html = re.sub(r"<aside.*?</aside>", "", page(client, f"/fa/orders/{order.token}/"), flags=re.DOTALL)
    assert "در انتظار پرداخت" in html and english_left(html) == []


def test_what_the_house_named_is_told_in_the_reader_s_language(client):
    variant = make_variant()
    client.post("/fa/cart/add/", {"variant": variant.sku, "quantity": "1"})
    form = form_with(page(client, "/fa/checkout/"), "idempotency_key")
    assert "<dt>ارسال</dt>" in page(client, "/fa/checkout/")
    client.post("/fa/checkout/", {**form.values, **ADDRESS})
    order = Order.objects.get()
    assert order.shipping_method == "Shipping"
    assert "<dt>ارسال</dt>" in page(client, f"/fa/orders/{order.token}/")
    assert "<dt>Shipping</dt>" in page(client, f"/orders/{order.token}/")


def test_offers_are_refused_in_the_language(client):
    make_promotion()
    variant = make_variant()
    client.post("/fa/cart/add/", {"variant": variant.sku, "quantity": "1"})
    refused = client.post("/fa/cart/coupon/", {"coupon": "NOPE"})
    assert refused.status_code == 422 and "کد تخفیف NOPE را نمی‌شناسیم" in refused.content.decode()


def test_every_foot_leads_to_the_programs_documentation(client, db):
    for path in ("/", "/fa/"):
        assert '<a href="/api/docs/" hreflang="en">' in page(client, path)
    assert "برای برنامه‌نویسان" in page(client, "/fa/")
    assert 'hreflang="fa"' not in page(client, "/api/docs/"), "which is in English only"
