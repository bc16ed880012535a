"""Order on the desk."""

from __future__ import annotations

import math

from ..mesh import (
    Scene,
    box,
    circle,
    extrude,
    move,
    paint,
    rectangle,
    slab,
    tray,
    tube,
    turn,
)
from .props import book, pencil, phone


def phone_stand() -> Scene:
    """One bent band that holds a telephone at 65 degrees."""
    outline = [(-38, 0), (44, 0), (46, 4), (44, 7), (20, 7), (42, 78), (39, 82), (34, 81), (10, 7), (-24, 7), (-27, 16),
               (-31, 17), (-36, 15)]  # fmt: skip
    device = turn(phone(62, 126), 71, "x")
    return [*paint("main", slab(outline, 58)), *move(device, 0, 26.0, 67)]


def cable_clips() -> Scene:
    """Five clips on a rail, each with a cable."""
    scene: Scene = paint("main", box(124, 30, 0, 5, 6))
    for k in range(5):
        x = -48 + 24 * k
        arc = [math.radians(118 + 304 * i / 28) for i in range(29)]
        outline = [(9.4 * math.cos(a), 13 + 9.4 * math.sin(a)) for a in arc]
        outline += [(6.2 * math.cos(a), 13 + 6.2 * math.sin(a)) for a in reversed(arc)]
        scene += paint("accent" if k % 2 else "main", move(slab_y(outline, 22), x))
        if k != 3:
            sway = 6 * math.sin(k * 1.7)
            path = [
                (x + sway * (abs(t) / 14) ** 2 * (1 if t > 0 else -0.6), 5.0 * t, max(5.2, 13 - (abs(t) / 14) ** 2 * 9))
                for t in range(-14, 15)
            ]
            scene += paint("cable", tube(path, 4.6, sides=14, layered=False))
    return scene


def slab_y(outline: list[tuple[float, float]], width: float) -> Scene:
    """A profile in (x, z) stretched along y."""
    return turn(slab(outline, width), 90)


def headphone_stand() -> Scene:
    """An arch on a heavy foot, with headphones."""
    scene: Scene = paint("main", extrude(rectangle(96, 84, 18), 0, 10))
    post = [(0.0, 0.0, z) for z in range(8, 175, 4)]
    scene += paint("main", tube(post, 8.5, sides=28))
    saddle = [(42 * math.cos(math.radians(a)), 0.0, 146 + 42 * math.sin(math.radians(a))) for a in range(30, 151, 6)]
    scene += paint("main", tube(saddle, 11, sides=24))
    band = [(56 * math.cos(math.radians(a)), 0.0, 141 + 66 * math.sin(math.radians(a))) for a in range(-25, 206, 7)]
    scene += paint("device", tube(band, 5.5, sides=16, layered=False))
    for side in (-1, 1):
        cup = turn(extrude(circle(30, 48), 0, 17), 90 * side, "y")
        scene += paint("device", _plain(move(cup, 38 * side, 0, 104)))
        pad = turn(extrude(circle(27, 48), 0, 8), 90 * side, "y")
        scene += paint("pad", _plain(move(pad, 31 * side, 0, 104)))
    return scene


def _plain(meshes: Scene) -> Scene:
    for mesh in meshes:
        mesh.layered = False
    return meshes


def pen_cup() -> Scene:
    """Three hexagonal cups grown together, with pencils."""
    scene: Scene = []
    for x, y, high, part in ((-27, 8, 92, "main"), (27, 8, 70, "accent"), (0, -39, 48, "main")):
        scene += paint(part, move(tray(circle(29, 6, math.pi / 6), 0, high, 3.2), x, y))
    scene += pencil(-36, 4, 20, (-10, 6), 118, "berry") + pencil(-22, 10, 20, (2, 8), 126, "plant")
    scene += pencil(-26, 0, 20, (9, -8), 112, "screen") + pencil(24, 10, 14, (8, 6), 104, "egg")
    return scene


def desk_tray() -> Scene:
    """A drawer system of four open boxes in a frame."""
    parts = [
        ("main", rectangle(88, 56, 6), -46, 30, 30),
        ("accent", rectangle(88, 56, 6), 46, 30, 22),
        ("second", rectangle(56, 56, 6), -62, -30, 22),
        ("main", rectangle(120, 56, 6), 30, -30, 30),
    ]
    scene: Scene = []
    for part, loop, x, y, high in parts:
        scene += paint(part, move(tray(loop, 0, high, 3.0, 3.0), x, y))
    for k in range(4):
        scene += paint("metal", move(turn(extrude(circle(6, 20), 3, 6), 0), -74 + 9 * k, -34 + 7 * (k % 2)))
    lying = turn(pencil(0, 0, 0, (0, 0), 104, "berry"), 90, "y")
    return (
        scene
        + move(turn(lying, 8), -22, -38, 8)
        + move(turn(turn(pencil(0, 0, 0, (0, 0), 96, "plant"), 90, "y"), -6), -18, -20, 8)
    )


def bookends() -> Scene:
    """Arches like a caravanserai's, holding five books."""
    scene: Scene = []
    for side in (-1, 1):
        x = 78 * side
        for k, (radius, width) in enumerate(((46, 11), (31, 11), (17, 11))):
            path = [(radius * math.cos(math.pi * i / 24), radius * math.sin(math.pi * i / 24)) for i in range(25)]
            inner = radius - width
            outline = [
                *path,
                *[(inner * math.cos(math.pi * i / 24), inner * math.sin(math.pi * i / 24)) for i in range(24, -1, -1)],
            ]
            tall = [(px, pz + 58 if 0 < i < 24 or 25 < i < 49 else pz) for i, (px, pz) in enumerate(outline)]
            scene += paint(("main", "accent", "second")[k], move(slab_y(tall, 60 - 4 * k), x, 0, 4))
        scene += paint("main", move(box(100, 66, 0, 5, 4), x + side * 4))
    left = -28.0
    for width, depth, height, part in (
        (15, 76, 128, "soil"),
        (12, 70, 112, "screen"),
        (17, 78, 134, "berry"),
        (11, 68, 104, "egg"),
    ):
        scene += book(left + width / 2, width - 0.8, depth, height, part)
        left += width
    return scene
