"""The design's own pictures, drawn once and kept in static/img: the scene of the home page, the card that other sites
show when someone shares a link, and the icons."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

from .goods import lamps, play, sculpture, vases
from .mesh import Scene, move, scale, turn
from .palette import FILAMENTS, PARTS, finishes
from .studio import Finish, Shot, Studio

LIGHT = (239, 224, 203)  # the same as .hero in shop.css
DARK = (50, 42, 53)
ARCHES = (("#b4502c", 16, 5), ("#e0a23c", 9, 4), ("#2c8f94", 3, 3))


def still_life() -> tuple[Scene, dict[str, Finish]]:
    """Some of our goods on one table."""
    looks = finishes("Terracotta")
    scene: Scene = []
    for number, (meshes, colours) in enumerate(
        (
            (move(vases.ridge_vase(), -112, 40), ("Terracotta",)),
            (move(scale(vases.spiral_vase(), 1.12), -30, 84), ("Turquoise",)),
            (move(scale(lamps.moon_lamp(), 1.05), 66, 52), ("Walnut",)),
            (move(scale(turn(sculpture.fox(), 14), 0.92), -34, -44), ("Terracotta", "Ivory")),
            (move(scale(vases.facet_planter(), 0.72), 150, -16), ("Saffron",)),
            (move(scale(turn(play.planetary(), 8), 0.44), 62, -78), ("Persian Blue", "Saffron", "Ivory")),
            (move(play.die20(-118, -52, 0, 15, "main"), 0, 0), ("Pomegranate",)),
        )
    ):
        for mesh in meshes:
            if mesh.part in PARTS:
                colour = FILAMENTS[colours[PARTS.index(mesh.part) % len(colours)]]
                mesh.part = f"{number} {mesh.part}"
                looks[mesh.part] = Finish(colour.rgb, colour.gloss)
        scene += meshes
    return scene, looks


def draw_scenes(folder: Path) -> None:
    """hero-*.{avif,webp,jpg} for light and dark pages, and share.jpg."""
    studio = Studio(*still_life(), patience=2)
    for name, paper in (("hero", LIGHT), ("hero-dark", DARK)):
        picture = studio.shoot(Shot(10, 15, paper, fill=0.86, width=1280, height=900, centre=(0.48, 0.53)))
        for width in (640, 1280):
            sized = picture.resize((width, width * 900 // 1280), Image.Resampling.LANCZOS)
            sized.save(folder / f"{name}-{width}.avif", quality=62, speed=4)
            if name == "hero":
                sized.save(folder / f"{name}-{width}.webp", quality=80, method=6)
    picture = studio.shoot(Shot(10, 15, LIGHT, fill=0.84, width=1200, height=630, centre=(0.48, 0.53)))
    picture.save(folder / "share.jpg", quality=84, optimize=True, progressive=True)
    picture = studio.shoot(Shot(10, 15, LIGHT, fill=0.86, width=640, height=450, centre=(0.48, 0.53)))
    picture.save(folder / "hero-640.jpg", quality=82, optimize=True, progressive=True)


def draw_icons(folder: Path) -> None:
    """Nested arches, as in parts/logo.svg, for places that take no SVG."""
    paths = "".join(f'<path fill="{colour}" d="{arch(r, r - w)}"/>' for colour, r, w in ARCHES)
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 40">{paths}</svg>\n'
    (folder / "favicon.svg").write_text(svg, encoding="utf-8")
    for name, size, paper in (
        ("favicon-32.png", 32, None),
        ("apple-touch-icon.png", 180, LIGHT),
        ("icon-192.png", 192, LIGHT),
        ("icon-512.png", 512, LIGHT),
    ):
        icon(size, paper).save(folder / name, optimize=True)
    # A launcher may cut a circle out of it: what matters stays within four fifths of the width.
    icon(512, LIGHT, margin=0.24).save(folder / "icon-maskable-512.png", optimize=True)


def arch(outer: int, inner: int) -> str:
    """The outline of an arch 18 high under its bow; without an inner bow it is a gate."""
    line = f"M{20 - outer} 38V20a{outer} {outer} 0 0 1 {2 * outer} 0v18"
    return f"{line}h-{outer - inner}V20a{inner} {inner} 0 0 0-{2 * inner} 0v18z" if inner else f"{line}z"


def icon(size: int, paper: tuple[int, int, int] | None, margin: float = 0.14) -> Image.Image:
    big = size * 4
    image = Image.new("RGBA", (big, big), (*paper, 255) if paper else (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    margin = margin if paper else 0.0
    k = big * (1 - 2 * margin) / 40
    x0 = big / 2
    y0 = big * margin + 20 * k
    clear = image.getpixel((0, 0))
    for colour, r, w in ARCHES:
        for reach, fill in ((r, colour), (r - w, clear)):
            if reach > 0:
                draw.ellipse([x0 - reach * k, y0 - reach * k, x0 + reach * k, y0 + reach * k], fill=fill)
                draw.rectangle([x0 - reach * k, y0, x0 + reach * k, y0 + 18 * k], fill=fill)
    return image.reduce(4)
