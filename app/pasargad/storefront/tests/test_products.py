"""Pages of products and their cards are worked out once, and change with everything that they show."""

from __future__ import annotations

from dataclasses import replace

import pytest
from testing.factories import make_category, make_product, make_variant

from pasargad.catalog.models import Product, ProductImage, Variant
from pasargad.flags.rules import Rule
from pasargad.flags.store import keep

pytestmark = pytest.mark.django_db


def text(client, path: str) -> str:
    return client.get(path).content.decode()


def test_a_product_is_shown_by_the_same_object_until_something_changes(client):
    variant = make_variant(product=make_product(name="Vase"))
    other = make_variant(product=variant.product)
    path = f"/p/{variant.product.slug}/"
    shown = client.get(path).context["shown"]
    assert client.get(path).context["shown"] is shown
    assert client.get(f"{path}?variant=nothing").context["shown"] is shown
    assert client.get(f"{path}?variant={other.sku}").context["shown"].selected.sku == other.sku
    assert client.get(f"/fa{path}").context["shown"].breadcrumbs != shown.breadcrumbs
    assert client.get(path).context["shown"] is shown


CHANGES = {
    "name": (
        lambda: Product.objects.update(name="Tall <jug>"),
        ["<h1>Tall &lt;jug&gt;</h1>", "Tall \\u003Cjug\\u003E"],
    ),
    "care": (lambda: Product.objects.update(care="Wipe it."), ["Wipe it."]),
    "summary": (lambda: Product.objects.update(summary="So tall"), ['content="So tall"', '<p class="lead">So tall']),
    "price": (lambda: Variant.objects.update(price_minor=4321), ["data-price-shown>$43.21", '"price": "43.21"']),
    "stock": (lambda: Variant.objects.update(reserved=7), ["data-stock-shown>Only 2 left", "LimitedAvailability"]),
    "sold": (lambda: Variant.objects.update(on_hand=0), ["disabled>Sold out</button>", "OutOfStock"]),
    "size": (lambda: Variant.objects.update(weight_grams=431), ["<dd>431 g</dd>"]),
    "rating": (lambda: Product.objects.update(rating_sum=9, rating_count=2), ['"ratingValue": "4.5"', "#reviews"]),
    "alt": (lambda: ProductImage.objects.update(alt="From the left"), ['alt="From the left"']),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_a_product_is_on_its_page_at_once(client, change):
    product = make_variant(stock=9, product=make_product(name="Vase")).product
    renditions = [{"format": "jpeg", "name": "a.jpg", "width": 640}]
    ProductImage.objects.create(
        product=product, digest="d" * 64, alt="Front", width=640, height=640, renditions=renditions
    )
    path = f"/p/{product.slug}/"
    before = text(client, path)
    make, words = CHANGES[change]
    make()
    after = text(client, path)
    for word in words:
        assert word not in before and word in after, word


def test_what_a_product_page_says_of_the_shop_follows_its_settings(client, settings):
    path = f"/p/{make_variant(stock=9).product.slug}/"
    assert "In stock" in text(client, path)
    settings.SHOP = replace(settings.SHOP, low_stock_from=10)
    settings.SITE_URL = "https://elsewhere.example"
    page = text(client, path)
    assert "Only 9 left" in page and '"url": "https://elsewhere.example/p/' in page and "localhost" not in page


def test_what_is_made_to_order_leaves_the_page_when_that_is_switched_off(client):
    ready = make_variant(stock=3)
    made = make_variant(product=ready.product, stock=0, made_to_order=True, lead_days=3)
    path = f"/p/{ready.product.slug}/?variant={made.sku}"
    first = text(client, path)
    assert "Made to order" in first
    keep({"made_to_order": Rule(is_on=False)})
    assert "Made to order" not in text(client, path)
    keep({})
    assert text(client, path) == first


def test_what_was_typed_is_on_no_page_of_others(client):
    variant = make_variant()
    path = f"/p/{variant.product.slug}/"
    before = text(client, path)
    answer = client.post("/cart/add/", {"variant": variant.sku, "quantity": "-7"})
    assert answer.status_code == 422 and 'value="-7"' in answer.content.decode()
    assert text(client, path) == before


def test_the_first_cards_load_their_pictures_at_once_in_each_language(client):
    shelf = make_category()
    renditions = [{"format": "jpeg", "name": "a.jpg", "width": 640}]
    for number in range(4):
        product = make_variant(stock=9, product=make_product(category=shelf)).product
        cover = ProductImage.objects.create(
            product=product, digest=f"{number}" * 64, alt="", width=640, height=640, renditions=renditions
        )
        Product.objects.filter(pk=product.pk).update(cover=cover)
    for path in ("/shop/", "/fa/shop/", "/shop/"):
        page = text(client, path)
        assert (page.count('fetchpriority="high"'), page.count('loading="lazy"')) == (2, 2)
        assert ("In stock" in page) == (path == "/shop/")
