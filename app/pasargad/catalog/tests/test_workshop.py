"""Lead times, low stock, and shapes."""

from __future__ import annotations

import json
import struct
from dataclasses import replace

import pytest
from testing.factories import make_product, make_variant

from pasargad.accounts.models import User
from pasargad.catalog import services, shapes
from pasargad.catalog.exceptions import ShapeRefused
from pasargad.catalog.leadtime import lead_days
from pasargad.catalog.models import ProductModel, Workshop
from pasargad.catalog.selectors import variants_low


@pytest.mark.parametrize(
    ("minutes", "options", "days"),
    [
        (0, {}, 1),
        (1, {}, 2),
        (480, {}, 2),
        (481, {}, 3),
        (480, {"quantity": 4, "printers": 2}, 3),
        (480, {"quantity": 5, "printers": 2}, 4),
        (600, {"minutes_per_day": 1440, "finishing_days": 0}, 1),
        (100, {"printers": 50, "finishing_days": 2}, 3),
        (100, {"printers": 0, "minutes_per_day": 0}, 101),
    ],
)
def test_lead_time_follows_from_print_time(minutes, options, days):
    assert lead_days(minutes, **options) == days


@pytest.mark.django_db
def test_lead_times_follow_the_workshop():
    made = make_variant(made_to_order=True, stock=0, print_minutes=960, lead_from_print_time=True, lead_days=9)
    fixed = make_variant(made_to_order=True, stock=0, print_minutes=960, lead_days=9)
    made.refresh_from_db()
    assert made.lead_days == 3
    Workshop.objects.create(pk=1, minutes_per_day=960, finishing_days=2)
    assert services.lead_times_refresh() == 0
    Workshop.objects.update(minutes_per_day=240)
    assert services.lead_times_refresh() == 1
    for variant, days in ((made, 6), (fixed, 9)):
        variant.refresh_from_db()
        assert variant.lead_days == days


@pytest.mark.django_db
def test_low_stock_has_a_threshold_of_its_own_or_the_shop_s(settings):
    settings.SHOP = replace(settings.SHOP, low_stock_from=3)
    plenty, few = make_variant(stock=9), make_variant(stock=3)
    early = make_variant(stock=9, low_stock_from=9)
    make_variant(stock=1, low_stock_from=0)
    make_variant(stock=0, made_to_order=True)
    make_variant(stock=0, product=make_product(published=False))
    assert set(variants_low()) == {few, early}
    assert plenty.pk not in set(variants_low().values_list("pk", flat=True))


@pytest.mark.django_db
def test_staff_can_see_what_is_low(client, settings):
    client.force_login(User.objects.create_superuser("staff@example.org", "secret-enough-1"))
    low, fine = make_variant(stock=1), make_variant(stock=99)
    page = client.get(f"/{settings.ADMIN_URL_PATH}/catalog/variant/?stock=low").content.decode()
    assert low.sku in page and fine.sku not in page


def glb(described: object = None, *, version: int = 2, length: int | None = None, magic: bytes = b"glTF") -> bytes:
    if described is None:
        described = {"asset": {"version": "2.0"}, "meshes": [{"primitives": []}], "buffers": [{"byteLength": 0}]}
    text = json.dumps(described).encode() if not isinstance(described, bytes) else described
    text += b" " * (-len(text) % 4)
    total = 20 + len(text)
    return (
        magic
        + struct.pack("<II", version, total if length is None else length)
        + struct.pack("<I4s", len(text), b"JSON")
        + text
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"glTF",
        b"\x89PNG\r\n\x1a\n" + bytes(40),
        glb(magic=b"GLTF"),
        glb(version=1),
        glb(length=99),
        glb() + b"more",
        glb(b"{nothing"),
        glb([1]),
        glb({"asset": {"version": "2.0"}}),
        glb({"asset": {}, "meshes": [1], "buffers": [{"uri": "https://evil.example/x.bin"}]}),
        glb({"asset": {}, "meshes": [1], "images": [{"uri": "data:image/png;base64,"}]}),
        glb(b"[" * 100_000),
        b"glTF" + struct.pack("<II", 2, 24) + struct.pack("<I4s", 4_000_000_000, b"JSON") + b"{}  ",
    ],
)
def test_what_is_no_shape_is_refused(content):
    with pytest.raises(ShapeRefused):
        shapes.check(content)


def test_too_large_a_shape_is_refused(monkeypatch):
    monkeypatch.setattr(shapes, "MAX_BYTES", 10)
    with pytest.raises(ShapeRefused, match="larger"):
        shapes.check(glb())


@pytest.mark.django_db
def test_a_shape_is_offered_on_its_product_s_page_only(client):
    product, other = make_variant().product, make_variant().product
    services.shape_set(product=product, content=glb())
    services.shape_set(product=product, content=glb())
    assert ProductModel.objects.count() == 1
    assert "model/gltf-binary" in client.get(f"/p/{product.slug}/").content.decode()
    assert "gltf" not in client.get(f"/p/{other.slug}/").content.decode()
    services.shape_remove(product)
    assert "gltf" not in client.get(f"/p/{product.slug}/").content.decode()
