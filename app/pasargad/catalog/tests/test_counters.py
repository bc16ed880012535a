"""A page that was open while shoppers bought writes back what staff typed, and no counter."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import F
from django.utils import timezone
from testing.factories import make_variant

from pasargad.catalog.models import Product, Variant
from pasargad.catalog.stock import stock_reserve


@pytest.mark.django_db
def test_saving_an_opened_variant_keeps_what_was_reserved_meanwhile():
    variant = make_variant(stock=3)
    opened = Variant.objects.get(pk=variant.pk)
    stock_reserve({variant.pk: 2}, reference="order:x", expires_at=timezone.now() + timedelta(hours=1))
    opened.price_minor = 4321
    opened.save()
    variant.refresh_from_db()
    assert (variant.price_minor, variant.on_hand, variant.reserved) == (4321, 3, 2)


@pytest.mark.django_db
def test_saving_an_opened_product_keeps_its_ratings_and_moves_its_time():
    product = make_variant().product
    before = product.updated_at
    Product.objects.filter(pk=product.pk).update(rating_sum=F("rating_sum") + 5, rating_count=F("rating_count") + 1)
    product.name = "Renamed"
    product.save()
    found = Product.objects.get(pk=product.pk)
    assert (found.name, found.rating_sum, found.rating_count) == ("Renamed", 5, 1)
    assert found.updated_at > before


@pytest.mark.django_db
def test_a_new_variant_and_named_fields_are_written_as_they_are():
    variant = make_variant(stock=3)
    assert Variant.objects.get(pk=variant.pk).on_hand == 3
    variant.on_hand = 5
    variant.save(update_fields=["on_hand"])
    assert Variant.objects.get(pk=variant.pk).on_hand == 5
