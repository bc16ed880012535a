"""The demo goods: complete, drawable by Pillow alone, and seeded once however often one asks."""

from __future__ import annotations

import re
from io import BytesIO, StringIO

import pytest
from django.core.management import call_command
from PIL import Image, ImageChops, ImageStat
from testing.factories import make_product

from pasargad.catalog.demo import catalogue, pictures, seeding
from pasargad.catalog.demo.lights import Blockers
from pasargad.catalog.demo.mesh import Mesh, split
from pasargad.catalog.demo.palette import FILAMENTS, finishes
from pasargad.catalog.demo.studio import OVERSAMPLE, Camera, Shot, Studio
from pasargad.catalog.models import Product, ProductImage, StockMovement, Variant
from pasargad.catalog.pictures import digest_of, render

GOODS = catalogue.load().goods


def small(good: catalogue.Good) -> Image.Image:
    studio = Studio(good.model(), finishes(good.colours[0], *good.trim))
    return studio.shoot(Shot(good.azimuth, good.elevation, good.backdrop, width=96, height=96))


def blank(color: tuple[int, int, int]) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (40, 40), color).save(buffer, "PNG")
    return buffer.getvalue()


def test_six_shelves_of_six():
    shelves = [good.shelf.slug for good in GOODS]
    assert len(GOODS) == 36
    assert {shelves.count(shelf) for shelf in shelves} == {6}
    assert len({good.slug for good in GOODS}) == len({good.name for good in GOODS}) == 36


def test_every_colour_is_on_the_shelf():
    assert {name for good in GOODS for name in (*good.colours, *good.trim)} <= FILAMENTS.keys()


@pytest.mark.parametrize("good", GOODS, ids=lambda good: good.slug)
def test_good_fits_into_its_picture(good: catalogue.Good):
    scene = good.model()
    camera = Camera(scene, Shot(good.azimuth, good.elevation, width=96, height=96))
    corners = [camera.project(p) for mesh in scene for group in (mesh.rows, mesh.facets) for row in group for p in row]
    assert all(0 < x < 96 * OVERSAMPLE and 0 < y < 96 * OVERSAMPLE for x, y, _ in corners)
    assert {mesh.part for mesh in scene} <= finishes(*good.colours).keys()


@pytest.mark.parametrize("good", GOODS[::6], ids=lambda good: good.slug)
def test_good_is_seen_on_its_paper(good: catalogue.Good):
    picture = small(good)
    assert max(ImageStat.Stat(picture.crop((24, 24, 72, 72))).stddev) > 12
    assert max(ImageStat.Stat(picture.crop((0, 0, 96, 4))).stddev) < 12


def test_same_recipe_same_pixels():
    assert ImageChops.difference(small(GOODS[0]), small(GOODS[0])).getbbox() is None


def test_facets_that_were_cut_twice_are_put_together_to_throw_shadows():
    whole = [(0.0, 0.0, 0.0), (4.0, 0.0, 0.0), (0.0, 4.0, 0.0)]
    twice = Mesh(facets=split(whole, 2), cuts=2)
    assert twice.uncut() == split(whole, 1)
    assert twice.map(lambda p: p).uncut() == twice.uncut()
    assert Mesh(facets=split(whole, 1), cuts=1).uncut() == split(whole, 1)


@pytest.mark.parametrize("count", [2, 3, 12, 200])
@pytest.mark.parametrize("wrap", [True, False])
def test_what_throws_a_shadow_keeps_its_ends_and_is_closed(count: int, wrap: bool):
    rows = [[(float(k), 0.0, float(z)) for k in range(count)] for z in range(50)]
    blockers = Blockers([Mesh(rows, wrap=wrap)], 5.0)
    assert set(blockers.points) <= {p for row in rows for p in row}
    assert {p[2] for p in blockers.points} >= {0.0, 49.0}
    assert wrap or {p[0] for p in blockers.points} >= {0.0, count - 1.0}
    assert {i for face in blockers.faces for i in face} == set(range(len(blockers.points)))
    assert len(blockers.faces) < 50 * count / 4 or count < 24


def test_a_second_picture_does_not_depend_on_the_first():
    good = GOODS[0]
    shots = [Shot(azimuth, 20, width=96, height=96) for azimuth in (10, 170)]
    studio = Studio(good.model(), finishes(*good.colours))
    studio.shoot(shots[0])
    second = studio.shoot(shots[1])
    alone = Studio(good.model(), finishes(*good.colours)).shoot(shots[1])
    assert max(ImageStat.Stat(ImageChops.difference(second, alone)).mean) < 1.0


