"""Animals and sculptures."""

from __future__ import annotations

import math

from ..mesh import Mesh, Point, Scene, ball, cone, facetted, lathe, move, paint, pebble, scale, solid, tube, turn


def wedge(base: Point, tip: Point, width: float, thick: float) -> Scene:
    """A flat three-sided spike: an ear, a beak, a fin."""
    bx, by, bz = base
    ring = [
        (bx - width, by - thick, bz),
        (bx + width, by - thick, bz),
        (bx + width, by + thick, bz),
        (bx - width, by + thick, bz),
    ]
    return solid([*ring, tip], [(0, 1, 4), (1, 2, 4), (2, 3, 4), (3, 0, 4), (3, 2, 1, 0)], 2)


def eyes(x: float, y: float, z: float, size: float) -> Scene:
    """Two dark beads."""
    return paint("dark", ball(-x, y, z, size, segments=20) + ball(x, y, z, size, segments=20))


def fox() -> Scene:
    """A sitting fox of large facets."""
    scene = paint("main", facetted([(0.5, 0), (27, 0.2), (31, 14), (27, 34), (18, 56), (12, 70)], 8))
    scene += paint(
        "accent",
        move(scale(facetted([(0.5, 0), (15, 1), (17, 20), (11, 42), (5, 56)], 7, detail=3), 1, 0.7, 1), 0, -22, 3),
    )
    head = solid(
        [(-26, -2, 14), (26, -2, 14), (0, -40, 2), (0, 24, 16), (-15, -6, 34), (15, -6, 34), (0, 10, -4), (0, -24, 22)],
        [(4, 7, 5), (0, 7, 4), (7, 1, 5), (4, 5, 3), (0, 4, 3), (5, 1, 3), (6, 0, 3), (1, 6, 3), (7, 2, 1), (0, 2, 7)],
        2,
    )
    scene += paint("main", move(head, 0, 2, 70))
    jaw = solid(
        [(-26, -2, 14), (26, -2, 14), (0, -40, 2), (0, 10, -4), (0, -8, -5)],
        [(0, 4, 2), (4, 1, 2), (0, 3, 4), (3, 1, 4)],
        2,
    )
    scene += paint("accent", move(jaw, 0, 2, 70)) + paint("dark", pebble(0, -38.5, 73, 4, 3.4, 3.2))
    for side in (-1, 1):
        scene += paint("main", move(wedge((13 * side, 4, 0), (20 * side, 6, 30), 9, 5), 0, 0, 98))
        scene += paint("dark", ball(11 * side, -16.5, 90.5, 2.6, segments=16))
        scene += paint("dark", move(scale(pebble(0, 0, 0, 9, 12, 6), 1), 12 * side, -26, 5))
    tail = [(30 + 26 * math.sin(t * 1.5), 16 - 34 * t, 11 + 3 * math.sin(3 * t)) for t in (k / 7 for k in range(8))]
    sizes = [7, 11, 14, 15.5, 15, 12.5, 9, 4]
    for k, ((x, y, z), size) in enumerate(zip(tail, sizes, strict=True)):
        scene += paint(
            "accent" if k > 4 else "main", pebble(x, y, max(z, size * 0.85), size, size, size * 0.9, segments=8)
        )
    return scene


def owl() -> Scene:
    """A round owl with ringed eyes."""
    body = [(22, 0), (34, 12), (38, 36), (34, 62), (31, 78), (28, 96), (15, 108), (0.3, 111)]
    scene = paint("main", scale(lathe(body, segments=88), 1, 0.88, 1))
    belly = scale(lathe([(4, 0), (20, 12), (24, 34), (16, 54), (2, 62)], segments=64), 1, 0.42, 1)
    scene += paint("accent", move(belly, 0, -21, 8))
    for side in (-1, 1):
        disc = turn(lathe([(16.6, 0), (15, 2.6), (8, 4.6), (0.3, 5)], segments=60, step=0.7), 90, "x")
        scene += paint("accent", move(turn(disc, 14 * side), 12.6 * side, -27.5, 84))
        scene += paint("second", move(scale(ball(0, 0, 0, 8, segments=40), 1, 0.6, 1), 13.4 * side, -31.5, 84))
        scene += paint("dark", ball(13.9 * side, -34.6, 84, 4.4, segments=28))
        scene += paint("main", cone((17 * side, -8, 98), (25 * side, -12, 122), 9, sides=20))
        wing = ball(0, 0, 0, 9, 23, 32, segments=60)
        scene += paint("main", move(turn(wing, 12 * side, "y"), 33 * side, -1, 44))
        scene += paint("second", pebble(12 * side, -30, 4, 8, 9, 4))
    return scene + paint("second", wedge_beak(0, -32, 76))


def wedge_beak(x: float, y: float, z: float) -> Scene:
    """A beak that points down."""
    return solid(
        [(x - 5, y, z + 5), (x + 5, y, z + 5), (x, y - 7, z + 2), (x, y - 4, z - 10)],
        [(0, 2, 1), (0, 3, 2), (2, 3, 1)],
        1,
    )


