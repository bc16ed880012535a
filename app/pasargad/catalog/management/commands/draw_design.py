"""Draw the pictures that belong to the design itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from pasargad.catalog.demo import brand


class Command(BaseCommand):
    help = "Draw the home page's scene, the sharing card and the icons into static/img. Their results are committed."

    def handle(self, **options: Any) -> None:
        folder = Path(settings.BASE_DIR) / "static" / "img"
        brand.draw_icons(folder)
        brand.draw_scenes(folder)
        self.stdout.write(f"{len(list(folder.iterdir()))} pictures in {folder}")
