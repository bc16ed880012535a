"""The demo goods' shapes as binary glTF, from the same meshes that their pictures are drawn from."""

from __future__ import annotations

import json
import math
import struct
from array import array
from collections import defaultdict
from itertools import pairwise
from typing import TypeVar

from .catalogue import Good
from .mesh import Mesh, Point
from .palette import finishes
from .studio import Finish

FLOAT, SHORT, INT = 5126, 5123, 5125
POSITIONS, INDICES = 34962, 34963
# Every second row and column: a phone turns it without effort, and loads a few hundred kilobytes.
STRIDE = 2
FEWEST = 24
MM = 0.001
T = TypeVar("T")


def model(good: Good) -> bytes:
    """Return a good in its first colours: metres, y up, as glTF asks; one primitive a part."""
    looks = finishes(good.colours[0], *good.trim)
    parts: dict[str, list[Mesh]] = defaultdict(list)
    for mesh in good.model():
        parts[mesh.part].append(mesh)
    return pack([(looks[part], *triangles(meshes)) for part, meshes in parts.items()])


def triangles(meshes: list[Mesh]) -> tuple[list[Point], list[int]]:
    """Return the corners and the triangles of meshes."""
    points: list[Point] = []
    order: list[int] = []
    for mesh in meshes:
        if mesh.rows:
            grid(mesh, points, order)
        for facet in mesh.uncut():
            first = len(points)
            points += facet
            for second in range(first + 1, len(points) - 1):
                order += (first, second, second + 1)
    return points, order


def grid(mesh: Mesh, points: list[Point], order: list[int]) -> None:
    rows = thinned(mesh.rows)
    columns = thinned(list(range(len(rows[0]))))
    starts = []
    for row in rows:
        starts.append(len(points))
        points += [row[column] for column in columns]
    width = len(columns)
    steps = [(k, (k + 1) % width) for k in range(width if mesh.wrap else width - 1)]
    for low, high in pairwise(starts):
        for a, b in steps:
            order += (low + a, low + b, high + b, low + a, high + b, high + a)


def thinned(items: list[T]) -> list[T]:
    return items if len(items) < FEWEST else [*items[:-1:STRIDE], items[-1]]


def normals(points: list[Point], order: list[int]) -> list[Point]:
    """Return at each corner the sum of its triangles' directions, by area."""
    sums = [[0.0, 0.0, 0.0] for _ in points]
    for at in range(0, len(order), 3):
        (ax, ay, az), (bx, by, bz), (cx, cy, cz) = (points[k] for k in order[at : at + 3])
        ux, uy, uz, vx, vy, vz = bx - ax, by - ay, bz - az, cx - ax, cy - ay, cz - az
        normal = (uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx)
        for corner in order[at : at + 3]:
            for k in range(3):
                sums[corner][k] += normal[k]
    found: list[Point] = []
    for x, y, z in sums:
        length = math.sqrt(x * x + y * y + z * z)
        found.append((x / length, y / length, z / length) if length else (0.0, 0.0, 1.0))
    return found


def pack(parts: list[tuple[Finish, list[Point], list[int]]]) -> bytes:
    """Return a binary glTF of coloured triangles."""
    binary = bytearray()
    views: list[dict[str, object]] = []
    accessors: list[dict[str, object]] = []

    def store(values: array, target: int, kind: int, shape: str, **limits: object) -> int:  # type: ignore[type-arg]
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(values) * values.itemsize,
                      "target": target})  # fmt: skip
        binary.extend(values.tobytes())
        binary.extend(b"\0" * (-len(binary) % 4))
        count = len(values) // (3 if shape == "VEC3" else 1)
        accessors.append({"bufferView": len(views) - 1, "componentType": kind, "count": count, "type": shape, **limits})
        return len(accessors) - 1

    primitives, materials = [], []
    for finish, points, order in parts:
        if not order:
            continue
        upright = [(x * MM, z * MM, -y * MM) for x, y, z in points]
        spots = array("f", (value for point in upright for value in point))
        lows = {"min": list(map(min, zip(*upright, strict=True))), "max": list(map(max, zip(*upright, strict=True)))}
        place = store(spots, POSITIONS, FLOAT, "VEC3", **lows)
        directions = array("f", (value for x, y, z in normals(points, order) for value in (x, z, -y)))
        facing = store(directions, POSITIONS, FLOAT, "VEC3")
        small = len(points) <= 0xFFFF
        corners = store(array("H" if small else "I", order), INDICES, SHORT if small else INT, "SCALAR")
        colour = [*(((value / 255) ** 2.2) for value in finish.colour), 1.0]
        materials.append({
            "pbrMetallicRoughness": {"baseColorFactor": colour, "metallicFactor": 0, "roughnessFactor": 0.7},
            "doubleSided": True,
        })  # fmt: skip
        primitives.append({
            "attributes": {"POSITION": place, "NORMAL": facing}, "indices": corners, "material": len(materials) - 1
        })  # fmt: skip
    told = {
        "asset": {"version": "2.0", "generator": "Pasargad Prints"},
        "scene": 0, "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": primitives}], "materials": materials,
        "buffers": [{"byteLength": len(binary)}], "bufferViews": views, "accessors": accessors,
    }  # fmt: skip
    text = json.dumps(told, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(binary), b"BIN\0") + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body
