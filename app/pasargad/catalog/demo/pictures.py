"""The pictures of the demo goods: the whole thing, and a close look from the other side."""

from __future__ import annotations

import gc
from io import BytesIO

from PIL import Image

from .catalogue import Good
from .palette import finishes
from .studio import Shot, Studio


def draw(good: Good) -> list[tuple[str, bytes]]:
    """(alternative text, PNG) of each picture; the same recipe always gives the same bytes."""
    # Hundreds of thousands of small tuples without a cycle: looking for garbage among them takes a tenth of the time.
    gc.disable()
    studio = Studio(good.model(), finishes(good.colours[0], *good.trim))
    whole = Shot(good.azimuth, good.elevation, good.backdrop, fill=0.74)
    close = Shot(good.close_up, good.elevation + 6, good.backdrop, fill=1.12, centre=(0.5, 0.56))
    colour = good.colours[0].lower()
    drawn = [
        (f"{good.name} in {colour}, the whole piece", png(studio.shoot(whole))),
        (f"{good.name} in {colour}, a close look at its layers", png(studio.shoot(close))),
    ]
    gc.enable()
    return drawn


def png(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
