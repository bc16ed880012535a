"""Kitchen and home."""

from __future__ import annotations

import math

from ..mesh import (
    Loop,
    Scene,
    ball,
    box,
    circle,
    close,
    extrude,
    lathe,
    move,
    offset,
    paint,
    plate,
    rectangle,
    smooth,
    tray,
    tube,
    turn,
    wall,
)
from .props import book, egg, rosette, soil


def honeycomb_shelf() -> Scene:
    """Seven cells that click together on a wall, with small things in them."""
    scene: Scene = []
    cells = [
        (0, 0, "main"),
        (1, 0, "main"),
        (2, 0, "main"),
        (0.5, 1, "accent"),
        (1.5, 1, "main"),
        (0, 2, "main"),
        (1, 2, "main"),
    ]
    for cx, cz, part in cells:
        loop = circle(40, 6, math.pi / 6)
        outer = close(loop, 5)
        inner = [(x * 0.9, y * 0.9) for x, y in outer]
        cell = turn(extrude(outer, 0, 46, hole=inner), 90, "x")
        scene += paint(part, move(cell, (cx - 1) * 70, 0, cz * 60.6 + 40))
    pot = lathe([(10, 0), (13, 20), (11, 20), (10, 14)], curved=False, segments=48)
    scene += move([*paint("second", pot), *soil(15, 10), *rosette(16, 17, leaves=7, rings=3)], 0, -24, 7)
    scene += move(book(-8, 9, 30, 44, "berry") + book(2, 8, 30, 38, "screen") + book(11, 7, 30, 42, "egg"), 70, -22, 8)
    return scene + move(paint("plant", ball(0, 0, 13, 13, segments=48)), 35, -24, 68)


def wall_hooks() -> Scene:
    """Five hooks shaped as cypress leaves on a rail."""
    scene: Scene = paint("main", turn(extrude(rectangle(190, 34, 10), 0, 8), 90, "x"))
    for k in range(5):
        x = -72 + 36 * k
        hook = [(-6, 2), (-16, -3), (-26, -5), (-33, -1), (-36, 7), (-36, 16)]
        scene += paint("accent", tube([(x, y, z) for y, z in smooth(hook, 4)], 4.6))
        scene += paint("accent", ball(x, -36, 18, 6.6, segments=36))
        scene += paint("accent", move(turn(extrude(circle(10, 40), 0, 3), 90, "x"), x, -7.8, 2))
    return move(scene, z=34)


def star(points: int, outer: float, inner: float) -> Loop:
    """A star standing on no point in particular."""
    return [
        ((outer if k % 2 == 0 else inner) * math.cos(math.pi * k / points + math.pi / 2),
         (outer if k % 2 == 0 else inner) * math.sin(math.pi * k / points + math.pi / 2))
        for k in range(2 * points)
    ]  # fmt: skip


def coasters() -> Scene:
    """A stack of coasters with a ten-pointed star, one leaning on it."""

    def coaster(part: str) -> Scene:
        rim = circle(47, 120)
        disc = paint(part, [*extrude(rim, 0, 4, hole=circle(42.5, 120)), plate(circle(43, 96), 2.2)])
        for reach, depth, width in ((41.5, 25, 2.6), (27, 14, 2.4)):
            loop = close(star(10, reach, depth), 2.5)
            disc += paint("accent", extrude(offset(loop, width / 2), 2.2, 4, hole=offset(loop, -width / 2)))
        return disc + paint("accent", move(extrude(circle(6, 10), 2.2, 4), 0, 0, 0))

    scene: Scene = []
    for k in range(4):
        scene += move(turn(coaster(("main", "second", "main", "second")[k]), 11 * k), 1.2 * (k % 2), 0, 4.4 * k)
    leaning = turn(turn(coaster("main"), 9), 62, "x")
    return move(scene, -14, 22) + move(leaning, 26, -38, 42)


def egg_cups() -> Scene:
    """Four cups like small tulips, with eggs."""
    scene: Scene = []
    for k, (x, y) in enumerate(((-36, 4), (4, -34), (42, 0), (2, 36))):
        profile = [(17, 0), (18, 2), (13, 5), (7, 12), (9, 18), (19, 26), (22.5, 38), (20.6, 38.4), (17, 28)]
        cup = lathe(profile, segments=108, radius=lambda a, z: 1 + 0.035 * min(1, z / 30) * math.cos(9 * a))
        scene += paint(("main", "accent", "second", "main")[k], move(cup, x, y)) + egg(x, y, 22, 18.5)
    return scene


def soap_dish() -> Scene:
    """A dish of waves that lets a bar of soap dry."""
    scene: Scene = paint("main", tray(rectangle(128, 88, 22), 0, 17, 4, 4))
    for k in range(9):
        x = -48 + 12 * k
        scene += paint("main", move(box(4.4, 70, 4, 13 + 2.2 * math.cos(k * 0.78), 1.5), x))
    soap = [m.map(lambda p: (p[0] * (1 - ((p[2] - 9) / 40) ** 2), p[1] * (1 - ((p[2] - 9) / 40) ** 2), p[2]))
            for m in extrude(rectangle(82, 52, 18), 0, 21)]  # fmt: skip
    for mesh in soap:
        mesh.layered = False
    return scene + paint("soap", move(turn(soap, 9), 2, 0, 15))


def cutter(loop: Loop, part: str) -> Scene:
    """A blade over a loop with a broad grip on top."""
    line = close(loop, 2.5)
    blade = [
        wall(offset(line, 0.9), 0, 13),
        wall(offset(line, -0.9), 0, 13, inward=True),
        plate(offset(line, 0.9), 13, offset(line, -0.9)),
    ]
    grip = extrude(offset(line, 3.6), 13, 17, hole=offset(line, -0.9))
    return paint(part, [*blade, *grip])


def heart_height(t: float) -> float:
    return 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)


def cookie_cutters() -> Scene:
    """Star, heart, flower and house."""
    angles = [-2 * math.pi * k / 60 for k in range(60)]
    heart = [(28 * math.sin(t) ** 3, 1.75 * heart_height(t)) for t in angles]
    star_loop = star(5, 34, 17)
    flower = [((25 + 6 * math.cos(6 * a)) * math.cos(a), (25 + 6 * math.cos(6 * a)) * math.sin(a))
              for a in (2 * math.pi * k / 96 for k in range(96))]  # fmt: skip
    house = [(-20.0, -24.0), (20.0, -24.0), (20.0, 6.0), (0.0, 28.0), (-20.0, 6.0)]
    scene = move(cutter(star_loop, "main"), -38, 28) + move(cutter(heart, "accent"), 38, 30)
    return scene + move(cutter(flower, "second"), -36, -42) + move(turn(cutter(house, "main"), -12), 36, -42)
