"""The pictures of the demo goods: the whole thing, and a close look from the other side."""

from __future__ import annotations

import gc
from io import BytesIO

from PIL import Image

from ..pictures import QUICK_FORMATS, Rendered, render
from .catalogue import Good
from .palette import finishes
from .studio import Shot, Studio


def draw(good: Good) -> list[tuple[str, bytes]]:
    """(alternative text, JPEG) of each picture; the same recipe always gives the same bytes."""
    # Hundreds of thousands of small tuples without a cycle: looking for garbage among them takes a tenth of the time.
    gc.disable()
    studio = Studio(good.model(), finishes(good.colours[0], *good.trim))
    whole = Shot(good.azimuth, good.elevation, good.backdrop, fill=0.74)
    close = Shot(good.close_up, good.elevation + 6, good.backdrop, fill=1.12, centre=(0.5, 0.56))
    colour = good.colours[0].lower()
    drawn = [
        (f"{good.name} in {colour}, the whole piece", jpeg(studio.shoot(whole))),
        (f"{good.name} in {colour}, a close look at its layers", jpeg(studio.shoot(close))),
    ]
    gc.enable()
    return drawn


def ready(good: Good) -> list[tuple[str, bytes, Rendered]]:
    """The same with everything that pages ask for, so that whoever stores them has nothing left to work out."""
    return [(alt, content, render(content, QUICK_FORMATS)) for alt, content in draw(good)]


def jpeg(image: Image.Image) -> bytes:
    """The picture with nothing lost that an eye could see: packing it without any loss takes three times as long."""
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()
