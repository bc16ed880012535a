"""Games and play."""

from __future__ import annotations

import math

from ..mesh import (
    Loop,
    Point,
    Scene,
    ball,
    box,
    circle,
    cone,
    extrude,
    lathe,
    move,
    paint,
    rectangle,
    scale,
    slab,
    solid,
    tray,
    turn,
)

PHI = (1 + math.sqrt(5)) / 2


def dice_tower() -> Scene:
    """A castle tower with a gate; the dice roll out into the yard."""
    scene: Scene = paint("main", box(76, 66, 0, 132, 3))
    for k in range(5):
        for y in (-29, 29):
            scene += paint("main", move(box(11, 9, 132, 146, 1), -33 + 16.5 * k, y))
    for y in (-10, 10):
        for x in (-33.5, 33.5):
            scene += paint("main", move(box(9, 11, 132, 146, 1), x, y))
    gate = [(20 * math.cos(math.pi * k / 16), 30 + 20 * math.sin(math.pi * k / 16)) for k in range(17)]
    arch = [(20.0, 4.0), *gate, (-20.0, 4.0)]
    scene += paint("dark", move(turn(slab(arch, 2), 90), 0, -33.2))
    rim = [(25 * math.cos(math.pi * k / 16), 30 + 25 * math.sin(math.pi * k / 16)) for k in range(17)]
    frame = [(25.0, 4.0), *rim, (-25.0, 4.0), (-20.0, 4.0), *reversed(gate), (20.0, 4.0)]
    scene += paint("accent", move(turn(slab(frame, 6), 90), 0, -35))
    for x in (-18, 18):
        slit = [(4 * math.cos(math.pi * k / 8), 96 + 4 * math.sin(math.pi * k / 8)) for k in range(9)]
        scene += paint("dark", move(turn(slab([(4.0, 80.0), *slit, (-4.0, 80.0)], 2), 90), x, -33.2))
    scene += paint("main", move(tray(rectangle(96, 74, 5), 0, 15, 4, 3), 0, -72))
    scene += die20(-20, -66, 3, 10.5, "accent") + die20(16, -86, 3, 9.5, "second")
    return scene + paint("second", move(turn(scale(cube(), 8), 24), 26, -56, 11))


def cube() -> Scene:
    """A cube of edge two round the origin."""
    points = [(x, y, z) for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)]
    return solid(points, [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)])


def icosahedron() -> Scene:
    """Twenty faces, resting on one."""
    points: list[Point] = []
    for a in (-1.0, 1.0):
        for b in (-PHI, PHI):
            points += [(0.0, a, b), (a, b, 0.0), (b, 0.0, a)]
    return hull(points, 2.0, 3)


def octahedron() -> Scene:
    """Eight faces."""
    return hull(
        [(1.6, 0, 0), (-1.6, 0, 0), (0, 1.6, 0), (0, -1.6, 0), (0, 0, 1.6), (0, 0, -1.6)], 1.6 * math.sqrt(2), 3
    )


def tetrahedron() -> Scene:
    """Four faces."""
    return hull([(1.2, 1.2, 1.2), (1.2, -1.2, -1.2), (-1.2, 1.2, -1.2), (-1.2, -1.2, 1.2)], 1.2 * math.sqrt(8), 3)


def hull(points: list[Point], edge: float, corners: int) -> Scene:
    """The polyhedron whose faces are all triangles of that edge, laid on its first face."""
    count = len(points)
    faces = []
    for i in range(count):
        for j in range(i + 1, count):
            for k in range(j + 1, count):
                a, b, c = points[i], points[j], points[k]
                if max(abs(math.dist(a, b) - edge), abs(math.dist(b, c) - edge), abs(math.dist(a, c) - edge)) > 1e-6:
                    continue
                n = ((b[1] - a[1]) * (c[2] - a[2]) - (b[2] - a[2]) * (c[1] - a[1]),
                     (b[2] - a[2]) * (c[0] - a[0]) - (b[0] - a[0]) * (c[2] - a[2]),
                     (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))  # fmt: skip
                outward = n[0] * a[0] + n[1] * a[1] + n[2] * a[2] > 0
                faces.append((i, j, k) if outward else (i, k, j))
    middle = [sum(points[n][axis] for n in faces[0]) / corners for axis in range(3)]
    flat = math.degrees(math.atan2(middle[1], middle[0]))
    tilt = math.degrees(math.atan2(math.hypot(middle[0], middle[1]), middle[2]))
    laid = turn(turn(solid(points, faces), -flat), 180 - tilt, "y")
    low = min(p[2] for m in laid for f in m.facets for p in f)
    return move(laid, z=-low)


