"""Addresses that once led somewhere still do, and only until somebody else has them."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction
from testing.factories import make_category, make_product, make_variant

from pasargad.catalog.models import Category, FormerSlug, Kind, Product
from pasargad.catalog.selectors import slug_now

pytestmark = pytest.mark.django_db


def rename(thing: Product | Category, slug: str) -> None:
    type(thing).objects.filter(pk=thing.pk).update(slug=slug)


def test_a_changed_slug_leads_to_the_new_address(client):
    product = make_variant(product=make_product(slug="old")).product
    rename(product, "new")
    answer = client.get("/p/old/?variant=A%201")
    assert (answer.status_code, answer.headers["Location"]) == (301, "/p/new/?variant=A%201")
    assert "max-age=0" in answer.headers["Cache-Control"]
    assert client.get("/p/new/").status_code == 200


def test_chains_collapse(client):
    product = make_variant(product=make_product(slug="one")).product
    for slug in ("two", "three", "four"):
        rename(product, slug)
    for old in ("one", "two", "three"):
        assert client.get(f"/p/{old}/").headers["Location"] == "/p/four/"


def test_a_slug_that_comes_back_leads_nowhere_else(client):
    product = make_variant(product=make_product(slug="one")).product
    rename(product, "two")
    rename(product, "one")
    assert client.get("/p/one/").status_code == 200
    assert client.get("/p/two/").headers["Location"] == "/p/one/"
    assert list(FormerSlug.objects.values_list("slug", flat=True)) == ["two"]


def test_a_slug_can_be_taken_over_by_another_product(client):
    first = make_variant(product=make_product(slug="vase")).product
    rename(first, "old-vase")
    second = make_variant(product=make_product(slug="vase"), stock=0).product
    assert client.get("/p/vase/").context["product"].id == second.pk
    rename(second, "newer-vase")
    assert client.get("/p/vase/").headers["Location"] == "/p/newer-vase/"
    second.delete()
    assert client.get("/p/vase/").status_code == 404


def test_an_address_of_what_is_not_sold_any_more_leads_nowhere(client):
    product = make_variant(product=make_product(slug="old")).product
    rename(product, "new")
    Product.objects.filter(pk=product.pk).update(state=Product.State.ARCHIVED)
    assert client.get("/p/old/").status_code == 404


def test_categories_have_addresses_of_their_own(client):
    category = make_category("Lamps")
    make_variant(product=make_product(category=category, slug="lights"))
    former = category.slug
    rename(category, "lights")
    assert client.get(f"/c/{former}/?page=1").headers["Location"] == "/c/lights/?page=1"
    assert slug_now(Kind.PRODUCT, former) is None
    Category.objects.filter(pk=category.pk).update(is_active=False)
    assert client.get(f"/c/{former}/").status_code == 404


def test_the_books_refuse_a_row_that_leads_to_both():
    product = make_product()
    with pytest.raises(IntegrityError), transaction.atomic():
        FormerSlug.objects.create(kind=Kind.CATEGORY, slug="x", product=product)


def test_looking_for_an_old_address_takes_one_more_query(client, django_assert_num_queries):
    make_variant(product=make_product(slug="here"))
    client.get("/shop/")
    with django_assert_num_queries(2):
        assert client.get("/p/nowhere/").status_code == 404


def test_the_release_before_can_delete_what_has_entries_it_does_not_know():
    """Blue and green share the schema: foreign keys of new tables cascade in the database."""
    from django.db import connection

    from pasargad.recommendations.models import Kind as Recommended
    from pasargad.recommendations.models import Recommendation

    first, second = (make_variant(stock=0).product for _ in range(2))
    rename(first, "renamed")
    Recommendation.objects.create(product=first, other=second, kind=Recommended.SIMILAR, score=1, place=1)
    Recommendation.objects.create(product=second, other=first, kind=Recommended.SIMILAR, score=1, place=1)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM catalog_variant WHERE product_id = %s", [first.pk])
        cursor.execute("DELETE FROM catalog_product WHERE id = %s", [first.pk])
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert not Recommendation.objects.exists() and not FormerSlug.objects.exists()
