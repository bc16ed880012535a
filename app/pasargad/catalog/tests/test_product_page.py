"""The staff's page of a product: a picture is rendered while nobody waits for it."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError, connection, transaction
from django.test import Client
from django.urls import reverse
from PIL import Image
from testing.factories import make_variant
from testing.shopper import text_of
from testing.staff import log_in

from pasargad.catalog import pictures, services
from pasargad.catalog.models import Product, Variant


def picture() -> SimpleUploadedFile:
    file = io.BytesIO()
    Image.new("RGB", (700, 500), "teal").save(file, "PNG")
    return SimpleUploadedFile("lamp.png", file.getvalue(), "image/png")


def save(client: Client, variant: Variant, price: int) -> Any:
    """Send the page with another price and a new picture."""
    product = variant.product
    values = {"name": product.name, "slug": product.slug, "category": product.category_id, "state": product.state,
              "picture_alt": "A teal lamp", "picture": picture(),
              "published_at_0": "2026-01-01", "published_at_1": "12:00:00"}  # fmt: skip
    prefixes = ("variants", "attribute_values", "images", "former_slugs")
    values |= {f"{name}-{what}": "0" for name in prefixes for what in ("TOTAL_FORMS", "INITIAL_FORMS")}
    row = {"id": variant.pk, "product": product.pk, "sku": variant.sku, "price_minor": price, "options": "[]",
           "is_active": "on"}  # fmt: skip
    row |= dict.fromkeys(
        ("lead_days", "weight_grams", "width_mm", "depth_mm", "height_mm", "print_minutes", "position"), 0
    )
    values |= {f"variants-0-{name}": value for name, value in row.items()}
    values |= {"variants-TOTAL_FORMS": "1", "variants-INITIAL_FORMS": "1"}
    return client.post(reverse("admin:catalog_product_change", args=[product.pk]), values)


def nobody_waits() -> bool:
    """Whether another connection can lock every row of the catalogue at once."""
    try:
        with transaction.atomic():
            for model in (Variant, Product):
                list(model.objects.select_for_update(nowait=True))
    except OperationalError:
        return False
    finally:
        connection.close()
    return True


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("early", [True, False], ids=["rendered early", "control"])
def test_no_row_is_locked_while_a_picture_is_rendered(client, monkeypatch, early):
    log_in(client, "catalogue")
    variant = make_variant(price_minor=1000)
    render, add, free = pictures.render, services.image_add, []

    def watched(*given: Any) -> pictures.Rendered:
        with ThreadPoolExecutor(1) as other:
            free.append(other.submit(nobody_waits).result(10))
        return render(*given)

    monkeypatch.setattr(pictures, "render", watched)
    if not early:
        monkeypatch.setattr(services, "image_add", lambda rendered, **rest: add(**rest))
    answer = save(client, variant, 1200)
    assert answer.status_code == 302, text_of(answer.content.decode())
    assert free == ([True] if early else [True, False])
    product = Product.objects.get()
    assert product.price_minor == 1200 and product.cover.alt == "A teal lamp"


@pytest.mark.django_db
def test_a_picture_that_cannot_be_used_is_said_on_the_form(client, monkeypatch):
    log_in(client, "catalogue")
    variant = make_variant(price_minor=1000)
    monkeypatch.setattr(pictures, "MAX_PIXELS", 100)
    answer = save(client, variant, 1200)
    assert answer.status_code == 200 and "million pixels" in answer.content.decode()
    assert not variant.product.images.exists() and Variant.objects.get().price_minor == 1000
