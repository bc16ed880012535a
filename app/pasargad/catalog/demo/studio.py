"""A small photo studio: camera, sun and sky, soft shadows and a paper sweep, drawn by Pillow from parametric meshes.

Each mesh face is projected, shaded once and painted from far to near. Shadows and ambient occlusion come from depth
maps seen from the sun and from a few places of the sky. A host needs nothing for it but the Pillow that uploads need.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from .mesh import Mesh, Point, Scene, cross, unit

Colour = tuple[int, int, int]

OVERSAMPLE = 2
SOFT = 4  # paper and shadows have no edges: they are drawn so many times smaller
SUN = unit((-0.62, -0.50, 0.86))
SKY = [unit(p) for p in ((0.75, -0.35, 0.7), (-0.2, -0.9, 0.55), (0.3, 0.6, 0.9), (-0.85, 0.3, 0.6), (0.05, -0.1, 1.0))]
MAP_SIZE = 300


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

    def __init__(self, scene: Scene, finishes: Mapping[str, Finish], sun: Point = SUN) -> None:
        self.scene, self.finishes = scene, finishes
        self.light = Lighting(scene, sun)

    def shoot(self, shot: Shot) -> Image.Image:
        """One picture; the same scene and shot give the same pixels."""
        scene, finishes = self.scene, self.finishes
        camera = Camera(scene, shot)
        canvas = cast_shadow(sweep(shot), camera, shot, self.light)
        canvas = canvas.resize((shot.width * OVERSAMPLE, shot.height * OVERSAMPLE), Image.Resampling.BICUBIC)
        lamps = any(finishes[mesh.part].glow for mesh in scene)
        if lamps:
            canvas = halo(canvas, scene, finishes, camera, 0.55)
        draw = ImageDraw.Draw(canvas)
        painters = {mesh.part: Painter(finishes[mesh.part], shot.backdrop, camera, self.light) for mesh in scene}
        faces = [face for mesh in scene for face in visible(mesh, painters[mesh.part], camera)]
        faces.sort(key=itemgetter(0), reverse=True)
        for _, polygon, colour in faces:
            draw.polygon(polygon, fill=colour)
        if lamps:
            canvas = halo(canvas, scene, finishes, camera, 0.30)
        return canvas.reduce(OVERSAMPLE)


class Camera:
    """Perspective projection that fits a scene into the frame."""

    def __init__(self, scene: Scene, shot: Shot) -> None:
        a, e = math.radians(shot.azimuth), math.radians(shot.elevation)
        points = [p for mesh in scene for group in (mesh.rows, mesh.facets) for row in thinned(group) for p in row[::2]]
        low = [min(p[k] for p in points) for k in range(3)]
        high = [max(p[k] for p in points) for k in range(3)]
        mid = tuple((low[k] + high[k]) / 2 for k in range(3))
        size = math.dist(low, high)
        away = (math.sin(a) * math.cos(e), -math.cos(a) * math.cos(e), math.sin(e))
        self.eye = tuple(mid[k] + away[k] * size * 3.2 for k in range(3))
        self.away = away
        self.right = (math.cos(a), math.sin(a), 0.0)
        self.up = cross(away, self.right)
        self.scale, self.ox, self.oy = 1.0, 0.0, 0.0
        flat = [self.project(p) for p in points]
        x0, x1 = min(p[0] for p in flat), max(p[0] for p in flat)
        y0, y1 = min(p[1] for p in flat), max(p[1] for p in flat)
        width, height = shot.width * OVERSAMPLE, shot.height * OVERSAMPLE
        self.scale = min(width * shot.fill / (x1 - x0), height * shot.fill / (y1 - y0))
        self.ox = width * shot.centre[0] - self.scale * (x0 + x1) / 2
        self.oy = height * shot.centre[1] - self.scale * (y0 + y1) / 2

    def project(self, p: Point) -> Point:
        """Pixel x, pixel y and the distance from the eye."""
        dx, dy, dz = p[0] - self.eye[0], p[1] - self.eye[1], p[2] - self.eye[2]
        r, u, w = self.right, self.up, self.away
        depth = -(dx * w[0] + dy * w[1] + dz * w[2])
        k = self.scale / depth
        return (
            self.ox + (dx * r[0] + dy * r[1] + dz * r[2]) * k,
            self.oy - (dx * u[0] + dy * u[1] + dz * u[2]) * k,
            depth,
        )


def thinned(group: list[list[Point]]) -> list[list[Point]]:
    """Every third row and the last one, where tips are."""
    return [*group[:-1:3], *group[-1:]]


class DepthMap:
    """What a far light sees first: for each cell the reach (along the light) of the nearest face."""

    def __init__(self, faces: list[list[Point]], light: Point) -> None:
        self.light = light
        self.u = unit(cross(light, (0.0, 1.0, 0.02)))
        self.v = cross(light, self.u)
        flat = [[self.flatten(p) for p in face] for face in faces]
        xs = [p[0] for face in flat for p in face]
        ys = [p[1] for face in flat for p in face]
        self.k = (MAP_SIZE - 8) / max(max(xs) - min(xs), max(ys) - min(ys), 1.0)
        self.ox, self.oy = 4 - min(xs) * self.k, 4 - min(ys) * self.k
        image = Image.new("F", (MAP_SIZE, MAP_SIZE), -1e9)
        draw = ImageDraw.Draw(image)
        shapes = [(sum(p[2] for p in face) / len(face), face) for face in flat]
        shapes.sort(key=lambda item: item[0])
        for reach, face in shapes:
            draw.polygon([(p[0] * self.k + self.ox, p[1] * self.k + self.oy) for p in face], fill=reach)
        self.cells = array("f", image.tobytes())

    def flatten(self, p: Point) -> Point:
        u, v, w = self.u, self.v, self.light
        return (
            p[0] * u[0] + p[1] * u[1] + p[2] * u[2],
            p[0] * v[0] + p[1] * v[1] + p[2] * v[2],
            p[0] * w[0] + p[1] * w[1] + p[2] * w[2],
        )

    def open(self, p: Point, bias: float, taps: tuple[tuple[float, float], ...]) -> float:
        """How much of the light reaches the point, from 0 to 1."""
        x, y, reach = self.flatten(p)
        x, y, reach = x * self.k + self.ox, y * self.k + self.oy, reach + bias
        cells, seen = self.cells, 0
        for dx, dy in taps:
            i, j = int(x + dx), int(y + dy)
            if not (0 <= i < MAP_SIZE and 0 <= j < MAP_SIZE) or cells[j * MAP_SIZE + i] < reach:
                seen += 1
        return seen / len(taps)


SUN_TAPS = (
    (-2.5, -1.0),
    (1.0, -2.5),
    (2.5, 1.0),
    (-1.0, 2.5),
    (0.0, 0.0),
    (-4.0, 3.0),
    (4.0, -3.0),
    (3.5, 4.0),
    (-3.5, -4.0),
)
SKY_TAPS = ((-3.0, -2.0), (3.0, 2.0), (-2.0, 3.5), (2.0, -3.5), (0.0, 0.0))


class Lighting:
    """The sun and the sky with their depth maps."""

    def __init__(self, scene: Scene, sun: Point) -> None:
        self.blockers = [face for mesh in scene for face in coarse(mesh)]
        self.sun = DepthMap(self.blockers, sun)
        self.sky = [DepthMap(self.blockers, way) for way in SKY]
        spans = [
            max(p[k] for f in self.blockers for p in f) - min(p[k] for f in self.blockers for p in f) for k in range(3)
        ]
        self.bias = max(spans) * 0.028

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


def coarse(mesh: Mesh) -> Iterator[list[Point]]:
    """The mesh with fewer faces, good enough to throw a shadow."""
    yield from mesh.facets
    rows = mesh.rows
    if len(rows) < 2:
        return
    down = sorted({*range(0, len(rows), 5 if len(rows) > 30 else 1), len(rows) - 1})
    count = len(rows[0])
    across = [*range(0, count, 3 if count > 30 else 1)]
    across = [*across, 0] if mesh.wrap else sorted({*across, count - 1})
    for a, b in pairwise(down):
        low, high = rows[a], rows[b]
        for c, d in pairwise(across):
            yield [low[c], low[d], high[d], high[c]]


Drawn = tuple[float, list[tuple[float, float]], Colour]
Veil = tuple[float, float]  # how much sun and how much sky a place sees
VEIL_STEP = 3  # rows and columns that share one look at the depth maps


def visible(mesh: Mesh, painter: Painter, camera: Camera) -> Iterator[Drawn]:
    """The faces that look at the camera: distance, polygon, colour."""
    for facet in mesh.facets:
        flat = [camera.project(p) for p in facet]
        area = sum(p[0] * q[1] - p[1] * q[0] for p, q in zip(flat, [*flat[1:], flat[0]], strict=True))
        if area >= 0:
            continue
        n = unit(newell(facet))
        veil = painter.light.veil(centre(facet), n)
        yield sum(p[2] for p in flat) / len(flat), [(p[0], p[1]) for p in flat], painter.shade(*n, veil)
    before = [camera.project(p) for p in mesh.rows[0]] if mesh.rows else []
    veils: dict[tuple[int, int], Veil] = {}
    for number in range(1, len(mesh.rows)):
        low, high = mesh.rows[number - 1], mesh.rows[number]
        after = [camera.project(p) for p in high]
        tilt = (0.12 if number % 2 else -0.12) if mesh.layered else 0.0
        for c in range(0 if mesh.wrap else 1, len(low)):
            a, b, e, d = before[c - 1], before[c], after[c], after[c - 1]
            if (e[0] - a[0]) * (d[1] - b[1]) - (e[1] - a[1]) * (d[0] - b[0]) >= 0:
                continue
            nx, ny, nz = cross_of(low[c - 1], high[c], low[c], high[c - 1])
            length = math.sqrt(nx * nx + ny * ny + nz * nz)
            if length < 1e-9:
                continue
            nx, ny, nz = nx / length, ny / length, nz / length
            key = (number // VEIL_STEP, c // VEIL_STEP)
            veil = veils.get(key)
            if veil is None:
                veil = veils[key] = painter.light.veil(high[c], (nx, ny, nz))
            colour = painter.shade(nx, ny, nz + tilt * (1 - abs(nz)), veil)
            yield (a[2] + e[2]) / 2, [(a[0], a[1]), (b[0], b[1]), (e[0], e[1]), (d[0], d[1])], colour
        before = after


def centre(face: list[Point]) -> Point:
    k = 1 / len(face)
    return (sum(p[0] for p in face) * k, sum(p[1] for p in face) * k, sum(p[2] for p in face) * k)


def cross_of(a: Point, b: Point, c: Point, d: Point) -> Point:
    """(b - a) x (d - c)."""
    ux, uy, uz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    vx, vy, vz = d[0] - c[0], d[1] - c[1], d[2] - c[2]
    return (uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx)


def newell(face: list[Point]) -> Point:
    """The normal of a plane polygon, concave ones included."""
    x = y = z = 0.0
    for p, q in zip(face, [*face[1:], face[0]], strict=True):
        x += (p[1] - q[1]) * (p[2] + q[2])
        y += (p[2] - q[2]) * (p[0] + q[0])
        z += (p[0] - q[0]) * (p[1] + q[1])
    return (x, y, z)


class Painter:
    """Turns a normal and what the place sees of sun and sky into the colour of one finish."""

    def __init__(self, finish: Finish, backdrop: Colour, camera: Camera, light: Lighting) -> None:
        self.finish, self.light = finish, light
        self.ramp = gradient(finish, backdrop)
        self.view, self.sun = camera.away, light.sun.light
        self.half = unit((self.view[0] + self.sun[0], self.view[1] + self.sun[1], self.view[2] + self.sun[2]))

    def shade(self, nx: float, ny: float, nz: float, veil: Veil) -> Colour:
        view, sun, half = self.view, self.sun, self.half
        facing = nx * view[0] + ny * view[1] + nz * view[2]
        facing = facing if facing > 0 else 0.0
        direct = nx * sun[0] + ny * sun[1] + nz * sun[2]
        direct = direct if direct > 0 else 0.0
        if self.finish.glow:
            lum = 0.26 + 0.42 * facing + 0.24 * direct + 0.06 * nz
            return self.ramp[min(255, max(0, int(lum * 255)))]
        lit, sky = veil
        lum = 0.60 * direct * lit + 0.46 * sky * (0.62 + 0.38 * nz) + 0.09 * (1 - facing) ** 4 + 0.10 - 0.05 * nz
        colour = self.ramp[min(255, max(0, int(lum * 256)))]
        shine = self.finish.gloss * lit * max(0.0, nx * half[0] + ny * half[1] + nz * half[2]) ** 22
        if shine < 0.01:
            return colour
        r, g, b = colour
        return (int(r + (255 - r) * shine), int(g + (255 - g) * shine), int(b + (255 - b) * shine))


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
    small = Image.new("RGB", (96, max(2, round(96 * height / width))))
    pixels = small.load()
    w, h = small.size
    for j in range(h):
        for i in range(w):
            x, y = i / (w - 1), j / (h - 1)
            lum = (
                1.035
                - 0.20 * ((x - 0.40) ** 2 + (y - 0.42) ** 2)
                - 0.025 * math.exp(-(((y - 0.56) / 0.16) ** 2))
                + 0.03 * y
            )
            pixels[i, j] = tuple(min(255, int(c * lum + 0.5)) for c in shot.backdrop)  # type: ignore[index]
    return small.resize((width, height), Image.Resampling.BICUBIC)


def cast_shadow(canvas: Image.Image, camera: Camera, shot: Shot, light: Lighting) -> Image.Image:
    """The sun's shadow on the table and the dark line where things touch it."""
    lx, ly, lz = light.sun.light
    table = min(p[2] for face in light.blockers for p in face)
    far, near = Image.new("L", canvas.size, 0), Image.new("L", canvas.size, 0)
    far_draw, near_draw = ImageDraw.Draw(far), ImageDraw.Draw(near)
    spread = light.bias / 0.028
    for face in light.blockers:
        ground = [
            camera.project((p[0] - lx / lz * (p[2] - table), p[1] - ly / lz * (p[2] - table), table)) for p in face
        ]
        far_draw.polygon([(p[0] / SOFT, p[1] / SOFT) for p in ground], fill=255)
        if min(p[2] for p in face) - table < spread * 0.07:
            foot = [camera.project((p[0], p[1], table)) for p in face]
            near_draw.polygon([(p[0] / SOFT, p[1] / SOFT) for p in foot], fill=255)
    unit_ = canvas.width / 480
    wide = far.filter(ImageFilter.GaussianBlur(13 * unit_))
    tight = near.filter(ImageFilter.GaussianBlur(5 * unit_))
    broad = near.filter(ImageFilter.GaussianBlur(26 * unit_))
    amount = ImageChops.screen(wide.point(lambda v: int(v * 0.34)), tight.point(lambda v: int(v * 0.42)))
    amount = ImageChops.screen(amount, broad.point(lambda v: int(v * 0.22)))
    tint = tuple(int(c * 0.30) for c in shot.backdrop)
    return Image.composite(Image.new("RGB", canvas.size, tint), canvas, amount)


def halo(
    canvas: Image.Image, scene: Scene, finishes: Mapping[str, Finish], camera: Camera, strength: float
) -> Image.Image:
    """Warm light round the parts that glow."""
    small = (canvas.width // 8, canvas.height // 8)
    mask = Image.new("L", small, 0)
    draw = ImageDraw.Draw(mask)
    for mesh in scene:
        if finishes[mesh.part].glow:
            for face in coarse(mesh):
                draw.polygon([(p[0] / 8, p[1] / 8) for p in map(camera.project, face)], fill=255)
    radius = canvas.width / 8 / 7
    mask = ImageChops.screen(
        mask.filter(ImageFilter.GaussianBlur(radius)),
        mask.filter(ImageFilter.GaussianBlur(radius / 3)).point(lambda v: v // 3),
    )
    mask = mask.point(lambda v: int(v * strength)).resize(canvas.size, Image.Resampling.BICUBIC)
    warm = Image.new("RGB", canvas.size, (255, 178, 92))
    return ImageChops.screen(canvas, ImageChops.multiply(warm, Image.merge("RGB", (mask, mask, mask))))
