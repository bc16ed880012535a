"""Pages: the same for everybody where they may be cached, few queries however many goods, every address answered."""

from __future__ import annotations

import io

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from PIL import Image
from testing.factories import make_category, make_product, make_variant

from pasargad.catalog.models import Category, Product, ProductImage, Variant
from pasargad.catalog.services import image_add, product_publish
from pasargad.flags.store import keep

pytestmark = pytest.mark.django_db

MAX_SQL = 6


def picture(color: str = "teal", size: tuple[int, int] = (700, 500)) -> bytes:
    output = io.BytesIO()
    Image.new("RGB", size, color).save(output, "PNG")
    return output.getvalue()


def fill(products: int, category: Category | None = None, variants: int = 3) -> Category:
    category = category or make_category()
    for _ in range(products):
        product = make_product(category=category, featured=True)
        for number in range(variants):
            make_variant(product=product, price_minor=1000 + number, options=[["Size", str(number)]])
        ProductImage.objects.create(
            product=product, alt="A lamp", digest=str(product.pk), original="x.png", width=640, height=480,
            renditions=[{"format": "jpeg", "width": 640, "height": 480, "name": "x-640.jpeg"}],
        )  # fmt: skip
        product_publish(product)
    return category


def shared_paths() -> list[str]:
    product, category = Product.objects.first(), Category.objects.first()
    return [
        "/",
        "/shop/",
        f"/c/{category.slug}/",
        f"/p/{product.slug}/",
        "/shop/?sort=price&available=1",
        "/info/about/",
    ]


def test_shared_pages_are_the_same_for_everybody(client):
    fill(3)
    variant = Variant.objects.first()
    shopper = type(client)()
    shopper.post("/cart/add/", {"variant": variant.sku, "quantity": "2"})
    assert "pp_cart" in shopper.cookies
    for path in shared_paths():
        anonymous = client.get(path)
        assert anonymous.status_code == 200, path
        assert not anonymous.cookies, path
        assert "Cookie" not in anonymous.headers.get("Vary", ""), path
        for word in ("public", "s-maxage=5", "stale-while-revalidate=60", "max-age=0"):
            assert word in anonymous.headers["Cache-Control"], path
        assert shopper.get(path).content == anonymous.content, path


def test_a_shopper_s_own_pages_are_kept_by_nobody(client):
    variant = make_variant()
    client.post("/cart/add/", {"variant": variant.sku, "quantity": "1"})
    for path in ("/cart/", "/checkout/", "/orders/find/"):
        assert client.get(path).headers["Cache-Control"] == "private, no-store", path


@pytest.mark.parametrize("which", ["home", "list", "category", "search", "product"])
def test_a_page_takes_few_queries_however_many_products(client, which):
    category = fill(4)
    product = Product.objects.order_by("pk").first()
    path = {
        "home": "/",
        "list": "/shop/",
        "category": f"/c/{category.slug}/",
        "search": "/shop/?q=lamp",
        "product": f"/p/{product.slug}/",
    }[which]

    def count() -> int:
        from django.core.cache import cache

        cache.clear()
        # Otherwise the flags are asked for whenever a second is over.
        keep({})
        with CaptureQueriesContext(connection) as captured:
            assert client.get(path).status_code == 200
        return len(captured)

    few = count()
    fill(30, category)
    many = count()
    assert few == many <= MAX_SQL, f"{few} queries, then {many}"


def test_the_category_tree_is_kept_in_the_cache(client, django_assert_num_queries):
    category = fill(2)
    client.get(f"/c/{category.slug}/")
    with django_assert_num_queries(2):
        client.get(f"/c/{category.slug}/")


def test_a_list_sorts_pages_and_filters(client, settings):
    category = make_category()
    prices = [300, 100, 200]
    for price in prices:
        make_variant(product=make_product(category=category), price_minor=price)
    gone = make_variant(product=make_product(category=category), price_minor=50, stock=0)

    def names(query: str) -> list[int]:
        return [card.price.minor for card in client.get(f"/c/{category.slug}/?{query}").context["cards"]]

    assert names("sort=price") == [50, 100, 200, 300]
    assert names("sort=-price&available=1") == [300, 200, 100]
    assert client.get(f"/p/{gone.product.slug}/").context["shown"].selected.stock.state == "sold_out"
    from dataclasses import replace

    settings.SHOP = replace(settings.SHOP, page_size=2)
    assert names("sort=price&page=2") == [200, 300]
    page = client.get(f"/c/{category.slug}/?page=2").context["page"]
    assert (page.showing, page.has_next, page.previous_url) == ("3–4 of 4", False, f"/c/{category.slug}/")  # noqa: RUF001


@pytest.mark.parametrize(
    "query", ["page=0", "page=-1", "page=x", "page=99", "page=9999999999999", "page=²", "sort=evil", "sort=", "page="]
)
def test_an_address_that_makes_no_sense_is_an_unknown_page(client, query):
    make_variant()
    assert client.get(f"/shop/?{query}").status_code == 404


@pytest.mark.parametrize("query", ["q=%00", "q=%25%27%22", "q=" + "x" * 5000, "q=%F0%9F%96%A8", "available=yes"])
def test_strange_searches_are_answered(client, query):
    make_variant()
    assert client.get(f"/shop/?{query}").status_code == 200


def test_choices_are_offered_where_there_is_something_to_choose_from(client):
    make_variant()
    assert 'class="rail"' in client.get("/shop/").content.decode()
    assert 'class="rail"' not in client.get("/shop/?q=nothing-like-it").content.decode()
    undo = client.get("/shop/?q=nothing-like-it&available=1").content.decode()
    assert "Available only" in undo and "Sort by" not in undo


