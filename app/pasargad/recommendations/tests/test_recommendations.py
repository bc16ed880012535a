"""What goes with what."""

from __future__ import annotations

import pytest
from testing.factories import BUYER, make_cart, make_category, make_product, make_variant

from pasargad.catalog.models import Product, Variant
from pasargad.orders.models import Order, Status
from pasargad.orders.services import order_place
from pasargad.recommendations.models import Recommendation
from pasargad.recommendations.selectors import recommended_for
from pasargad.recommendations.services import recommendations_refresh

pytestmark = pytest.mark.django_db
_keys = iter(range(10**6))


def buy(*variants: Variant, status: Status = Status.PAID) -> None:
    cart = make_cart(*((variant, 1) for variant in variants))
    order = order_place(cart, BUYER, key=f"{next(_keys):032d}", agreed_total_minor=10**9)
    Order.objects.filter(pk=order.pk).update(status=status)


def good(name: str, category=None, **fields) -> Variant:
    own = {"stock": 50} | {key: fields.pop(key) for key in ("price_minor",) if key in fields}
    return make_variant(product=make_product(name=name, category=category, **fields), **own)


def test_what_is_bought_together_is_recommended_before_what_everybody_buys():
    vase, twigs, popular, unpaid = good("Vase"), good("Twigs"), good("Popular"), good("Unpaid")
    for _ in range(3):
        buy(vase, twigs)
    buy(vase, popular)
    for _ in range(20):
        buy(popular)
    buy(vase, unpaid, status=Status.CANCELLED)
    recommendations_refresh()
    assert [row.name for row in recommended_for(vase.product_id).together] == ["Twigs", "Popular"]
    assert [row.name for row in recommended_for(twigs.product_id).together] == ["Vase"]


def test_similar_is_of_the_same_category_with_the_same_qualities():
    shelf, other = make_category("Vases"), make_category("Lamps")
    vase = good("Vase", shelf, material="PLA", price_minor=1000)
    good("Twin", shelf, material="PLA", price_minor=1100)
    good("Cousin", shelf, material="PETG", price_minor=1000)
    good("Stranger", other, material="PLA", price_minor=1000)
    draft = good("Draft", shelf, material="PLA", price_minor=1000)
    Product.objects.filter(pk=draft.product_id).update(state=Product.State.ARCHIVED)
    recommendations_refresh()
    assert [row.name for row in recommended_for(vase.product_id).similar] == ["Twin", "Cousin"]


def test_working_it_out_again_changes_nothing(django_assert_num_queries):
    vase, twigs = good("Vase"), good("Twigs")
    buy(vase, twigs)
    assert recommendations_refresh() == recommendations_refresh() == Recommendation.objects.count()
    with django_assert_num_queries(2):
        recommended_for(vase.product_id)


def test_the_product_s_page_shows_them(client):
    vase, twigs = good("Vase"), good("Twigs")
    buy(vase, twigs)
    assert "Bought together" not in client.get(f"/p/{vase.product.slug}/").content.decode()
    recommendations_refresh()
    page = client.get(f"/p/{vase.product.slug}/")
    assert [card.name for card in page.context["together"]] == ["Twigs"]
    assert "Bought together" in page.content.decode()


def test_what_is_not_sold_any_more_is_not_recommended():
    vase, twigs = good("Vase"), good("Twigs")
    buy(vase, twigs)
    recommendations_refresh()
    Product.objects.filter(pk=twigs.product_id).update(state=Product.State.ARCHIVED)
    assert recommended_for(vase.product_id).together == []
