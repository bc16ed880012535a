"""Collects static files under names that carry their digest, and compresses them once for all requests to come."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import brotli  # type: ignore[import-untyped]

from .archive import Member
from .errors import BuildError
from .tools import run

MANIFEST = "staticfiles.json"
# Pictures, fonts and archives are compressed already.
COMPRESSED = {".css", ".js", ".mjs", ".svg", ".json", ".map", ".txt", ".xml", ".html", ".ico", ".ttf", ".webmanifest"}
BROTLI_QUALITY = 11
# Below one packet, or with less than a tenth saved, the second copy is not worth its place.
SMALLEST = 256
WORTH = 0.9


def collect(app: Path, python: Path) -> tuple[bytes, list[Member]]:
    """Return the manifest and the hashed files with their compressed copies; it writes into this copy of the shop."""
    run(
        [python, "manage.py", "collectstatic", "--noinput", "--verbosity", "0"],
        cwd=app,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings.build", "PYTHONDONTWRITEBYTECODE": "1"},
        what="collect the static files",
        hint="mend what the lines above name in app/; see it again with: cd app && "
        "DJANGO_SETTINGS_MODULE=config.settings.build ../.venv/bin/python manage.py collectstatic --dry-run",
    )
    root = app / "staticfiles"
    try:
        manifest = (root / MANIFEST).read_bytes()
        names = sorted(set(json.loads(manifest)["paths"].values()))
    except (OSError, ValueError, KeyError) as error:
        raise BuildError(
            f"collectstatic wrote no manifest {MANIFEST}",
            hint="STORAGES['staticfiles'] in config.settings.build must be ManifestStaticFilesStorage",
        ) from error
    members = []
    for name in names:
        content = (root / name).read_bytes()
        members.append(Member(name, content))
        members += [Member(name + suffix, packed) for suffix, packed in compressed(name, content)]
    return manifest, members


def compressed(name: str, content: bytes) -> list[tuple[str, bytes]]:
    """Return the copies worth keeping beside a file: suffix and bytes."""
    if Path(name).suffix not in COMPRESSED or len(content) < SMALLEST:
        return []
    copies = [
        (".gz", gzip.compress(content, 9, mtime=0)),
        (".br", bytes(brotli.compress(content, quality=BROTLI_QUALITY))),
    ]
    return [(suffix, packed) for suffix, packed in copies if len(packed) < WORTH * len(content)]
