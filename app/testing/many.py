"""Thousands of products for tests and measurements, written in batches past the services."""

from __future__ import annotations

import itertools
from datetime import timedelta

from django.utils import timezone

from pasargad.catalog.indexing import index_products
from pasargad.catalog.models import Category, Product, ProductImage, Variant

BATCH = 1000
WORDS = ("Ridge", "Spiral", "Facet", "Wave", "Column", "Moon", "Fox", "Gear")
COLOURS = (("Sand", "#d8c3a5"), ("Ink", "#22313f"), ("Coral", "#e98074"))
MATERIALS = ("PLA", "PETG", "Wood PLA")
FORMATS = ("avif", "webp", "jpeg")
WIDTHS = (320, 640, 960, 1280)
_numbers = itertools.count(1)


def make_many(count: int, *categories: Category, variants: int = 2) -> None:
    """Publish so many vases, spread over the categories, with variants, pictures and search entries."""
    for first in range(0, count, BATCH):
        _batch(min(BATCH, count - first), categories, variants)


def _batch(count: int, categories: tuple[Category, ...], variants: int) -> None:
    now = timezone.now()
    products = Product.objects.bulk_create(
        Product(
            name=f"{WORDS[number % 8]} vase {number}",
            slug=f"vase-{number}",
            summary="A vase whose ridges lean as they rise.",
            description="Printed in one piece, layer by layer, and tight enough for water. " * 8,
            category=categories[number % len(categories)],
            material=MATERIALS[number % 3],
            care="Wipe with a damp cloth.",
            state=Product.State.PUBLISHED,
            featured=number < 9,
            published_at=now - timedelta(days=40, minutes=number),
            price_minor=900 + number * 37 % 6000,
            price_to_minor=1200 + number * 37 % 6000,
        )
        for number in itertools.islice(_numbers, count)
    )
    Variant.objects.bulk_create(
        Variant(
            product=product,
            sku=f"VASE-{product.pk}-{place}",
            name=COLOURS[place % 3][0],
            options=[["Colour", COLOURS[place % 3][0]], ["Size", "Large" if place % 2 else "Small"]],
            color=COLOURS[place % 3][1],
            price_minor=product.price_minor + 300 * (place > 0),
            currency="usd",
            weight_grams=120,
            width_mm=80,
            depth_mm=80,
            height_mm=140,
            print_minutes=400,
            made_to_order=place > 0 and product.pk % 3 == 0,
            on_hand=product.pk % 7,
            position=place,
        )
        for product in products
        for place in range(variants)
    )
    images = ProductImage.objects.bulk_create(
        ProductImage(
            product=product,
            alt="A vase",
            digest=f"{product.pk:063d}{place}",
            original="x.png",
            width=1280,
            height=1280,
            position=place,
            renditions=[
                {"format": kind, "width": width, "height": width, "name": f"products/{product.pk}-{width}.{kind}"}
                for kind in FORMATS
                for width in WIDTHS
            ],
        )
        for product in products
        for place in range(2)
    )
    for product, image in zip(products, images[::2], strict=True):
        product.cover = image
    Product.objects.bulk_update(products, ["cover"], batch_size=500)
    index_products([product.pk for product in products])