def test_pictures_are_two_and_say_what_they_show():
    drawn = pictures.draw(GOODS[12])
    assert [Image.open(BytesIO(content)).size for _, content in drawn] == [(960, 960)] * 2
    assert all(GOODS[12].name in alt for alt, _ in drawn)
    assert len({digest_of(content) for _, content in drawn}) == 2


def test_pictures_come_with_what_pages_ask_for():
    for _, content, rendered in pictures.ready(GOODS[12]):
        assert rendered.digest == digest_of(content)
        assert {(item.format, item.width) for item in rendered.renditions} == {
            (name, width) for name in ("webp", "jpeg") for width in (320, 640, 960)
        }


@pytest.fixture
def quick_pictures(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Seed with blank pictures: drawing has tests of its own. Returns the goods that were drawn."""
    drawn: list[str] = []

    def draw(goods):
        for good in goods:
            drawn.append(good.slug)
            product = Product.objects.get(slug=good.slug)
            for view in range(seeding.PICTURES):
                content = blank((GOODS.index(good), view, 9))
                seeding.image_add(product=product, content=content, alt=f"{good.name} {view}", position=view)
            yield good

    monkeypatch.setattr(seeding, "draw_pictures", draw)
    return drawn


def seed(*arguments: str) -> str:
    out = StringIO()
    call_command("seed_demo", *arguments, stdout=out, stderr=StringIO(), verbosity=0)
    return out.getvalue()


@pytest.mark.django_db
def test_seeding_twice_changes_nothing(quick_pictures: list[str]):
    seed()
    counts = [model.objects.count() for model in (Product, Variant, ProductImage, StockMovement)]
    stock = dict(Variant.objects.values_list("sku", "on_hand"))
    seed()
    assert [model.objects.count() for model in (Product, Variant, ProductImage, StockMovement)] == counts
    assert dict(Variant.objects.values_list("sku", "on_hand")) == stock
    assert len(quick_pictures) == 36


@pytest.mark.django_db
def test_a_picture_that_went_missing_is_drawn_again(quick_pictures: list[str]):
    seed()
    product = Product.objects.get(slug=GOODS[5].slug)
    product.images.first().delete()
    seed()
    assert quick_pictures[36:] == [GOODS[5].slug]
    product.refresh_from_db()
    assert product.images.count() == 2 and product.cover is not None


@pytest.mark.django_db
def test_copies_fill_up_to_the_wanted_number(quick_pictures: list[str]):
    seed("--products", "100")
    seed("--products", "150")
    seed("--products", "120")
    assert Product.objects.count() == 150
    assert not Product.objects.filter(cover=None).exists()
    copies = Product.objects.filter(slug__regex=r"-no-\d+$")
    assert copies.count() == 114
    for variant in Variant.objects.filter(product__in=copies):
        moved = sum(StockMovement.objects.filter(variant=variant).values_list("quantity", flat=True))
        assert variant.on_hand == moved
        assert variant.price_minor == variant.product.price_minor
        assert re.fullmatch(r"[A-Z0-9-]{3,40}", variant.sku)


@pytest.mark.django_db
def test_a_picture_made_elsewhere_is_stored_as_it_is():
    product = make_product()
    content = blank((1, 2, 3))
    rendered = render(content, {"jpeg": ("JPEG", {"quality": 50})})
    image = seeding.image_add(product=product, content=content, alt="Grey", rendered=rendered)
    assert [item["format"] for item in image.renditions] == ["jpeg"]
    assert image.digest == digest_of(content)


def test_a_picture_without_transparency_keeps_its_colours_and_its_widths_grow():
    found = render(blank((10, 200, 30)))
    assert found.color == "#0ac81e"
    wide = BytesIO()
    Image.new("RGB", (1000, 500), (10, 200, 30)).save(wide, "PNG")
    found = render(wide.getvalue())
    assert [item.width for item in found.renditions if item.format == "jpeg"] == [320, 640, 960, 1000]
    assert [item.height for item in found.renditions if item.format == "webp"] == [160, 320, 480, 500]
    assert {item.format for item in found.renditions} == {"avif", "webp", "jpeg"}


def test_a_transparent_picture_lies_on_white():
    clear = BytesIO()
    Image.new("RGBA", (40, 40), (0, 0, 0, 0)).save(clear, "PNG")
    assert render(clear.getvalue()).color == "#ffffff"
