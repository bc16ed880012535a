"""Zones, methods and weight tables, and what today's settings mean where there are none."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from testing.factories import make_cart, make_variant, make_zone

from pasargad.cart.selectors import cart_lines
from pasargad.catalog.places import Destination
from pasargad.orders.quoting import Wish, quote_lines
from pasargad.shipping.models import PickupPoint, ShippingMethod, ShippingZone
from pasargad.shipping.rules import Load, Method, fee
from pasargad.shipping.selectors import countries_served

pytestmark = pytest.mark.django_db
TABLE = Method(1, "Table", bands=((5000, 900), (500, 300), (1000, 500)))


def offered(place: Destination, **variant):
    cart = make_cart((make_variant(**variant), 1))
    return [(found.method.name, found.price_minor) for found in quote(cart, Wish("shipping", place)).options]


def quote(cart, wish: Wish):
    return quote_lines(cart_lines(cart), wish)


@pytest.mark.parametrize(("grams", "price"), [(0, 300), (500, 300), (501, 500), (1000, 500), (5000, 900), (5001, None)])
def test_a_weight_table(grams, price):
    assert fee(TABLE, Load(grams, 0)) == price


@pytest.mark.parametrize(("grams", "price"), [(0, 100), (1, 150), (1000, 150), (1001, 200)])
def test_a_base_and_each_kilogram_begun(grams, price):
    assert fee(Method(1, "Base", base_minor=100, per_kilogram_minor=50), Load(grams, 0)) == price


def test_limits_of_weight_and_size_and_free_from():
    method = Method(1, "Small", base_minor=100, max_grams=2000, box=(300, 200, None), free_from_minor=5000)
    assert fee(method, Load(2000, 0, ((100, 300, 150),))) == 100
    assert fee(method, Load(2001, 0)) is None
    # A piece is turned: 310 is too long, and 300 by 210 too wide, whichever side is which.
    assert fee(method, Load(1, 0, ((10, 310, 10),))) is None
    assert fee(method, Load(1, 0, ((210, 300, 10),))) is None
    assert fee(method, Load(1, 5000)) == 0 and fee(method, Load(1, 4999)) == 100


def test_without_zones_the_settings_hold(settings):
    shipping = settings.SHIPPING
    assert offered(Destination("US"), weight_grams=1200) == [
        ("Shipping", shipping.base_minor + 2 * shipping.per_kilogram_minor)
    ]
    assert offered(Destination("US"), price_minor=shipping.free_from_minor) == [("Shipping", 0)]
    assert offered(Destination("DE")) == []
    assert countries_served() == list(shipping.countries)


def test_an_active_zone_replaces_the_settings():
    zone = make_zone({"name": "Post", "base_minor": 700}, countries=["DE"])
    assert offered(Destination("DE")) == [("Post", 700)] and offered(Destination("US")) == []
    assert countries_served() == ["DE"]
    ShippingZone.objects.filter(pk=zone.pk).update(is_active=False)
    assert offered(Destination("US")) and countries_served() == ["US", "CA"]


def test_the_closest_zone_counts_and_the_cheapest_way_comes_first():
    make_zone({"name": "Far", "base_minor": 9000}, countries=[])
    make_zone({"name": "Fast", "base_minor": 900}, {"name": "Slow", "base_minor": 500})
    make_zone({"name": "Island", "base_minor": 2000}, postcodes=["967", "968"])
    assert offered(Destination("US", zip="10001")) == [("Slow", 500), ("Fast", 900)]
    assert offered(Destination("US", zip="968-01")) == [("Island", 2000)]
    assert offered(Destination("CA")) == [("Far", 9000)]
    assert countries_served() == ["US", "CA"]


def test_methods_that_do_not_take_the_goods_are_not_offered():
    make_zone({"name": "Letter", "bands": [(100, 200)]}, {"name": "Box", "max_length_mm": 400, "base_minor": 800})
    assert offered(Destination("US"), weight_grams=90) == [("Letter", 200), ("Box", 800)]
    assert offered(Destination("US"), weight_grams=110) == [("Box", 800)]
    assert offered(Destination("US"), weight_grams=110, height_mm=401) == []
    ShippingMethod.objects.filter(name="Letter").update(is_active=False)
    assert offered(Destination("US"), weight_grams=90) == [("Box", 800)]


def test_places_to_collect(settings):
    cart = make_cart((make_variant(), 1))
    assert quote(cart, Wish("pickup")).point.lines[0] == settings.BUSINESS.name
    for number in (1, 2):
        PickupPoint.objects.create(name=f"Shop {number}", street="High Street", city="Boston", country="US")
    first, second = quote(cart, Wish("pickup")).points
    assert quote(cart, Wish("pickup", point=str(second.id))).point == second
    assert quote(cart, Wish("pickup")).point == first
    gone = quote(cart, Wish("pickup", point="999"))
    assert gone.choice_gone


def test_rules_are_read_in_one_query_however_many(django_assert_num_queries):
    lines = cart_lines(make_cart((make_variant(), 1)))
    for number in range(8):
        make_zone({"bands": [(500, 1), (900, 2)]}, {}, countries=["US"], postcodes=[str(number)])
    with django_assert_num_queries(1):
        quote_lines(lines, Wish("shipping", Destination("US", zip="7")))


def test_postcodes_need_their_country():
    with pytest.raises(ValidationError, match="country"):
        ShippingZone(name="Nowhere", postcodes=["1"]).full_clean()


def test_staff_manage_zones_methods_and_places(admin_client, settings):
    zone = make_zone({"name": "Post", "bands": [(500, 100)]})
    base = f"/{settings.ADMIN_URL_PATH}/shipping"
    for path in ("shippingzone/", "shippingzone/add/", f"shippingzone/{zone.pk}/change/", "shippingmethod/",
                 f"shippingmethod/{zone.methods.get().pk}/change/", "pickuppoint/add/"):  # fmt: skip
        assert admin_client.get(f"{base}/{path}").status_code == 200, path
