"""Which rates hold where, from the database to the quote."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from testing.factories import make_cart, make_category, make_product, make_tax_zone, make_variant

from pasargad.cart.selectors import cart_lines
from pasargad.catalog.places import Destination
from pasargad.orders.quoting import Wish, quote_lines
from pasargad.tax.models import TaxAssignment, TaxClass, TaxRate, TaxZone

pytestmark = pytest.mark.django_db


def taxes(place: Destination, *variants):
    cart = make_cart(*((variant, 1) for variant in variants or [make_variant(price_minor=10_000)]))
    price = quote_lines(cart_lines(cart), Wish("shipping", place)).price
    return {entry.name: entry.tax_minor for entry in price.taxes}


@pytest.fixture(autouse=True)
def _free_shipping(settings):
    settings.SHIPPING = replace(settings.SHIPPING, base_minor=0, per_kilogram_minor=0)


def test_the_closest_zone_counts():
    make_tax_zone(("Country", 10_000))
    make_tax_zone(("State", 20_000), states=["CA", "California"])
    make_tax_zone(("City", 30_000), states=["CA"], postcodes=["941"])
    make_tax_zone(("Longer", 40_000), postcodes=["94110"])
    assert taxes(Destination("US", "NY", "10001")) == {"Country": 100}
    assert taxes(Destination("US", "california", "90001")) == {"State": 200}
    assert taxes(Destination("US", "CA", "94 123")) == {"City": 300}
    assert taxes(Destination("US", "", "94110-1234")) == {"Longer": 400}


def test_where_no_zone_fits_the_setting_holds(settings):
    settings.SHOP = replace(settings.SHOP, tax_basis_points=700, tax_inclusive=False)
    assert taxes(Destination("CA")) == {"Tax": 700}
    make_tax_zone(("VAT", 190_000))
    assert taxes(Destination("CA")) == {"Tax": 700}
    assert taxes(Destination("US")) == {"VAT": 1900}
    TaxZone.objects.update(is_active=False)
    assert taxes(Destination("US")) == {"Tax": 700}


def test_a_zone_without_rates_takes_nothing(settings):
    settings.SHOP = replace(settings.SHOP, tax_basis_points=700)
    make_tax_zone(countries=["CA"])
    assert taxes(Destination("CA")) == {}


def test_the_nearest_class_counts():
    books, food = (TaxClass.objects.create(code=code, name=code) for code in ("books", "food"))
    root = make_category("Root")
    leaf = make_category("Leaf", parent=root)
    plain = make_variant(product=make_product(category=root), price_minor=10_000)
    near = make_variant(product=make_product(category=leaf), price_minor=10_000)
    own = make_variant(product=make_product(category=leaf), price_minor=10_000)
    TaxAssignment.objects.create(tax_class=books, category=root)
    TaxAssignment.objects.create(tax_class=food, category=leaf)
    TaxAssignment.objects.create(tax_class=books, product=own.product)
    zone = make_tax_zone(("Standard", 200_000))
    TaxRate.objects.create(zone=zone, tax_class=books, name="Books", ppm=50_000)
    TaxRate.objects.create(zone=zone, tax_class=food, name="Food", ppm=70_000)
    place = Destination("US")
    assert taxes(place, plain) == {"Books": 500, "Standard": 0}
    assert taxes(place, near)["Food"] == 700
    assert taxes(place, own)["Books"] == 500
    assert taxes(place, make_variant(price_minor=10_000)) == {"Standard": 2000}


def test_an_assignment_is_of_one_thing_and_a_rate_is_at_most_all():
    tax_class = TaxClass.objects.create(code="x", name="X")
    with pytest.raises(IntegrityError), transaction.atomic():
        TaxAssignment.objects.create(tax_class=tax_class)
    with pytest.raises(ValidationError):
        TaxRate(zone=make_tax_zone(), name="Too much", ppm=1_000_001).full_clean()


def test_staff_manage_zones_and_classes(admin_client, settings):
    for model in ("taxzone", "taxclass"):
        page = admin_client.get(f"/{settings.ADMIN_URL_PATH}/tax/{model}/add/")
        assert page.status_code == 200
    form = {
        "name": "Europe", "countries": "DE,at", "states": "", "postcodes": "", "position": "0", "is_active": "on",
        "rates-TOTAL_FORMS": "0", "rates-INITIAL_FORMS": "0",
    }  # fmt: skip
    refused = admin_client.post(f"/{settings.ADMIN_URL_PATH}/tax/taxzone/add/", form)
    assert refused.status_code == 200 and "two capital letters" in str(refused.context["adminform"].form.errors)
    admin_client.post(f"/{settings.ADMIN_URL_PATH}/tax/taxzone/add/", {**form, "countries": "DE,AT"})
    assert TaxZone.objects.get().countries == ["DE", "AT"]
