"""Puts the demo goods into the database. Running it again adds what is missing and changes nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime, timedelta
from itertools import count, islice
from multiprocessing import get_context

from django.conf import settings
from django.core.cache import cache
from django.db import transaction
from django.db.models import OuterRef, Subquery
from django.utils import timezone

from ..indexing import index_products
from ..models import Category, Product, ProductImage, ProductModel, StockMovement, Variant
from ..selectors import NAVIGATION_KEY
from ..services import category_save, image_add, product_publish, product_refresh, shape_set
from ..stock import stock_move
from . import pictures, solid
from .catalogue import Catalogue, Good
from .palette import FILAMENTS

PICTURES = 2
MINUTES_A_DAY = 480
BATCH = 2000


def seed(catalogue: Catalogue) -> Iterator[Good]:
    """Create categories and goods; yields the goods whose pictures are still missing."""
    shelves = {shelf.slug: place for place, shelf in enumerate(catalogue.shelves)}
    categories = {}
    for shelf in catalogue.shelves:
        found = Category.objects.filter(slug=shelf.slug).first()
        categories[shelf.slug] = found or category_save(
            Category(name=shelf.name, slug=shelf.slug, description=shelf.description, position=shelves[shelf.slug])
        )
    now = timezone.now()
    for place, good in enumerate(catalogue.goods):
        product = Product.objects.filter(slug=good.slug).first()
        if product is None:
            # Published one after the other, mixed over the shelves, so that “newest” shows a bit of everything.
            age = timedelta(days=8 + place * 7 % len(catalogue.goods) * 5)
            product = add_good(good, categories[good.shelf.slug], now - age)
        if product.images.count() < PICTURES:
            yield good
    cache.delete(NAVIGATION_KEY)


@transaction.atomic
def add_good(good: Good, category: Category, published_at: datetime) -> Product:
    product = Product(category=category, published_at=published_at, **words(good))
    product.full_clean()
    product.save()
    for variant, pieces in variants(good, product):
        variant.full_clean()
        variant.save()
        if pieces:
            stock_move(variant.pk, pieces, kind=StockMovement.Kind.RECEIVED, reference="demo")
    return product_publish(product)


def words(good: Good) -> dict[str, object]:
    names = ("name", "slug", "summary", "description", "material", "care", "featured")
    return {name: getattr(good, name) for name in names}


def variants(good: Good, product: Product) -> Iterator[tuple[Variant, int]]:
    """Every colour in every size, and the pieces on the shelf: the first is stocked, the others are mostly printed to
    order. What is sold out in its first colour is sold out altogether."""
    place = count()
    for colour in good.colours:
        for step, (size, extra) in enumerate(good.sizes):
            number = next(place)
            grown = 1.5 if step else 1.0
            options = [["Colour", colour], *([["Size", size]] if size else [])]
            width, depth, height = (round(edge * grown) for edge in good.size)
            yield (
                Variant(
                    product=product,
                    sku=f"{good.slug}-{colour.replace(' ', '-')}{f'-{step + 1}' if size else ''}".upper(),
                    name=", ".join(value for _, value in options),
                    options=options,
                    color=FILAMENTS[colour].hex,
                    price_minor=good.price + extra,
                    currency=settings.SHOP.currency,
                    weight_grams=round(good.weight * grown**2),
                    width_mm=width,
                    depth_mm=depth,
                    height_mm=height,
                    print_minutes=round(good.minutes * grown**2),
                    made_to_order=number > 0 and good.stock > 0,
                    lead_days=1 + -(-good.minutes // MINUTES_A_DAY) if number else 0,
                    position=number,
                ),
                good.stock if number == 0 else good.stock // 3 * (number % 2 == 0),
            )


def draw_pictures(goods: list[Good]) -> Iterator[Good]:
    """Draw and store the pictures, on every processor; yields each good when it is done."""
    # Spawned, not forked: a child must not hold our database connection.
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), mp_context=get_context("spawn")) as pool:
        for good, drawn in zip(goods, pool.map(pictures.ready, goods), strict=True):
            product = Product.objects.get(slug=good.slug)
            for place, (alt, content, rendered) in enumerate(drawn):
                image_add(product=product, content=content, alt=alt, position=place, rendered=rendered)
            product_refresh(product)
            yield good


def add_shapes(catalogue: Catalogue) -> Iterator[Good]:
    """Store the shape of each featured good that has none; yields the good when it is done."""
    shaped = set(ProductModel.objects.values_list("product__slug", flat=True))
    for good in catalogue.goods:
        if good.featured and good.slug not in shaped:
            shape_set(product=Product.objects.get(slug=good.slug), content=solid.model(good))
            yield good


def multiply(catalogue: Catalogue, total: int) -> Iterator[int]:
    """Fill the catalogue up to `total` products with numbered copies that share the originals' pictures.

    For measurements: written in batches, past the services. Yields how many were made after each batch.
    """
    missing = total - Product.objects.count()
    taken = set(Product.objects.filter(slug__regex=r"-no-\d+$").values_list("slug", flat=True))
    originals = {product.slug: product for product in Product.objects.prefetch_related("images")}
    copies = ((good, n) for n in count(2) for good in catalogue.goods if f"{good.slug}-no-{n}" not in taken)
    made = 0
    wanted = islice(copies, max(0, missing))
    while batch := list(islice(wanted, BATCH)):
        copy_batch(batch, originals)
        made += len(batch)
        yield made
    cache.delete(NAVIGATION_KEY)


@transaction.atomic
def copy_batch(batch: list[tuple[Good, int]], originals: dict[str, Product]) -> None:
    now = timezone.now()
    products = Product.objects.bulk_create(
        Product(
            **words(good) | {"name": f"{good.name} No. {n}", "slug": f"{good.slug}-no-{n}", "featured": False},
            category_id=originals[good.slug].category_id,
            state=Product.State.PUBLISHED,
            published_at=now - timedelta(days=40, minutes=n * 36 % 400_000),
            price_minor=good.price + n * 37 % 2000,
            price_to_minor=good.price + n * 37 % 2000,
        )
        for good, n in batch
    )
    stocked = Variant.objects.bulk_create(
        copied_variant(good, n, product) for (good, n), product in zip(batch, products, strict=True)
    )
    StockMovement.objects.bulk_create(
        StockMovement(variant=variant, kind=StockMovement.Kind.RECEIVED, quantity=variant.on_hand, reference="demo")
        for variant in stocked
        if variant.on_hand
    )
    ProductImage.objects.bulk_create(
        copied_image(image, product)
        for (good, _), product in zip(batch, products, strict=True)
        for image in originals[good.slug].images.all()
    )
    cover = ProductImage.objects.filter(product=OuterRef("pk")).order_by("position", "id").values("pk")[:1]
    Product.objects.filter(pk__in=[product.pk for product in products]).update(cover=Subquery(cover))
    index_products(product.pk for product in products)


def copied_variant(good: Good, n: int, product: Product) -> Variant:
    variant, _ = next(variants(good, product))
    variant.sku = f"{good.slug[:28]}-{n}".upper()
    variant.price_minor = product.price_minor
    variant.on_hand = n % 40
    variant.made_to_order = n % 3 == 0
    return variant


def copied_image(image: ProductImage, product: Product) -> ProductImage:
    names = ("alt", "digest", "original", "width", "height", "color", "renditions", "position")
    return ProductImage(product=product, **{name: getattr(image, name) for name in names})