def die20(x: float, y: float, z: float, size: float, part: str) -> Scene:
    """A twenty-sided die lying on a face."""
    return paint(part, move(scale(turn(icosahedron(), 17 * x), size), x, y, z))


def dice_set() -> Scene:
    """Six polyhedra for an evening of adventure."""
    scene = die20(-6, -4, 0, 17, "main")
    scene += paint("accent", move(turn(scale(cube(), 13.5), 33), -52, -28, 13.5))
    scene += paint("second", move(scale(turn(octahedron(), 20), 14), 44, -22, 0))
    scene += paint("accent", move(scale(turn(tetrahedron(), 50), 13), 4, -52, 0))
    scene += paint("second", move(scale(turn(icosahedron(), 70), 12), -40, 34, 0))
    return scene + paint("main", move(turn(scale(cube(), 11), 12), 38, 36, 11))


PAWN = [(13, 0), (13, 4), (11, 6), (11.5, 8), (8, 12), (5, 24), (4.6, 30), (8, 32), (8, 33.5), (5, 35)]
QUEEN = [
    (17, 0),
    (17, 5),
    (14, 8),
    (15, 11),
    (10, 16),
    (6, 40),
    (5.6, 56),
    (10, 58),
    (10, 60),
    (6.5, 62),
    (9, 76),
    (11, 78),
]


def chess_set() -> Scene:
    """King, queen, rook, bishops and pawns in two filaments."""
    scene: Scene = []

    def piece(profile: list[tuple[float, float]], x: float, y: float, part: str) -> Scene:
        return paint(part, move(lathe(profile, segments=60, curved=False), x, y))

    for x, y, part in ((-34, -46, "main"), (0, -54, "main"), (33, -44, "accent"), (62, -30, "accent")):
        scene += piece(PAWN, x, y, part) + paint(part, move(ball(0, 0, 0, 8.6, segments=40), x, y, 42))
    scene += piece([*QUEEN, (9, 78.5), (0.2, 76)], -16, 0, "main")
    for k in range(8):
        a = math.pi * k / 4
        scene += paint("main", ball(-16 + 9.6 * math.cos(a), 9.6 * math.sin(a), 79.5, 2.8, segments=16))
    scene += paint("main", ball(-16, 0, 80, 4.2, segments=24))
    scene += piece([*QUEEN[:-2], (10, 84), (11.5, 86), (6, 90), (0.2, 91)], 20, 8, "accent")
    scene += paint("accent", move(box(4, 4, 90, 104, 1), 20, 8)) + paint("accent", move(box(13, 4, 95, 99, 1), 20, 8))
    rook = [
        (16, 0),
        (16, 5),
        (13, 8),
        (13.5, 11),
        (10, 15),
        (8.6, 36),
        (12.5, 40),
        (12.5, 50),
        (8.5, 50),
        (8.5, 46),
        (0.2, 46),
    ]
    scene += piece(rook, -54, 2, "main")
    for k in range(6):
        scene += paint("main", move(turn(move(box(4, 7, 50, 54, 0.8), 10.4), 60 * k), -54, 2))
    bishop = [
        (15, 0),
        (15, 5),
        (12, 8),
        (12.5, 11),
        (8, 15),
        (5.2, 38),
        (5, 46),
        (9, 48),
        (9, 50),
        (5, 52),
        (8.5, 60),
        (7.5, 67),
        (2.4, 74),
        (0.2, 75),
    ]
    scene += piece(bishop, 56, 14, "accent")
    return scene + paint("accent", ball(56, 14, 77, 3, segments=24))