def test_a_list_offers_the_kinds_that_the_navigation_does_not_have(client):
    root = make_category("Home")
    branch = make_category("Lamps", parent=root)
    make_variant(product=make_product(category=branch))
    assert ">Kind<" not in client.get("/shop/").content.decode()
    assert ">Kind<" in client.get(f"/c/{root.slug}/").content.decode()


def test_the_home_page_shows_nothing_twice(client):
    featured, plain = make_product(featured=True), make_product()
    for product in (featured, plain):
        make_variant(product=product)
    context = client.get("/").context
    shown = [[card.name for card in context[part]] for part in ("featured", "newest")]
    assert shown == [[featured.name], [plain.name]]


@pytest.mark.parametrize(("minutes", "shown"), [(45, "45 min"), (540, "9 h"), (545, "9 h 5 min")])
def test_print_time_has_no_empty_parts(client, minutes, shown):
    variant = make_variant(print_minutes=minutes)
    facts = dict(client.get(f"/p/{variant.product.slug}/").context["shown"].facts)
    assert facts["Print time"] == shown


def test_a_subtree_holds_the_goods_of_its_branches(client):
    root = make_category("Home")
    branch = make_category("Lamps", parent=root)
    make_variant(product=make_product(category=branch, name="Deep lamp"))
    assert "Deep lamp" in client.get(f"/c/{root.slug}/").content.decode()
    [node] = client.get("/").context["categories"]
    assert (node.slug, node.count, node.children[0].slug) == (root.slug, 1, branch.slug)


def test_what_is_not_published_does_not_exist(client):
    draft = make_product(published=False)
    make_variant(product=draft)
    assert client.get(f"/p/{draft.slug}/").status_code == 404
    assert draft.name not in client.get("/shop/").content.decode()


def test_a_product_is_shown_with_its_variant_and_structured_data(client):
    import json
    import re

    product = make_product(name="</script><b>Lamp", summary="Warm & soft")
    make_variant(product=product, sku="A-1")
    chosen = make_variant(product=product, sku="A-2", price_minor=2500)
    image_add(product=product, content=picture(), alt="A teal lamp")
    answer = client.get(f"/p/{product.slug}/?variant={chosen.sku}")
    text = answer.content.decode()
    assert answer.context["shown"].selected.sku == "A-2" and "$25.00" in text
    assert "</script><b>" not in text
    [data] = re.findall(r'<script type="application/ld\+json"[^>]*>(.*?)</script>', text, re.DOTALL)
    graph = json.loads(data)["@graph"]
    assert [offer["price"] for offer in graph[0]["offers"]] == ["10.00", "25.00"]
    assert graph[0]["image"][0].startswith("http")


def test_a_picture_is_stored_once_in_all_sizes(client):
    product = make_product()
    make_variant(product=product)
    image = image_add(product=product, content=picture(), alt="Teal")
    assert image_add(product=product, content=picture(), alt="Again").pk == image.pk
    widths = sorted({(item["format"], item["width"]) for item in image.renditions})
    assert widths == [(name, width) for name in ("avif", "jpeg", "webp") for width in (320, 640, 700)]
    product.refresh_from_db()
    assert product.cover_id == image.pk
    assert "-320.avif 320w" in client.get(f"/p/{product.slug}/").content.decode()


@pytest.mark.parametrize(
    "content", [b"", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"GIF89a", b"\x89PNG\r\n\x1a\nxx"]
)
def test_what_is_no_picture_is_refused(content):
    from pasargad.catalog.exceptions import PictureRefused

    with pytest.raises(PictureRefused):
        image_add(product=make_product(), content=content, alt="x")


def test_paths_worth_warming_all_answer(client):
    fill(2)
    answer = client.get("/health/warm")
    assert "no-store" in answer.headers["Cache-Control"]
    paths = answer.json()["paths"]
    assert len(paths) >= 5
    for path in paths:
        assert client.get(path).status_code == 200, path


def test_every_page_of_text_is_there(client):
    for page in ("about", "shipping", "returns", "privacy", "terms", "contact"):
        assert client.get(f"/info/{page}/").status_code == 200
    assert client.get("/info/secret/").status_code == 404
    assert "Contact: mailto:" in client.get("/.well-known/security.txt").content.decode()


def test_the_content_policy_allows_nothing_inline(client):
    make_variant()
    for path in shared_paths():
        answer = client.get(path)
        policy = answer.headers["Content-Security-Policy"]
        assert "unsafe" not in policy and "frame-ancestors 'none'" in policy
        text = answer.content.decode()
        assert ' style="' not in text and " onclick=" not in text, path


def test_maintenance_closes_the_shop_and_not_its_health(client, settings):
    from dataclasses import replace

    settings.FEATURES = replace(settings.FEATURES, maintenance=True)
    closed = client.get("/")
    assert closed.status_code == 503 and closed.headers["Retry-After"]
    assert client.get("/health/live").status_code == 200


def test_errors_have_pages(client, settings):
    from django.test import RequestFactory

    from pasargad.storefront import errors

    assert client.get("/nothing/here/").status_code == 404
    request = RequestFactory().get("/")
    for view in (errors.bad_request, errors.forbidden, errors.not_found):
        assert view(request, Exception()).status_code in (400, 403, 404)
    with CaptureQueriesContext(connection) as captured:
        assert errors.server_error(request).status_code == 500
    assert len(captured) == 0


def test_a_card_changes_with_its_product_though_it_is_kept(client):
    variant = make_variant(stock=9, product=make_product(name="First name"))
    assert "First name" in client.get("/shop/").content.decode()
    Product.objects.update(name="Second <name>")
    assert "Second &lt;name&gt;" in client.get("/shop/").content.decode()
    Variant.objects.filter(pk=variant.pk).update(on_hand=0)
    assert "Sold out" in client.get("/shop/").content.decode()
