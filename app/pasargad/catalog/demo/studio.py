"""A small photo studio: camera, sun and sky, soft shadows and a paper sweep, drawn by Pillow from parametric meshes.

Each mesh face is projected, shaded once and painted from far to near. Shadows and ambient occlusion come from depth
maps seen from the sun and from a few places of the sky. A host needs nothing for it but the Pillow that uploads need.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice, pairwise
from operator import itemgetter, mul

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from .lights import Blockers, Lighting, Lit, Veil, corners
from .mesh import Mesh, Point, Scene, cross, unit

Colour = tuple[int, int, int]

OVERSAMPLE = 2
SOFT = 8  # paper and shadows have no edges: they are drawn so many times smaller
EDGE = 150  # a face this far outside of the picture is left out


@dataclass(frozen=True)
class Finish:
    """How one part takes the light: its colour, how silky it is and whether a lamp shines through it."""

    colour: Colour
    gloss: float = 0.25
    glow: float = 0.0


@dataclass(frozen=True)
class Shot:
    """Where the camera stands (degrees, millimetres by auto-fit) and the paper behind the goods."""

    azimuth: float = 28.0
    elevation: float = 20.0
    backdrop: Colour = (236, 226, 212)
    fill: float = 0.70
    width: int = 960
    height: int = 960
    centre: tuple[float, float] = (0.5, 0.53)


class Studio:
    """A scene under its lights; several shots share what the lights see."""

    def __init__(self, scene: Scene, finishes: Mapping[str, Finish], *, patience: int = 1) -> None:
        """With more patience shadows have smaller steps."""
        self.scene, self.finishes = scene, finishes
        self.light = Lighting(scene, patience)
        self.glowing = Blockers((mesh for mesh in scene if finishes[mesh.part].glow), self.light.grain)
        self.parts = {mesh.part for mesh in scene}
        self.kept: list[Kept] = [[[None] * len(row) for row in mesh.rows] for mesh in scene]

    def shoot(self, shot: Shot) -> Image.Image:
        """One picture; the same scene and shots give the same pixels."""
        camera = Camera(self.scene, shot)
        paper = cast_shadow(sweep(shot), camera, shot, self.light)
        lamps = halo(self.glowing, camera, shot) if self.glowing.faces else None
        if lamps:
            paper = shine(paper, lamps, 0.55)
        canvas = paper.resize((shot.width, shot.height), Image.Resampling.BILINEAR)
        # Each pixel of the paper becomes four alike, and one again at the end.
        canvas = canvas.resize((camera.width, camera.height), Image.Resampling.NEAREST)
        draw = ImageDraw.Draw(canvas)
        for _, polygon, ink in self.faces(shot, camera):
            draw.polygon(polygon, fill=ink)
        # Light adds up evenly, so it may be added to the smaller picture.
        picture = canvas.reduce(OVERSAMPLE)
        return shine(picture, lamps, 0.30) if lamps else picture

    def faces(self, shot: Shot, camera: Camera) -> list[Drawn]:
        """What the camera sees, from far to near."""
        sun = self.light.sun.light
        shades = {part: painter(self.finishes[part], shot.backdrop, camera, sun) for part in self.parts}
        seen: list[Drawn] = []
        for mesh, kept in zip(self.scene, self.kept, strict=True):
            add_facets(seen, mesh.facets, shades[mesh.part], camera, self.light)
            add_grid(seen, mesh, shades[mesh.part], camera, self.light, kept)
        seen.sort(key=itemgetter(0), reverse=True)
        return seen


class Camera:
    """Perspective projection that fits a scene into the frame."""

    def __init__(self, scene: Scene, shot: Shot) -> None:
        a, e = math.radians(shot.azimuth), math.radians(shot.elevation)
        points = [p for mesh in scene for group in (mesh.rows, mesh.facets) for row in thinned(group) for p in row[::3]]
        low, high = corners(points)
        mid = tuple((low[k] + high[k]) / 2 for k in range(3))
        size = math.dist(low, high)
        away = (math.sin(a) * math.cos(e), -math.cos(a) * math.cos(e), math.sin(e))
        self.eye = tuple(mid[k] + away[k] * size * 3.2 for k in range(3))
        self.away = away
        self.right = (math.cos(a), math.sin(a), 0.0)
        self.up = cross(away, self.right)
        self.scale, self.ox, self.oy = 1.0, 0.0, 0.0
        (x0, y0, _), (x1, y1, _) = corners(self.project_all(points))
        self.width, self.height = shot.width * OVERSAMPLE, shot.height * OVERSAMPLE
        self.scale = min(self.width * shot.fill / (x1 - x0), self.height * shot.fill / (y1 - y0))
        self.ox = self.width * shot.centre[0] - self.scale * (x0 + x1) / 2
        self.oy = self.height * shot.centre[1] - self.scale * (y0 + y1) / 2

    def project(self, p: Point) -> Point:
        """Pixel x, pixel y and the distance from the eye."""
        return self.project_all([p])[0]

    def project_all(self, points: Iterable[Point]) -> list[Point]:
        """The same for many points: one expression, as calls would take most of the time."""
        (rx, ry, _), (ux, uy, uz), (wx, wy, wz) = self.right, self.up, self.away
        er, eu, ew = (sum(map(mul, self.eye, way)) for way in (self.right, self.up, self.away))
        ox, oy, scale = self.ox, self.oy, self.scale
        return [
            (ox + (x * rx + y * ry - er) * k, oy - (x * ux + y * uy + z * uz - eu) * k, depth)
            for x, y, z in points
            for depth in (ew - x * wx - y * wy - z * wz,)
            for k in (scale / depth,)
        ]


def thinned(group: list[list[Point]]) -> list[list[Point]]:
    """Every third row and the last one, where tips are."""
    return [*group[:-1:3], *group[-1:]]


# Distance, corners, colour.
Drawn = tuple[float, Sequence[float] | Sequence[tuple[float, float]], int]
Kept = list[list[Lit | None]]
Shade = Callable[[float, float, float, float, float], int]


def add_facets(seen: list[Drawn], facets: list[list[Point]], shade: Shade, camera: Camera, light: Lighting) -> None:
    """Add the facets that look at the camera."""
    flat = iter(camera.project_all([p for facet in facets for p in facet]))
    for facet in facets:
        places = [(x, y) for x, y, _ in islice(flat, len(facet))]
        if sum([p[0] * q[1] - p[1] * q[0] for p, q in zip(places, [*places[1:], places[0]], strict=True)]) >= 0:
            continue
        n, middle = unit(newell(facet)), centre(facet)
        far = camera.project(middle)[2]
        seen.append((far, places, shade(*light.fall(n, light.veil(middle, n)))))


def add_grid(seen: list[Drawn], mesh: Mesh, shade: Shade, camera: Camera, light: Lighting, kept: Kept) -> None:
    """Add the faces of a grid that look at the camera and are in the picture; `kept` are those of earlier pictures."""
    veils: dict[tuple[int, int, int], Veil] = {}
    root, add = math.sqrt, seen.append
    share = max(
        1, (4 if len(mesh.rows) > 24 else 2) // light.patience
    )  # rows and columns that share one look at the depth maps
    right, bottom = camera.width + EDGE, camera.height + EDGE
    upper = camera.project_all(mesh.rows[0]) if mesh.rows else []
    for number, (low, high) in enumerate(pairwise(mesh.rows), 1):
        lower, upper, line = upper, camera.project_all(high), kept[number]
        tilt = (0.12 if number % 2 else -0.12) if mesh.layered else 0.0
        lines = [line for row in (lower, upper, low, high) for line in neighbours(row, mesh.wrap)]
        for c, (a, b, d, e, p, q, s, r) in enumerate(zip(*lines, strict=True)):
            (ax, ay, far), (bx, by, _), (dx, dy, _), (ex, ey, near) = a, b, d, e
            if (ex - ax) * (dy - by) - (ey - ay) * (dx - bx) >= 0:
                continue
            if not (-EDGE < ex < right and -EDGE < ey < bottom):
                continue
            lit = line[c]
            if lit is None:
                (px, py, pz), (qx, qy, qz), (sx, sy, sz), (rx, ry, rz) = p, q, s, r
                ux, uy, uz, vx, vy, vz = rx - px, ry - py, rz - pz, sx - qx, sy - qy, sz - qz
                nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
                size = root(nx * nx + ny * ny + nz * nz)
                if size < 1e-9:
                    continue
                nx, ny, nz = nx / size, ny / size, nz / size
                # Round a corner one sees another part of the sky.
                way = 9 * int(nx * 1.3 + 1.5) + 3 * int(ny * 1.3 + 1.5) + int(nz * 1.3 + 1.5)
                key = (number // share, c // share, way)
                veil = veils.get(key)
                if veil is None:
                    veil = veils[key] = light.veil(r, (nx, ny, nz))
                lit = line[c] = light.fall((nx, ny, nz + tilt * (1 - abs(nz))), veil)
            add(((far + near) / 2, (ax, ay, bx, by, ex, ey, dx, dy), shade(*lit)))


def neighbours(row: list[Point], wrap: bool) -> tuple[list[Point], list[Point]]:
    """Each point of a row with the one after it: those on the left, those on the right."""
    return ([row[-1], *row[:-1]], row) if wrap else (row[:-1], row[1:])


def centre(face: list[Point]) -> Point:
    x, y, z = map(sum, zip(*face, strict=True))
    return (x / len(face), y / len(face), z / len(face))


def newell(face: list[Point]) -> Point:
    """The normal of a plane polygon, concave ones included."""
    x = y = z = 0.0
    for p, q in zip(face, [*face[1:], face[0]], strict=True):
        x += (p[1] - q[1]) * (p[2] + q[2])
        y += (p[2] - q[2]) * (p[0] + q[0])
        z += (p[0] - q[0]) * (p[1] + q[1])
    return (x, y, z)


def painter(finish: Finish, backdrop: Colour, camera: Camera, sun: Point) -> Shade:
    """What turns a normal and what its place sees of sun and sky into the colour of one finish.

    A function with its own variables: it runs for each face, and looking them up in an object takes a while.
    """
    ramp = gradient(finish, backdrop)
    inks = [pack(colour) for colour in ramp]
    gloss = finish.gloss
    # Below it no gloss could be seen.
    dull = (0.01 / gloss) ** (1 / 22) if gloss else 1.0
    (vx, vy, vz), (sx, sy, sz) = camera.away, sun
    hx, hy, hz = unit((vx + sx, vy + sy, vz + sz))

    def glowing(nx: float, ny: float, nz: float, _: float, __: float) -> int:
        facing, direct = nx * vx + ny * vy + nz * vz, nx * sx + ny * sy + nz * sz
        lum = 0.26 + 0.42 * max(0.0, facing) + 0.24 * max(0.0, direct) + 0.06 * nz
        return inks[min(255, max(0, int(lum * 255)))]

    def shade(nx: float, ny: float, nz: float, lum: float, lit: float) -> int:
        edge = 1 - (nx * vx + ny * vy + nz * vz)
        edge = edge * edge if edge < 1 else 1.0
        place = int((lum + 0.09 * edge * edge) * 256)
        place = place if 0 <= place < 256 else 0 if place < 0 else 255
        if lit and (mirrored := nx * hx + ny * hy + nz * hz) > dull:
            # Tilted layers can outshine a mirror.
            shine = min(1.0, gloss * lit * mirrored**22)
            r, g, b = ramp[place]
            return pack((int(r + (255 - r) * shine), int(g + (255 - g) * shine), int(b + (255 - b) * shine)))
        return inks[place]

    return glowing if finish.glow else shade


def pack(colour: Colour) -> int:
    """The colour as Pillow keeps it, which it need not look at again."""
    return colour[0] | colour[1] << 8 | colour[2] << 16


def gradient(finish: Finish, backdrop: Colour) -> list[Colour]:
    """256 colours from deep shade (tinted by the paper) over the filament's own to its lit side."""
    base = [c / 255 for c in finish.colour]
    if finish.glow:
        warm, white = (0.86, 0.42, 0.13), (1.0, 0.96, 0.82)
        mid = [0.5 * b + 0.5 * w for b, w in zip(base, (1.0, 0.78, 0.42), strict=True)]
        return [blend3(warm, mid, white, k / 255) for k in range(256)]
    paper = [c / 255 for c in backdrop]
    dark = [b * b * 0.16 + b * 0.10 + p * 0.035 for b, p in zip(base, paper, strict=True)]
    light = [min(1.0, b * 1.06 + 0.10 * (1 - b) + 0.02) for b in base]
    return [blend3(dark, [b * 0.93 for b in base], light, k / 255) for k in range(256)]