def penguin() -> Scene:
    """A penguin family of two."""

    def one(size: float) -> Scene:
        body = scale(
            lathe([(20, 0), (30, 8), (34, 32), (28, 60), (22, 76), (21, 88), (13, 100), (0.3, 104)], segments=80),
            1,
            0.9,
            1,
        )
        scene = paint("main", body)
        front = scale(
            lathe([(6, 0), (21, 10), (25, 30), (19, 54), (13, 68), (12, 82), (2, 90)], segments=64), 1, 0.5, 1
        )
        scene += paint("accent", move(front, 0, -18.5, 4)) + eyes(8, -21.6, 86, 2.9)
        scene += paint("second", cone((0, -19, 80), (0, -36, 76), 5.4, sides=16))
        for side in (-1, 1):
            flipper = turn(ball(0, 0, 0, 4.5, 11, 28, segments=40), -20 * side, "y")
            scene += paint("main", move(flipper, 36 * side, 0, 46))
            scene += paint("second", move(ball(0, 0, 0, 11, 15, 4, segments=32), 13 * side, -17, 4))
        return scale(scene, size)

    return move(one(1.0), -20, 10) + move(turn(one(0.58), 14), 42, -18)


def whale() -> Scene:
    """A whale with its tail in the air."""

    def skin(first: float, last: float, count: int) -> Mesh:
        rows = []
        for k in range(81):
            t = k / 80
            radius = 35 * max(0.02, math.sin(math.pi * min(1.0, t * 0.98 + 0.02)) ** 0.6) * (1 - 0.72 * t**1.4)
            x, lift = 112 * t - 60, 33 + 40 * max(0.0, t - 0.5) ** 1.7 * 3
            angles = (math.radians(first + (last - first) * j / count) for j in range(count + 1))
            rows.append([(x, radius * math.cos(a), lift + radius * 0.92 * math.sin(a)) for a in angles])
        return Mesh(rows)

    scene = paint("main", [skin(-28, 208, 64)]) + paint("accent", [skin(208, 332, 36)])
    for side in (-1, 1):
        fluke = turn(turn(ball(15, 0, 0, 19, 8, 2.8, segments=40), 42 * side), -24, "y")
        scene += paint("main", move(fluke, 47, 0, 72))
        fin = turn(turn(ball(6, 0, 0, 19, 8, 2.8, segments=40), 34 * side), 14, "y")
        scene += paint("main", move(fin, -16, 31 * side, 17))
        scene += paint("dark", ball(-39, 25.8 * side, 34, 2.9, segments=18))
    return scene


def hedgehog() -> Scene:
    """A hedgehog whose spines hold cards or toothpicks."""
    scene = paint("accent", ball(0, 0, 0, 34, 44, 29, segments=64))
    scene = move(scene, z=28)
    scene += paint("accent", cone((0, -34, 24), (0, -66, 18), 17, sides=40, blunt=0.16)) + paint(
        "dark", ball(0, -66, 18.5, 5, segments=24)
    )
    scene += eyes(9.5, -48, 31, 3.0)
    for side in (-1, 1):
        scene += paint("accent", move(ball(0, 0, 0, 7, 3, 7, segments=24), 17 * side, -32, 45))
        for y in (-20, 20):
            scene += paint("accent", move(ball(0, 0, 0, 7, 9, 5, segments=24), 18 * side, y - 4, 4.5))
    count = 130
    for k in range(count):
        v = 1 - (k + 0.5) / count * 1.12
        a = 2.399963 * k
        r = math.sqrt(max(0.0, 1 - v * v))
        x, y, z = r * math.cos(a), r * math.sin(a), v
        if y < -0.62 - 0.25 * z or z < -0.10:
            continue
        base = (33 * x, 42 * y + 2, 28 * z + 28)
        tip = (33 * x + 15 * x, 42 * y + 2 + 13 * y + 9, 28 * z + 28 + 15 * z + 2)
        scene += paint("main", cone(base, tip, 4.6, sides=8))
    return scene


def knot() -> Scene:
    """A trefoil knot on a plinth."""
    path = []
    for k in range(180):
        t = 2 * math.pi * k / 180
        path.append(
            (
                20 * (math.sin(t) + 2 * math.sin(2 * t)),
                20 * -math.sin(3 * t) * 0.85,
                20 * (math.cos(t) - 2 * math.cos(2 * t)) + 92,
            )
        )
    scene = paint("main", tube(path, 11, closed=True, sides=40))
    return scene + paint("accent", lathe([(34, 0), (34, 14), (32, 16), (8, 17), (8, 34)], curved=False, segments=64))


def bunny() -> Scene:
    """A facetted rabbit with one ear down."""
    scene = paint(
        "main", pebble(0, 8, 30, 30, 36, 30, segments=10, detail=2) + pebble(0, -14, 68, 21, 22, 20, segments=9)
    )
    scene += paint("accent", pebble(0, 45, 24, 11, 11, 11, segments=8)) + eyes(12.5, -30, 72, 3.2)
    scene += paint("second", pebble(0, -36, 65, 3.6, 2.8, 2.8, segments=6))
    scene += paint("main", move(turn(pebble(0, 0, 26, 7.5, 5, 29, segments=7), 8, "y"), -9, -8, 80))
    scene += paint("main", move(turn(pebble(0, 0, 26, 7.5, 5, 29, segments=7), 48, "y"), 9, -8, 80))
    for side in (-1, 1):
        scene += paint(
            "main", pebble(19 * side, -18, 7, 9, 18, 7, segments=8) + pebble(26 * side, 18, 22, 13, 20, 20, segments=8)
        )
    return scene
