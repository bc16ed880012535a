"""Parametric meshes that imitate what a filament printer makes: millimetres, z up, standing on z = 0."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

Point = tuple[float, float, float]
Flat = tuple[float, float]
Loop = list[Flat]

LAYER = 1.7  # A printed layer as the pictures show it; coarser than real ones so that it survives downscaling.


@dataclass
class Mesh:
    """A grid of points (rows run along the print's layers) or a list of facets, all of one part (colour)."""

    rows: list[list[Point]] = field(default_factory=list)
    facets: list[list[Point]] = field(default_factory=list)
    part: str = "main"
    wrap: bool = False
    layered: bool = True
    cuts: int = 0  # how often `split` cut the facets; they stand in its order

    def map(self, change: Callable[[Point], Point]) -> Mesh:
        """The same mesh with every point changed."""
        return Mesh(
            [[change(p) for p in row] for row in self.rows],
            [[change(p) for p in facet] for facet in self.facets],
            self.part,
            self.wrap,
            self.layered,
            self.cuts,
        )

    def uncut(self) -> list[list[Point]]:
        """The facets as they were before they were cut for the second time."""
        if self.cuts < 2:
            return self.facets
        each = iter(self.facets)
        return [[a[0], b[1], c[2]] for a, b, c, _ in zip(each, each, each, each, strict=True)]


Scene = list[Mesh]


def paint(part: str, meshes: Iterable[Mesh]) -> Scene:
    """Give all meshes the named part."""
    painted = list(meshes)
    for mesh in painted:
        mesh.part = part
    return painted


def move(meshes: Iterable[Mesh], x: float = 0, y: float = 0, z: float = 0) -> Scene:
    """Shift all meshes."""
    return [mesh.map(lambda p: (p[0] + x, p[1] + y, p[2] + z)) for mesh in meshes]


def scale(meshes: Iterable[Mesh], x: float, y: float | None = None, z: float | None = None) -> Scene:
    """Stretch all meshes about the origin; one factor scales evenly."""
    fy, fz = x if y is None else y, x if z is None else z
    return [mesh.map(lambda p: (p[0] * x, p[1] * fy, p[2] * fz)) for mesh in meshes]


def turn(meshes: Iterable[Mesh], degrees: float, axis: str = "z") -> Scene:
    """Rotate all meshes about an axis through the origin."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))

    def spin(p: Point) -> Point:
        x, y, z = p
        if axis == "z":
            return (x * c - y * s, x * s + y * c, z)
        if axis == "x":
            return (x, y * c - z * s, y * s + z * c)
        return (x * c + z * s, y, -x * s + z * c)

    return [mesh.map(spin) for mesh in meshes]


def smooth(points: Sequence[Flat], steps: int) -> list[Flat]:
    """Catmull-Rom curve through the points, `steps` pieces between two of them."""
    last = len(points) - 1
    curve: list[Flat] = []
    for i in range(last):
        p0, p1, p2, p3 = points[max(i - 1, 0)], points[i], points[i + 1], points[min(i + 2, last)]
        for k in range(steps):
            t = k / steps
            curve.append(
                (
                    0.5 * (2 * p1[0] + (p2[0] - p0[0]) * t + (2 * p0[0] - 5 * p1[0] + 4 * p2[0] - p3[0]) * t * t
                           + (3 * p1[0] - p0[0] - 3 * p2[0] + p3[0]) * t**3),
                    0.5 * (2 * p1[1] + (p2[1] - p0[1]) * t + (2 * p0[1] - 5 * p1[1] + 4 * p2[1] - p3[1]) * t * t
                           + (3 * p1[1] - p0[1] - 3 * p2[1] + p3[1]) * t**3),
                )
            )  # fmt: skip
    curve.append(points[-1])
    return curve


def resample(points: Sequence[Flat], step: float) -> list[Flat]:
    """Points at even distances along a polyline, its corners kept."""
    result = [points[0]]
    for (x0, y0), (x1, y1) in pairwise(points):
        pieces = max(1, round(math.hypot(x1 - x0, y1 - y0) / step))
        result += [(x0 + (x1 - x0) * k / pieces, y0 + (y1 - y0) * k / pieces) for k in range(1, pieces + 1)]
    return result


def lathe(
    profile: Sequence[Flat],
    *,
    segments: int = 96,
    radius: Callable[[float, float], float] | None = None,
    curved: bool = True,
    step: float = LAYER / 2,
    layered: bool = True,
) -> Scene:
    """Turn a profile of (radius, height) about the z axis; the factor `radius(angle, height)` ribs or twists it."""
    line = smooth(profile, 8) if curved else list(profile)
    angles = [2 * math.pi * k / segments for k in range(segments)]
    table = [(math.cos(a), math.sin(a), a) for a in angles]
    rows: list[list[Point]] = []
    for r, z in resample(line, step):
        if radius is None:
            rows.append([(r * c, r * s, z) for c, s, _ in table])
        else:
            rows.append([(r * f * c, r * f * s, z) for c, s, a in table for f in (radius(a, z),)])
    return [Mesh(rows, wrap=True, layered=layered)]


def facetted(
    profile: Sequence[Flat], segments: int, *, twist: float = 0.5, start: float = 0.0, detail: int = 2
) -> Scene:
    """A turned body of few large triangles, each ring twisted half a segment against the last: the low-poly look."""
    facets: list[list[Point]] = []
    rings = [
        [
            (r * math.cos(a), r * math.sin(a), z)
            for k in range(segments)
            for a in (start + 2 * math.pi * (k + twist * i) / segments,)
        ]
        for i, (r, z) in enumerate(profile)
    ]
    for low, high in pairwise(rings):
        for k in range(segments):
            n = (k + 1) % segments
            facets += [[low[k], low[n], high[k]], [low[n], high[n], high[k]]]
    return [Mesh(facets=[p for f in facets for p in split(f, detail)], layered=False, cuts=detail)]


def split(triangle: list[Point], times: int) -> list[list[Point]]:
    """Cut a triangle into four, `times` times: small faces sort and shade well."""
    if times == 0:
        return [triangle]
    a, b, c = triangle
    ab, bc, ca = middle(a, b), middle(b, c), middle(c, a)
    return [p for t in ([a, ab, ca], [ab, b, bc], [ca, bc, c], [ab, bc, ca]) for p in split(t, times - 1)]


def middle(a: Point, b: Point) -> Point:
    """The point half way."""
    return ((a[0] + b[0]) / 2, (a[1] + b[1]) / 2, (a[2] + b[2]) / 2)


def solid(points: Sequence[Point], faces: Sequence[Sequence[int]], detail: int = 2) -> Scene:
    """A polyhedron of convex faces given by point numbers, anticlockwise seen from outside."""
    facets: list[list[Point]] = []
    for face in faces:
        for k in range(1, len(face) - 1):
            facets += split([points[face[0]], points[face[k]], points[face[k + 1]]], detail)
    return [Mesh(facets=facets, layered=False, cuts=detail)]


def circle(radius: float, count: int = 48, start: float = 0.0) -> Loop:
    """A loop round the origin; few points make a polygon."""
    return [
        (radius * math.cos(start + 2 * math.pi * k / count), radius * math.sin(start + 2 * math.pi * k / count))
        for k in range(count)
    ]


def rectangle(width: float, depth: float, corner: float = 3.0) -> Loop:
    """A loop with rounded corners round the origin."""
    loop: Loop = []
    for cx, cy, start in ((1, 1, 0), (-1, 1, 90), (-1, -1, 180), (1, -1, 270)):
        for k in range(5):
            a = math.radians(start + 22.5 * k)
            loop.append(
                (cx * (width / 2 - corner) + corner * math.cos(a), cy * (depth / 2 - corner) + corner * math.sin(a))
            )
    return loop


def close(loop: Sequence[Flat], step: float = 6.0) -> Loop:
    """The loop's points plus more on its long edges."""
    return resample([*loop, loop[0]], step)[:-1]


def offset(loop: Sequence[Flat], distance: float) -> Loop:
    """The anticlockwise loop moved outwards (inwards when negative) along its corners' bisectors."""
    moved: Loop = []
    count = len(loop)
    for i in range(count):
        (x0, y0), (x1, y1), (x2, y2) = loop[i - 1], loop[i], loop[(i + 1) % count]
        dx, dy = x2 - x0, y2 - y0
        length = math.hypot(dx, dy) or 1.0
        moved.append((x1 + dy / length * distance, y1 - dx / length * distance))
    return moved


def wall(loop: Sequence[Flat], low: float, high: float, *, inward: bool = False, step: float = LAYER / 2) -> Mesh:
    """The upright face over a loop, in half layers."""
    count = max(1, round((high - low) / step))
    line = list(reversed(loop)) if inward else list(loop)
    rows = [[(x, y, low + (high - low) * k / count) for x, y in line] for k in range(count + 1)]
    return Mesh(rows, wrap=True)


def plate(loop: Sequence[Flat], z: float, hole: Sequence[Flat] | None = None) -> Mesh:
    """The level face between a loop and its hole (same number of points), or its own middle."""
    cx, cy = sum(p[0] for p in loop) / len(loop), sum(p[1] for p in loop) / len(loop)
    inner = hole if hole is not None else [(cx + (x - cx) * 0.001, cy + (y - cy) * 0.001) for x, y in loop]
    gap = max(math.hypot(a[0] - b[0], a[1] - b[1]) for a, b in zip(loop, inner, strict=True))
    rings = max(1, round(gap / 4.5))
    rows = [
        [
            (ox + (ix - ox) * k / rings, oy + (iy - oy) * k / rings, z)
            for (ox, oy), (ix, iy) in zip(loop, inner, strict=True)
        ]
        for k in range(rings + 1)
    ]
    return Mesh(rows, wrap=True, layered=False)


def extrude(loop: Sequence[Flat], low: float, high: float, hole: Sequence[Flat] | None = None) -> Scene:
    """A prism over a star-shaped loop, or a ring when a hole with as many points is given; the top edge is eased."""
    outer = close(loop) if hole is None else list(loop)
    ease = min(0.8, (high - low) / 4)
    cx, cy = sum(p[0] for p in outer) / len(outer), sum(p[1] for p in outer) / len(outer)
    reach = max(math.hypot(x - cx, y - cy) for x, y in outer)
    shrink = 1 - ease / reach
    top = [(cx + (x - cx) * shrink, cy + (y - cy) * shrink) for x, y in outer]
    edge = Mesh([[(x, y, high - ease) for x, y in outer], [(x, y, high) for x, y in top]], wrap=True, layered=False)
    under = plate(outer, low, hole)
    under.rows.reverse()
    parts = [wall(outer, low, high - ease), edge, plate(top, high, hole), under]
    if hole is not None:
        parts.append(wall(hole, low, high, inward=True))
    return parts


def slab(outline: Sequence[Flat], width: float) -> Scene:
    """A side profile (y, z), concave allowed, stretched along x: brackets, stands, hooks."""
    line = resample([*outline, outline[0]], LAYER)
    pieces = max(2, round(width / 5))
    rows = [[(width / 2 - width * k / pieces, y, z) for k in range(pieces + 1)] for y, z in line]
    sides = [
        [(-width / 2, y, z) for y, z in reversed(outline)],
        [(width / 2, y, z) for y, z in outline],
    ]
    return [Mesh(rows), Mesh(facets=sides, layered=False)]


def box(width: float, depth: float, low: float, high: float, corner: float = 2.0) -> Scene:
    """A block with rounded upright edges."""
    return extrude(rectangle(width, depth, corner), low, high)


def tray(loop: Sequence[Flat], low: float, high: float, thickness: float = 2.4, floor: float = 2.4) -> Scene:
    """An open container over a star-shaped loop."""
    outer = close(loop)
    reach = max(math.hypot(x, y) for x, y in outer)
    factor = 1 - thickness / reach
    inner = [(x * factor, y * factor) for x, y in outer]
    return [
        wall(outer, low, high),
        plate(outer, high, inner),
        wall(inner, low + floor, high, inward=True),
        plate(inner, low + floor),
    ]


def tube(path: Sequence[Point], radius: float, *, closed: bool = False, sides: int = 20, layered: bool = True) -> Scene:
    """A round bar along a path; its cross-section is carried along without twisting and its open ends are capped."""
    count = len(path)
    last = count - 1
    ways = [
        unit(
            minus(
                path[(i + 1) % count] if closed else path[min(i + 1, last)],
                path[i - 1] if closed else path[max(i - 1, 0)],
            )
        )
        for i in range(count)
    ]
    u = unit(cross(ways[0], (0.0, 0.0, 1.0) if abs(ways[0][2]) < 0.9 else (1.0, 0.0, 0.0)))
    frames: list[Point] = []
    for way in [*ways, ways[0]] if closed else ways:
        along = u[0] * way[0] + u[1] * way[1] + u[2] * way[2]
        u = unit((u[0] - way[0] * along, u[1] - way[1] * along, u[2] - way[2] * along))
        frames.append(u)
    slip = 0.0
    if closed:
        first, end, side = frames[0], frames.pop(), cross(ways[0], frames[0])
        slip = math.atan2(
            sum(p * q for p, q in zip(end, side, strict=True)), sum(p * q for p, q in zip(end, first, strict=True))
        )
    rows: list[list[Point]] = []
    for i, ((px, py, pz), way, u) in enumerate(zip(path, ways, frames, strict=True)):
        v = cross(way, u)
        ring = []
        for k in range(sides):
            a = 2 * math.pi * k / sides - slip * i / count
            c, s = radius * math.cos(a), radius * math.sin(a)
            ring.append((px + u[0] * c + v[0] * s, py + u[1] * c + v[1] * s, pz + u[2] * c + v[2] * s))
        rows.append(ring)
    rows = [*rows, rows[0]] if closed else [[path[0]] * sides, *rows, [path[-1]] * sides]
    return [Mesh(rows, wrap=True, layered=layered)]


def ball(
    x: float, y: float, z: float, rx: float, ry: float | None = None, rz: float | None = None, *, segments: int = 56
) -> Scene:
    """An ellipsoid."""
    rz_, ry_ = rx if rz is None else rz, rx if ry is None else ry
    profile = [(math.sin(math.pi * k / 24), -math.cos(math.pi * k / 24)) for k in range(25)]
    step = LAYER / 2 / max(rx, ry_, rz_)
    return move(scale(lathe(profile, segments=segments, curved=False, step=step), rx, ry_, rz_), x, y, z)


def pebble(
    x: float,
    y: float,
    z: float,
    rx: float,
    ry: float | None = None,
    rz: float | None = None,
    *,
    segments: int = 9,
    detail: int = 1,
) -> Scene:
    """An ellipsoid of few facets."""
    rz_, ry_ = rx if rz is None else rz, rx if ry is None else ry
    profile = [(max(0.02, math.sin(math.pi * k / 6)), -math.cos(math.pi * k / 6)) for k in range(7)]
    return move(scale(facetted(profile, segments, detail=detail), rx, ry_, rz_), x, y, z)


def cone(base: Point, tip: Point, radius: float, *, sides: int = 24, blunt: float = 0.03) -> Scene:
    """A spike from base to tip."""
    steps = 5
    path = [
        (base[0] + (tip[0] - base[0]) * k / steps, base[1] + (tip[1] - base[1]) * k / steps,
         base[2] + (tip[2] - base[2]) * k / steps)
        for k in range(steps + 1)
    ]  # fmt: skip
    (bar,) = tube(path, 1.0, sides=sides, layered=False)
    rows = []
    for k, row in enumerate(bar.rows[1:-1]):
        r = radius * (1 - (1 - blunt) * k / steps)
        px, py, pz = path[k]
        rows.append([(px + (x - px) * r, py + (y - py) * r, pz + (z - pz) * r) for x, y, z in row])
    return [Mesh(rows, wrap=True, layered=False)]


def cross(a: Point, b: Point) -> Point:
    """Vector product."""
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


def minus(a: Point, b: Point) -> Point:
    """a - b."""
    return (a[0] - b[0], a[1] - b[1], a[2] - b[2])


def unit(a: Point) -> Point:
    """The same direction, length one."""
    length = math.sqrt(a[0] ** 2 + a[1] ** 2 + a[2] ** 2) or 1.0
    return (a[0] / length, a[1] / length, a[2] / length)
