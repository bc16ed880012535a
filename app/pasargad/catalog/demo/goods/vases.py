"""Vases and planters."""

from __future__ import annotations

import math

from ..mesh import Scene, circle, facetted, lathe, move, paint, tray
from .props import blades, rosette, soil, twig


def ridge_vase() -> Scene:
    """Fourteen ridges that lean as they rise."""
    profile = [(27, 0), (37, 14), (43, 42), (34, 80), (25, 104), (30, 126), (28, 126.5), (23, 104), (30, 78)]
    return lathe(profile, segments=154, radius=lambda a, z: 1 + 0.055 * math.cos(14 * a + z * 0.055))


def spiral_vase() -> Scene:
    """A square that twists a quarter turn on its way up."""

    def square(a: float, z: float) -> float:
        t = a + z * 0.020
        return 1 / (abs(math.cos(t)) ** 6 + abs(math.sin(t)) ** 6) ** (1 / 6)

    profile = [(30, 0), (31, 4), (31, 60), (27, 110), (29, 150), (27, 150.5), (25, 108), (27, 80)]
    return lathe(profile, segments=136, radius=square)


def facet_planter() -> Scene:
    """A low-poly pot with a succulent."""
    pot = facetted([(30, 0), (46, 26), (48, 44), (40, 62)], 9)
    rim = facetted([(40, 62), (36.5, 62), (35, 52)], 9, twist=0.0, start=math.pi * 3 / 9)
    return [*pot, *rim, *soil(54, 36), *rosette(57, 40)]


def column_vase() -> Scene:
    """A fluted column with base and capital, as at Persepolis."""

    def flutes(a: float, z: float) -> float:
        inside = min(1.0, max(0.0, min((z - 18) / 6, (126 - z) / 6)))
        return 1 - 0.07 * inside * abs(math.cos(10 * a)) ** 3

    profile = [(36, 0), (36, 6), (33, 9), (34, 12), (34, 14), (28, 18), (26, 72), (24.5, 126), (26, 129), (31, 134),
               (33, 140), (33, 146), (30, 146.5), (23, 132), (22, 110)]  # fmt: skip
    return lathe(profile, segments=140, radius=flutes, curved=False)


def bud_vases() -> Scene:
    """Three small bottles with dried stems."""
    bottle = [(16, 0), (21, 8), (22, 24), (12, 44), (7, 56), (8, 68), (9.5, 70), (7.5, 70.4), (5, 60)]
    gourd = [(14, 0), (24, 12), (24, 24), (13, 36), (8, 44), (9, 48), (7, 48.4), (5, 42)]
    tall = [(13, 0), (17, 10), (16, 50), (8, 82), (7, 96), (8.5, 98), (6.5, 98.4), (5, 90)]
    scene = paint("main", move(lathe(bottle, segments=72), x=-6, y=-26))
    scene += paint("second", move(lathe(gourd, segments=72), x=38, y=-8))
    scene += paint("third", move(lathe(tall, segments=72), x=-40, y=10))
    scene += twig(-6, -26, 60, (6, 0), 62) + twig(38, -8, 42, (14, -4), 46, 6) + twig(-40, 10, 88, (-14, 4), 60)
    return scene


def wave_planter() -> Scene:
    """A wide bowl whose rim runs in waves, with upright leaves."""
    profile = [(26, 0), (38, 10), (48, 30), (52, 54), (49.5, 54.5), (45, 32), (41, 20)]
    bowl = lathe(profile, segments=144, radius=lambda a, z: 1 + 0.085 * (z / 54) ** 1.5 * math.cos(9 * a))
    saucer = paint("accent", tray(circle(44, 72), -6, 2, floor=3))
    return [*saucer, *bowl, *soil(44, 44), *blades(44, 96, 40, 11)]
