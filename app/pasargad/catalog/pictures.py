"""Pictures in the sizes and formats that pages ask for, made once when a picture is added."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageOps, UnidentifiedImageError

from .exceptions import PictureRefused

WIDTHS = (320, 640, 960, 1280)
MAX_PIXELS = 40_000_000
Formats = Mapping[str, tuple[str, Mapping[str, Any]]]
FORMATS: Formats = {
    "avif": ("AVIF", {"quality": 60, "speed": 8}),
    "webp": ("WEBP", {"quality": 78, "method": 4}),
    "jpeg": ("JPEG", {"quality": 80, "optimize": True, "progressive": True}),
}
# A fifth of the work: AVIF saves a tenth of WebP's bytes and takes seven times as long.
QUICK_FORMATS: Formats = {
    "webp": ("WEBP", {"quality": 78, "method": 2}),
    "jpeg": ("JPEG", {"quality": 80, "optimize": True}),
}


@dataclass(frozen=True)
class Rendition:
    format: str
    width: int
    height: int
    content: bytes


@dataclass(frozen=True)
class Rendered:
    """A picture ready to be stored; `digest` names its content."""

    digest: str
    width: int
    height: int
    color: str
    original_format: str
    renditions: list[Rendition]


def open_picture(content: bytes) -> tuple[Image.Image, str]:
    """Return the upright picture without transparency, and its format; judges by content, never by name."""
    try:
        with Image.open(io.BytesIO(content), formats=["PNG", "JPEG", "WEBP", "AVIF"]) as found:
            if found.width * found.height > MAX_PIXELS:
                raise PictureRefused(f"The picture has more than {MAX_PIXELS // 1_000_000} million pixels.")
            kind = str(found.format).lower()
            upright = ImageOps.exif_transpose(found)
            if not upright.has_transparency_data:
                return upright.convert("RGB"), kind
            upright = upright.convert("RGBA")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise PictureRefused("The file is not a readable PNG, JPEG, WebP or AVIF picture.") from error
    ground = Image.new("RGBA", upright.size, "white")
    ground.alpha_composite(upright)
    return ground.convert("RGB"), kind


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def render(content: bytes, formats: Formats = FORMATS) -> Rendered:
    """Make all renditions of a picture; none is wider than the picture itself."""
    picture, kind = open_picture(content)
    widths = [width for width in WIDTHS if width < picture.width]
    widths.append(min(picture.width, WIDTHS[-1]))
    renditions = []
    sized = picture
    # From large to small, each made of the one before: half a width is the mean of four pixels.
    for width in sorted(set(widths), reverse=True):
        height = max(1, round(picture.height * width / picture.width))
        if width != sized.width:
            half = (sized.width, sized.height) == (2 * width, 2 * height)
            sized = sized.reduce(2) if half else sized.resize((width, height), Image.Resampling.LANCZOS)
        for name, (encoder, options) in formats.items():
            output = io.BytesIO()
            sized.save(output, encoder, **options)
            renditions.append(Rendition(name, width, height, output.getvalue()))
    renditions.reverse()
    red, green, blue = picture.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))  # type: ignore[misc]
    color = f"#{red:02x}{green:02x}{blue:02x}"
    return Rendered(digest_of(content), picture.width, picture.height, color, kind, renditions)