def blend3(low: object, mid: object, high: object, t: float) -> Colour:
    a, b, f = (low, mid, t / 0.62) if t < 0.62 else (mid, high, (t - 0.62) / 0.38)
    return tuple(min(255, int(255 * (x + (y - x) * f) + 0.5)) for x, y in zip(a, b, strict=True))  # type: ignore[call-overload,return-value]


def sweep(shot: Shot) -> Image.Image:
    """A paper backdrop: lit from the upper left, a little darker to the corners and where wall turns into table."""
    width, height = shot.width * OVERSAMPLE // SOFT, shot.height * OVERSAMPLE // SOFT
    light = evening(max(2, round(96 * height / width))).resize((width, height), Image.Resampling.BICUBIC)
    bands = [light.point(lambda v, c=c: v * c + 0.5).convert("L") for c in shot.backdrop]
    return Image.merge("RGB", bands)


@cache
def evening(height: int) -> Image.Image:
    """How bright the paper is, 96 places wide."""
    image = Image.new("F", (96, height))
    image.putdata(
        [
            1.035
            - 0.20 * ((x - 0.40) ** 2 + (y - 0.42) ** 2)
            - 0.025 * math.exp(-(((y - 0.56) / 0.16) ** 2))
            + 0.03 * y
            for y in (j / (height - 1) for j in range(height))
            for x in (i / 95 for i in range(96))
        ]
    )
    return image


