"""Pages of products and their cards are worked out once, and change with everything that they show."""

from __future__ import annotations

import pytest
from testing.factories import make_category, make_product, make_variant

from pasargad.catalog.models import Product, ProductImage

pytestmark = pytest.mark.django_db


def text(client, path: str) -> str:
    return client.get(path).content.decode()


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
