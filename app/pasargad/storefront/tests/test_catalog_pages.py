"""Comparison, what was looked at, the map for search engines, and lists of thousands of goods."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from testing.factories import make_category, make_product, make_variant
from testing.many import make_many

from pasargad.catalog.models import Product
from pasargad.flags.store import keep
from pasargad.storefront.views import sitemap

pytestmark = pytest.mark.django_db
MAX_SQL = 6


def test_up_to_four_products_stand_side_by_side(client):
    goods = [
        make_variant(product=make_product(name=f"Good {n}", slug=f"g{n}"), weight_grams=100 + n).product
        for n in range(6)
    ]
    path = "/compare/?" + "&".join(f"p={product.slug}" for product in goods)
    answer = client.get(path)
    assert [card.name for card, _ in answer.context["cards"]] == ["Good 0", "Good 1", "Good 2", "Good 3"]
    assert dict(answer.context["table"])["Weight"] == ["100 g", "101 g", "102 g", "103 g"]
    assert answer.context["cards"][0][1] == "/compare/?p=g1&p=g2&p=g3"
    assert not answer.cookies and "public" in answer.headers["Cache-Control"]
    assert answer.headers["X-Robots-Tag"] == "noindex"


@pytest.mark.parametrize("query", ["", "p=", "p=nothing", "p=%00", "p=..%2f", "p=" + "x" * 500, "p=g0&p=g0"])
def test_comparing_nothing_is_answered(client, query):
    make_variant(product=make_product(slug="g0"))
    answer = client.get(f"/compare/?{query}")
    assert answer.status_code == 200 and len(answer.context["cards"]) == (query == "p=g0&p=g0")


def test_comparing_takes_few_queries(client):
    shelf = make_category()
    for n in range(9):
        make_variant(product=make_product(slug=f"g{n}", category=shelf))
    with CaptureQueriesContext(connection) as captured:
        assert client.get("/compare/?p=g0&p=g1&p=g2&p=g3").status_code == 200
    assert len(captured) <= MAX_SQL


def test_what_was_looked_at_is_asked_for_by_the_browser(client):
    make_variant(product=make_product(name="Moon lamp", slug="moon"))
    answer = client.get("/seen/?p=moon&p=gone")
    text = answer.content.decode()
    assert "Moon lamp" in text and "<html" not in text
    assert not answer.cookies and "public" in answer.headers["Cache-Control"]
    assert client.get("/seen/").content.strip() == b""


def locations(client, path: str) -> list[str]:
    answer = client.get(path)
    assert answer.headers["Content-Type"].startswith("application/xml")
    return re.findall(r"<loc>([^<]+)</loc>", answer.content.decode())


def test_the_sitemap_leads_to_every_page_that_is_shown(client, settings, monkeypatch):
    monkeypatch.setattr(sitemap, "LIST_SIZE", 2)
    shelf = make_category()
    goods = [make_variant(product=make_product(category=shelf)).product for _ in range(3)]
    draft = make_product(published=False)
    lists = locations(client, "/sitemap.xml")
    found = [url for path in lists for url in locations(client, path.removeprefix(settings.SITE_URL))]
    for product in goods:
        assert f"{settings.SITE_URL}/p/{product.slug}/" in found
    assert f"{settings.SITE_URL}/c/{shelf.slug}/" in found and f"{settings.SITE_URL}/info/about/" in found
    assert not any(draft.slug in url for url in found)
    for url in found:
        assert client.get(url.removeprefix(settings.SITE_URL)).status_code == 200
    assert f"Sitemap: {settings.SITE_URL}/sitemap.xml" in client.get("/robots.txt").content.decode()


@pytest.mark.parametrize("number", ["99", "1000000000", "9" * 30])
def test_a_list_that_is_not_there(client, number):
    assert client.get(f"/sitemap-products-{number}.xml").status_code == 404


def test_the_sitemap_is_kept(client, django_assert_num_queries):
    make_variant()
    client.get("/sitemap.xml")
    with django_assert_num_queries(0):
        client.get("/sitemap.xml")


def test_the_first_page_says_who_runs_the_shop(client, settings):
    page = client.get("/").content.decode()
    [data] = re.findall(r'ld\+json">(.*?)</script>', page, re.DOTALL)
    organization, site = json.loads(data)["@graph"]
    assert organization["name"] == settings.BUSINESS.name and organization["logo"].startswith("http")
    assert organization["hasMerchantReturnPolicy"]["merchantReturnDays"] == 30
    assert site["inLanguage"] == "en"


def test_every_page_has_a_canonical_address_and_social_tags(client, settings):
    product = make_variant(product=make_product(name="Moon lamp")).product
    page = client.get(f"/p/{product.slug}/?variant=x&utm_source=y").content.decode()
    assert f'<link rel="canonical" href="{settings.SITE_URL}/p/{product.slug}/">' in page
    for tag in ('property="og:title" content="Moon lamp"', 'property="og:image"', 'name="twitter:card"'):
        assert tag in page


PATHS = [
    "/",
    "/shop/",
    "/shop/?page=3",
    "/shop/?sort=name",
    "/shop/?q=vase",
    "/shop/?q=vaze&material=PLA",
    "/shop/?available=1&price=10-25",
]


def test_pages_take_as_many_queries_for_thousands_of_products_as_for_twenty(client):
    shelf = make_category("Vases")
    make_many(60, shelf)
    product = Product.objects.order_by("pk").first()
    paths = [*PATHS, f"/c/{shelf.slug}/", f"/c/{shelf.slug}/?colour=Sand&sort=price", f"/p/{product.slug}/"]

    def queries() -> dict[str, int]:
        numbers = {}
        for path in paths:
            cache.clear()
            # Otherwise the flags are asked for whenever a second is over.
            keep({})
            with CaptureQueriesContext(connection) as captured:
                assert client.get(path).status_code == 200, path
            numbers[path] = len(captured)
        return numbers

    few = queries()
    make_many(2000, shelf)
    many = queries()
    assert few == many
    assert max(many.values()) <= MAX_SQL, many


def test_a_new_product_is_marked_and_then_is_not(client):
    variant = make_variant()
    assert 'class="flag"' in client.get("/shop/").content.decode()
    Product.objects.filter(pk=variant.product_id).update(published_at=timezone.now() - timedelta(days=31))
    assert 'class="flag"' not in client.get("/shop/").content.decode()


def test_a_product_whose_variants_are_all_sold_offers_no_cart(client):
    product = make_product(name="Cloud")
    for _ in range(2):
        make_variant(product=product, stock=0)
    page = client.get(f"/p/{product.slug}/").content.decode()
    assert "disabled>Sold out</button>" in page
    assert "Add to cart" not in page and "Leaves our workshop" not in page
    make_variant(product=product, stock=1)
    assert "Add to cart" in client.get(f"/p/{product.slug}/").content.decode()
