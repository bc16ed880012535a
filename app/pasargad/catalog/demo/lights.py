"""The lights of the studio: a sun and a sky, and what of them reaches a place between the goods."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from itertools import pairwise
from operator import itemgetter

from PIL import Image, ImageDraw

from .mesh import Mesh, Point, Scene, cross, unit

SUN = unit((-0.62, -0.50, 0.86))
SKY = [unit(p) for p in ((0.80, -0.45, 0.65), (-0.55, -0.75, 0.60), (-0.15, 0.75, 0.80))]
MAP_SIZE = 324
MARGIN = 14  # cells round the goods
REACH = 5  # how far a look goes round its place

Veil = tuple[float, float]  # how much sun and how much sky a place sees
Lit = tuple[float, float, float, float, float]  # a normal, how bright sun and sky make its face, how much of it is sun


class Blockers:
    """The meshes with fewer faces, good enough to throw a shadow: points, and faces as numbers of points."""

    def __init__(self, meshes: Iterable[Mesh], size: float) -> None:
        """Leave out rows and columns that are closer to each other than `size`."""
        self.points: list[Point] = []
        self.faces: list[tuple[int, ...]] = []
        for mesh in meshes:
            for facet in mesh.uncut():
                self.faces.append(tuple(range(len(self.points), len(self.points) + len(facet))))
                self.points += facet
            if len(mesh.rows) > 1:
                self._add_grid(mesh, size)

    def _add_grid(self, mesh: Mesh, size: float) -> None:
        last, count = len(mesh.rows) - 1, len(mesh.rows[0])
        column, row = [row[count // 3] for row in mesh.rows], max(mesh.rows[:: max(1, last // 6)], key=length)
        down = sorted({*range(0, last, stride(column, size, 3)), last})
        across = [*range(0, count, stride(row, size, 12))]
        if not mesh.wrap and across[-1] != count - 1:
            across.append(count - 1)
        steps = [*pairwise(range(len(across))), *([(len(across) - 1, 0)] if mesh.wrap else [])]
        start = len(self.points)
        for number in down:
            points = mesh.rows[number]
            self.points += [points[k] for k in across]
        for low in range(start, len(self.points) - len(across), len(across)):
            high = low + len(across)
            self.faces += [(low + c, low + d, high + d, high + c) for c, d in steps]


def length(line: list[Point]) -> float:
    return sum(map(math.dist, line, line[1:]))


def stride(line: list[Point], size: float, fewest: int) -> int:
    """How many points to go on at a time so that steps are about as long as `size`, and not fewer than `fewest`."""
    steps = len(line) - 1
    return max(1, min(round(size * steps / (length(line) or 1.0)), steps // fewest))


class DepthMap:
    """What a far light sees first: for each cell the reach (along the light) of the nearest face."""

    def __init__(self, blockers: Blockers, light: Point) -> None:
        self.light = light
        self.u = unit(cross(light, (0.0, 1.0, 0.02)))
        self.v = cross(light, self.u)
        (ux, uy, uz), (vx, vy, vz), (wx, wy, wz) = self.u, self.v, light
        flat = [
            (x * ux + y * uy + z * uz, x * vx + y * vy + z * vz, x * wx + y * wy + z * wz)
            for x, y, z in blockers.points
        ]
        (x0, y0, _), (x1, y1, _) = corners(flat)
        self.k = (MAP_SIZE - 2 * MARGIN) / max(x1 - x0, y1 - y0, 1.0)
        self.ox, self.oy = MARGIN - x0 * self.k, MARGIN - y0 * self.k
        k, ox, oy = self.k, self.ox, self.oy
        places = [(x * k + ox, y * k + oy) for x, y, _ in flat]
        reaches = [p[2] for p in flat]
        shapes = [(sum([reaches[i] for i in face]) / len(face), face) for face in blockers.faces]
        shapes.sort(key=itemgetter(0))
        image = Image.new("F", (MAP_SIZE, MAP_SIZE), -1e9)
        draw = ImageDraw.Draw(image)
        for reach, face in shapes:
            draw.polygon([places[i] for i in face], fill=reach)
        self.cells = array("f", image.tobytes())

    def open(self, p: Point, bias: float, taps: tuple[int, ...]) -> float:
        """How much of the light reaches the point, from 0 to 1."""
        (x, y, z), (ux, uy, uz), (vx, vy, vz), (wx, wy, wz) = p, self.u, self.v, self.light
        i = int((x * ux + y * uy + z * uz) * self.k + self.ox)
        j = int((x * vx + y * vy + z * vz) * self.k + self.oy)
        if not (REACH <= i < MAP_SIZE - REACH and REACH <= j < MAP_SIZE - REACH):
            return 1.0
        cells, place, reach = self.cells, j * MAP_SIZE + i, x * wx + y * wy + z * wz + bias
        return sum([cells[place + tap] < reach for tap in taps]) / len(taps)


def taps(*ways: tuple[int, int]) -> tuple[int, ...]:
    """Neighbours of a cell as distances in the list of all cells."""
    return tuple(j * MAP_SIZE + i for i, j in ways)


SUN_TAPS = taps((-2, -1), (2, 1), (-1, 3), (1, -3), (0, 0), (-4, 3), (4, -3))
SKY_TAPS = taps((-3, -2), (3, 2), (-2, 3), (2, -3), (0, 0))


class Lighting:
    """The sun and the sky with their depth maps."""

    def __init__(self, scene: Scene, patience: int) -> None:
        self.patience = patience
        low, high = corners(
            p for mesh in scene for group in (mesh.rows, mesh.facets) for row in group[::2] for p in row
        )
        spread = max(high[k] - low[k] for k in range(3))
        self.bias = spread * 0.028
        # Only the sun's own shadows have edges; the sky's and those on the paper are soft.
        self.grain = spread / 18 / patience
        self.blockers = Blockers(scene, self.grain)
        self.table = corners(self.blockers.points)[0][2]
        ankle, points = self.table + spread * 0.07, self.blockers.points
        self.feet = [face for face in self.blockers.faces if min([points[i][2] for i in face]) < ankle]
        self.sun = DepthMap(Blockers(scene, spread / 28 / patience), SUN)
        self.sky = [DepthMap(self.blockers, way) for way in SKY]

    def veil(self, at: Point, normal: Point) -> Veil:
        """The share of the sun and of the sky that reaches a place, looked up a little above the face."""
        lift = self.bias
        p = (at[0] + normal[0] * lift, at[1] + normal[1] * lift, at[2] + normal[2] * lift)
        w = self.sun.light
        facing_sun = normal[0] * w[0] + normal[1] * w[1] + normal[2] * w[2] > -0.05
        lit = self.sun.open(p, lift * 0.6, SUN_TAPS) if facing_sun else 0.0
        seen = total = 0.0
        for place in self.sky:
            w = place.light
            amount = normal[0] * w[0] + normal[1] * w[1] + normal[2] * w[2] + 0.30
            if amount > 0:
                total += amount
                seen += amount * place.open(p, lift * 0.6, SKY_TAPS)
        return lit, (seen / total if total else 0.35)

    def fall(self, normal: Point, veil: Veil) -> Lit:
        """How bright a face is, from wherever one looks at it."""
        (nx, ny, nz), (lit, sky), (sx, sy, sz) = normal, veil, self.sun.light
        direct = nx * sx + ny * sy + nz * sz
        sun = 0.60 * direct * lit if direct > 0 else 0.0
        return nx, ny, nz, sun + 0.46 * sky * (0.62 + 0.38 * nz) + 0.10 - 0.05 * nz, lit


def corners(points: Iterable[Point]) -> tuple[Point, Point]:
    """The lowest and the highest of each coordinate."""
    xs, ys, zs = zip(*points, strict=True)
    return (min(xs), min(ys), min(zs)), (max(xs), max(ys), max(zs))
