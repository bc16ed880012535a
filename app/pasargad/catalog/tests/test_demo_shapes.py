"""The demo goods' shapes are sound binary glTF that a phone can load."""

from __future__ import annotations

import json
import struct
from array import array
from dataclasses import replace

import pytest

from pasargad.catalog import shapes
from pasargad.catalog.demo import catalogue, seeding, solid
from pasargad.catalog.models import ProductModel

GOODS = [good for good in catalogue.load().goods if good.featured]
LARGEST = 1_000_000
KINDS = {solid.FLOAT: "f", solid.SHORT: "H", solid.INT: "I"}


def read(content: bytes) -> tuple[dict[str, object], bytes]:
    size, _ = struct.unpack_from("<I4s", content, 12)
    return json.loads(content[20 : 20 + size]), content[28 + size :]


@pytest.mark.parametrize("good", GOODS, ids=[good.slug for good in GOODS])
def test_a_shape_is_whole(good):
    content = solid.model(good)
    shapes.check(content)
    assert len(content) < LARGEST
    told, binary = read(content)
    assert len(binary) == told["buffers"][0]["byteLength"]

    def values(number: int) -> array:
        accessor = told["accessors"][number]
        view = told["bufferViews"][accessor["bufferView"]]
        assert view["byteOffset"] % 4 == 0
        found = array(KINDS[accessor["componentType"]])
        found.frombytes(binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]])
        return found

    for primitive in told["meshes"][0]["primitives"]:
        places, facing = (values(primitive["attributes"][name]) for name in ("POSITION", "NORMAL"))
        corners = values(primitive["indices"])
        assert len(places) == len(facing) and len(corners) % 3 == 0
        assert max(corners) < len(places) // 3
        # Metres, standing on the ground: what is sold in millimetres is smaller than a metre.
        assert max(map(abs, places)) < 1 and min(places[1::3]) > -0.02
        for at in range(0, len(facing), 3):
            assert abs(sum(value * value for value in facing[at : at + 3]) - 1) < 1e-3


def test_rows_and_columns_are_thinned_and_their_ends_kept():
    assert solid.thinned(list(range(10))) == list(range(10))
    assert solid.thinned(list(range(30)))[-1] == 29
    assert solid.thinned(list(range(31)))[-2:] == [28, 30]


@pytest.mark.django_db
def test_featured_goods_get_their_shape_once():
    whole = catalogue.load()
    few = replace(whole, goods=tuple(good for good in whole.goods if good.featured)[:2])
    drawn = list(seeding.seed(few))
    assert [good.slug for good in seeding.add_shapes(few)] == [good.slug for good in drawn]
    assert list(seeding.add_shapes(few)) == []
    assert ProductModel.objects.count() == 2