def cast_shadow(canvas: Image.Image, camera: Camera, shot: Shot, light: Lighting) -> Image.Image:
    """The sun's shadow on the table and the dark line where things touch it."""
    lx, ly, lz = light.sun.light
    table, points = light.table, light.blockers.points
    thrown = [(x - lx / lz * (z - table), y - ly / lz * (z - table), table) for x, y, z in points]
    ground = [(x / SOFT, y / SOFT) for x, y, _ in camera.project_all(thrown)]
    feet = [(x / SOFT, y / SOFT) for x, y, _ in camera.project_all([(x, y, table) for x, y, _ in points])]
    far, near = Image.new("L", canvas.size, 0), Image.new("L", canvas.size, 0)
    far_draw, near_draw = ImageDraw.Draw(far), ImageDraw.Draw(near)
    for face in light.blockers.faces:
        far_draw.polygon([ground[i] for i in face], fill=255)
    for face in light.feet:
        near_draw.polygon([feet[i] for i in face], fill=255)
    unit_ = canvas.width / 480
    wide = far.filter(ImageFilter.GaussianBlur(13 * unit_))
    tight = near.filter(ImageFilter.GaussianBlur(5 * unit_))
    broad = near.filter(ImageFilter.GaussianBlur(26 * unit_))
    amount = ImageChops.screen(wide.point(lambda v: int(v * 0.34)), tight.point(lambda v: int(v * 0.42)))
    amount = ImageChops.screen(amount, broad.point(lambda v: int(v * 0.22)))
    tint = tuple(int(c * 0.30) for c in shot.backdrop)
    return Image.composite(Image.new("RGB", canvas.size, tint), canvas, amount)


def halo(glowing: Blockers, camera: Camera, shot: Shot) -> Image.Image:
    """How much of the lamps' warm light falls on each place of the picture, much smaller than it."""
    small = (shot.width * OVERSAMPLE // 8, shot.height * OVERSAMPLE // 8)
    mask = Image.new("L", small, 0)
    draw = ImageDraw.Draw(mask)
    places = [(x / 8, y / 8) for x, y, _ in camera.project_all(glowing.points)]
    for face in glowing.faces:
        draw.polygon([places[i] for i in face], fill=255)
    radius = small[0] / 7
    return ImageChops.screen(
        mask.filter(ImageFilter.GaussianBlur(radius)),
        mask.filter(ImageFilter.GaussianBlur(radius / 3)).point(lambda v: v // 3),
    )


def shine(canvas: Image.Image, lamps: Image.Image, strength: float) -> Image.Image:
    """Add the light of lamps."""
    amount = lamps.point(lambda v: int(v * strength)).resize(canvas.size, Image.Resampling.BICUBIC)
    bands = [amount.point(lambda v, c=c: v * c // 255) for c in (255, 178, 92)]
    return ImageChops.screen(canvas, Image.merge("RGB", bands))
