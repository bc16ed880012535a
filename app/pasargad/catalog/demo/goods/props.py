"""Things that are not for sale but show what the goods are for: plants, pencils, books, a phone."""

from __future__ import annotations

import math

from ..mesh import (
    Scene,
    ball,
    box,
    cone,
    extrude,
    lathe,
    move,
    paint,
    pebble,
    plate,
    rectangle,
    scale,
    tube,
    turn,
)


def rosette(z: float, radius: float, *, leaves: int = 9, rings: int = 4) -> Scene:
    """A succulent."""
    scene: Scene = []
    for ring in range(rings):
        reach = radius * (1 - ring / (rings + 0.6))
        for k in range(leaves - ring):
            leaf = pebble(0, 0, 0, reach * 0.52, reach * 0.26, reach * 0.13, segments=7, detail=0)
            leaf = move(leaf, x=reach * 0.5)
            leaf = turn(leaf, -(18 + 17 * ring), "y")
            scene += move(turn(leaf, 360 / (leaves - ring) * k + 23 * ring), z=z + radius * 0.10 * ring)
    return paint("plant", scene)


def blades(z: float, height: float, spread: float, count: int = 9) -> Scene:
    """Upright pointed leaves."""
    scene: Scene = []
    for k in range(count):
        a = 2.4 * k
        reach = spread * (0.25 + 0.75 * k / count)
        tall = height * (1.0 - 0.45 * k / count)
        base = (reach * 0.35 * math.cos(a), reach * 0.35 * math.sin(a), z)
        tip = (reach * math.cos(a), reach * math.sin(a), z + tall)
        leaf = cone(base, tip, height * 0.085, sides=10)
        scene += leaf
    return paint("plant", scene)


def soil(z: float, radius: float) -> Scene:
    """Earth in a pot."""
    bumps = lathe([(radius, z), (radius * 0.6, z + 1.6), (0.1, z + 2.2)], segments=48, layered=False, step=2)
    return paint("soil", bumps)


def twig(x: float, y: float, z: float, lean: tuple[float, float], height: float, berries: int = 7) -> Scene:
    """A dried stem with berries."""
    path = [(x + lean[0] * (t / 12) ** 1.6, y + lean[1] * (t / 12) ** 1.6, z + height * t / 12) for t in range(13)]
    scene = paint("stem", tube(path, 0.75, sides=8, layered=False))
    for k in range(berries):
        px, py, pz = path[5 + k % 8]
        a = 2.4 * k
        tip = (px + 7 * math.cos(a), py + 7 * math.sin(a), pz + 5)
        scene += paint("stem", tube([(px, py, pz), tip], 0.5, sides=6, layered=False))
        scene += paint("berry", ball(*tip, 3.1, segments=16))
    return scene


def pencil(x: float, y: float, z: float, lean: tuple[float, float], length: float, part: str) -> Scene:
    """A sharpened pencil, tip up."""
    tip = (x + lean[0], y + lean[1], z + length)
    at = 0.88
    neck = (x + lean[0] * at, y + lean[1] * at, z + length * at)
    steps = 8
    shaft = [tuple(a + (b - a) * k / steps for a, b in zip((x, y, z), neck, strict=True)) for k in range(steps + 1)]
    return [
        *paint(part, tube(shaft, 3.4, sides=6, layered=False)),  # type: ignore[arg-type]
        *paint("wood", cone(neck, tip, 3.4, sides=12)),
    ]


def book(x: float, width: float, depth: float, height: float, part: str) -> Scene:
    """A book standing with its back to the viewer."""
    cover = move(box(width, depth, 0, height, 1.2), x=x)
    for mesh in cover:
        mesh.layered = False
    return paint(part, cover)


def phone(width: float = 66, height: float = 138) -> Scene:
    """A telephone lying flat, screen up, its middle at the origin."""
    outer = rectangle(width, height, 9)
    inner = [(x * (1 - 7 / width), y * (1 - 14 / height)) for x, y in outer]
    body = extrude(outer, 0, 7, hole=inner)
    screen = plate(inner, 7)
    for mesh in body:
        mesh.layered = False
    return [*paint("device", body), *paint("screen", [screen])]


def egg(x: float, y: float, z: float, size: float) -> Scene:
    """A hen's egg."""
    shape = lathe([(0.01, 0), (0.72, 0.25), (1.0, 0.95), (0.75, 1.9), (0.35, 2.4), (0.01, 2.55)], segments=56,
                  step=0.06, layered=False)  # fmt: skip
    return paint("egg", move(scale(shape, size), x, y, z))
