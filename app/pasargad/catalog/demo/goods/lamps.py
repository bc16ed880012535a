"""Lamps and lights."""

from __future__ import annotations

import math

from ..mesh import Point, Scene, ball, box, circle, extrude, lathe, move, paint, tube

CRATERS = (
    (0.5, -0.75, 0.42, 0.30),
    (-0.45, -0.86, 0.10, 0.22),
    (0.1, -0.86, -0.45, 0.26),
    (0.82, -0.55, -0.05, 0.17),
    (-0.2, -0.72, 0.66, 0.20),
    (0.42, -0.85, -0.22, 0.12),
    (-0.66, -0.58, -0.42, 0.24),
    (0.12, -0.98, 0.16, 0.13),
    (0.75, -0.35, 0.55, 0.18),
    (0.62, -0.55, -0.56, 0.2),
)


def moon_lamp() -> Scene:
    """A cratered moon on a three-legged stand."""
    (sphere,) = ball(0, 0, 0, 56, segments=132)

    def dent(at: Point) -> Point:
        p = (at[0] / 56, at[1] / 56, at[2] / 56)
        f = 1 + 0.010 * math.sin(7 * p[0] + 3 * p[2]) * math.sin(5 * p[1] - 4 * p[2])
        for x, y, z, size in CRATERS:
            d = math.dist(p, (x, y, z)) / size
            f += -0.045 * math.exp(-((d / 0.75) ** 4)) + 0.028 * math.exp(-(((d - 1.0) / 0.20) ** 2))
        return (p[0] * f * 56, p[1] * f * 56, p[2] * f * 56 + 70)

    moon = paint("glow", [sphere.map(dent)])
    ring = [(34 * math.cos(k * math.pi / 36), 34 * math.sin(k * math.pi / 36), 24.0) for k in range(72)]
    legs: Scene = tube(ring, 3.4, closed=True)
    for k in range(3):
        a = math.radians(120 * k + 30)
        legs += tube([(r * math.cos(a), r * math.sin(a), z) for r, z in ((30, 26), (36, 16), (44, 2))], 3.6)
    return [*paint("main", legs), *moon]


def lantern() -> Scene:
    """Crossing helices round a warm light: the long night of Yalda."""
    scene: Scene = paint("glow", move(lathe([(24, 0), (33, 20), (36, 60), (31, 100), (22, 122)], segments=72), z=8))

    def radius(z: float) -> float:
        return 30 + 14 * math.sin(math.pi * min(1.0, (z + 12) / 150)) ** 0.8

    for way in (1, -1):
        for k in range(10):
            path = []
            for i in range(41):
                z = 8 + 122 * i / 40
                a = 2 * math.pi * k / 10 + way * z * 0.020
                path.append((radius(z) * math.cos(a), radius(z) * math.sin(a), z))
            scene += paint("main", tube(path, 2.3, sides=10))
    scene += paint("main", extrude(circle(36, 60), 0, 9))
    scene += paint("main", lathe([(33, 128), (34, 136), (26, 146), (9, 152), (6, 158), (0.1, 159)], segments=72))
    handle = [(8 * math.cos(math.pi * k / 16), 0.0, 151 + 20 * math.sin(math.pi * k / 16)) for k in range(17)]
    return scene + paint("main", tube(handle, 1.9, sides=12))


def pleated_lamp() -> Scene:
    """A table lamp with a pleated shade."""
    foot = lathe([(34, 0), (34, 5), (31, 8), (10, 12), (7, 18), (7, 62)], curved=False, segments=72)
    profile = [(56, 58), (50, 84), (38, 122), (36.5, 122), (47, 88), (54, 60)]

    def pleats(a: float, _z: float) -> float:
        return 1 + 0.045 * (2 / math.pi) * math.asin(math.sin(36 * a))

    shade = lathe(profile, segments=144, radius=pleats, curved=False)
    return [*paint("main", foot), *paint("glow", shade)]


def spiral_lamp() -> Scene:
    """Sixteen twisting fins on a walnut foot."""
    foot = extrude(circle(33, 64), 0, 14)

    def fins(a: float, z: float) -> float:
        return 1 + 0.13 * math.cos(8 * a + z * 0.05)

    body = lathe([(30, 14), (40, 40), (42, 74), (33, 112), (20, 140), (0.5, 152)], segments=160, radius=fins)
    return [*paint("main", foot), *paint("glow", body)]


def tulip_light() -> Scene:
    """Two tulips whose flowers glow."""
    scene: Scene = paint("main", extrude(circle(38, 64), 0, 10))
    for x, lean, tall in ((-12, -16.0, 96.0), (12, 20.0, 74.0)):
        path = [(x + lean * (k / 14) ** 2, 0.0, 8 + tall * k / 14) for k in range(15)]
        scene += paint("main", tube(path, 3.0, sides=14))
        tx, _, tz = path[-1]
        bloom = lathe([(4, 0), (17, 8), (22, 22), (19, 38), (15, 46), (13, 45), (17, 30)], segments=90,
                      radius=lambda a, z: 1 + 0.10 * (z / 46) * math.cos(6 * a))  # fmt: skip
        scene += paint("glow", move(bloom, tx, 0, tz - 4))
        leaf = ball(0, 0, 0, 5.5, 2.0, 27, segments=28)
        scene += paint("main", move(leaf, x * 2.2, -4, 34))
    return scene


def cloud_light() -> Scene:
    """A night light in the shape of a small cloud."""
    scene: Scene = []
    for x, y, z, r in (
        (0, 0, 44, 34),
        (-34, 0, 34, 25),
        (36, 0, 33, 24),
        (17, -7, 30, 25),
        (-16, -8, 28, 24),
        (58, 0, 24, 14),
    ):
        scene += ball(x, y, z, r, r * 0.8, r, segments=72)
    foot = move(box(84, 34, 0, 9, 8), x=4)
    return [*paint("glow", [m.map(lambda p: (p[0], p[1], max(p[2], 8.0))) for m in scene]), *paint("main", foot)]
