"""Shapes in three dimensions: binary glTF 2.0, judged by content, never by name."""

from __future__ import annotations

import json
import struct

from django.utils.translation import gettext as _

from .exceptions import ShapeRefused

MAGIC = 0x46546C67
JSON_CHUNK = 0x4E4F534A
MAX_BYTES = 15_000_000
HEADER = struct.Struct("<III")
CHUNK = struct.Struct("<II")


def check(content: bytes) -> None:
    """Raise ShapeRefused unless this is a whole binary glTF file that asks for nothing outside of itself."""
    if len(content) > MAX_BYTES:
        raise ShapeRefused(_("The file is larger than %(size)d megabytes.") % {"size": MAX_BYTES // 1_000_000})
    if len(content) < HEADER.size + CHUNK.size:
        raise ShapeRefused(_("The file is not a binary glTF model."))
    magic, version, length = HEADER.unpack_from(content)
    if magic != MAGIC:
        raise ShapeRefused(_("The file is not a binary glTF model."))
    if version != 2:
        raise ShapeRefused(_("Only glTF 2.0 can be shown; this is version %(version)d.") % {"version": version})
    if length != len(content):
        raise ShapeRefused(_("The file is damaged: its length is not what it says."))
    size, kind = CHUNK.unpack_from(content, HEADER.size)
    start = HEADER.size + CHUNK.size
    if kind != JSON_CHUNK or start + size > len(content):
        raise ShapeRefused(_("The file is damaged: it has no description."))
    try:
        described = json.loads(content[start : start + size])
    except (ValueError, RecursionError) as error:
        raise ShapeRefused(_("The file is damaged: its description cannot be read.")) from error
    if not isinstance(described, dict) or not isinstance(described.get("asset"), dict) or not described.get("meshes"):
        raise ShapeRefused(_("The file describes nothing that can be seen."))
    for part in ("buffers", "images"):
        for item in described.get(part) or []:
            if not isinstance(item, dict) or "uri" in item:
                raise ShapeRefused(_("The model must hold all its parts itself, not name other files."))