def gear(teeth: int, module: float, low: float, high: float, hole: float) -> Scene:
    """A spur gear with rounded teeth."""
    outer: Loop = []
    radius = teeth * module / 2
    for k in range(teeth * 8):
        a = 2 * math.pi * k / (teeth * 8)
        wave = max(-0.8, min(0.8, 1.5 * math.cos(teeth * a)))
        outer.append(((radius + module * wave) * math.cos(a), (radius + module * wave) * math.sin(a)))
    return extrude(outer, low, high, hole=circle(hole, len(outer)))


def planetary() -> Scene:
    """A planetary gear that turns between the fingers."""
    m = 3.4
    ring: Loop = []
    for k in range(36 * 8):
        a = 2 * math.pi * k / 288
        wave = max(-0.8, min(0.8, 1.5 * math.cos(36 * a)))
        ring.append(((36 * m / 2 + m * wave) * math.cos(a), (36 * m / 2 + m * wave) * math.sin(a)))
    scene = paint("main", extrude(circle(74, 288), 0, 20, hole=ring))
    scene += paint("accent", turn(gear(12, m, 0, 20, 8), 15))
    for k in range(4):
        a = math.pi / 2 * k + 0.4
        scene += paint(
            "second",
            move(
                turn(gear(12, m * 0.985, 0, 20, 9), math.degrees(3 * a)),
                12 * m * math.cos(a) * 1.0,
                12 * m * math.sin(a),
            ),
        )
    return scene


def flexi_dragon() -> Scene:
    """A print-in-place dragon with a tail of linked scales."""
    scene: Scene = []
    count = 26
    for i in range(count):
        t = i / (count - 1)
        a = 0.3 + 4.9 * t
        reach = 62 - 26 * t
        x, y = reach * math.cos(a) * 1.25, reach * math.sin(a)
        size = 20 * (0.45 + 0.55 * math.sin(math.pi * min(1, 0.35 + 0.62 * (1 - t)))) * (0.34 + 0.66 * (1 - t) ** 0.8)
        heading = a + math.pi / 2
        link = paint(
            "main" if i % 2 else "accent", ball(0, 0, size * 0.8, size * 0.92, size * 1.05, size * 0.8, segments=40)
        )
        spine = paint("second", cone((0, 0, size * 1.3), (-size * 0.4, 0, size * 2.35), size * 0.34, sides=10))
        scene += move(turn([*link, *spine], math.degrees(heading)), x, y)
    hx, hy = 62 * math.cos(0.02) * 1.25, 62 * math.sin(0.02) - 6
    head: Scene = paint("main", ball(0, 0, 15, 14, 17, 13, segments=48) + ball(0, -17, 11.5, 10, 13, 8, segments=40))
    for side in (-1, 1):
        head += paint("second", cone((7 * side, 6, 24), (13 * side, 20, 38), 4, sides=14))
        head += paint("egg", ball(9 * side, -8, 20, 4.2, segments=20)) + paint(
            "dark", ball(10.2 * side, -11, 20.8, 2.3, segments=16)
        )
        head += paint("dark", ball(4 * side, -29, 13.5, 1.4, segments=10))
    return scene + move(turn(head, 14), hx, hy)


def spinning_tops() -> Scene:
    """Four tops, one of them still spinning."""
    first = [(0.3, 0), (3, 4), (20, 19), (22, 24), (17, 28), (5, 31), (3.4, 36), (3.4, 50), (4.4, 52), (0.2, 53)]
    second = [(0.3, 0), (2, 3), (27, 12), (27, 16), (6, 20), (3.4, 26), (3.4, 46), (4.4, 48), (0.2, 49)]
    third = [(0.3, 0), (4, 5), (13, 16), (18, 28), (14, 38), (4, 44), (3.2, 48), (3.2, 58), (4.2, 60), (0.2, 61)]
    scene = paint("main", move(turn(turn(lathe(first, segments=90, curved=False), 7, "y"), 40), -24, 14, 0))
    scene += paint("accent", move(turn(turn(lathe(second, segments=90, curved=False), 74, "x"), 24), 24, -6, 24))
    scene += paint("second", move(turn(turn(lathe(third, segments=90, curved=False), 66, "y"), 200), 22, -44, 7))
    return scene + paint("third", move(turn(turn(lathe(first, segments=90, curved=False), 62, "y"), 60), 14, 44, 11))
