"""Fill the catalogue with demonstration goods and their pictures."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from pasargad.catalog.demo import catalogue, seeding
from pasargad.catalog.models import Product


class Command(BaseCommand):
    help = "Fill the catalogue with demonstration goods and draw their pictures; run again, it changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--products",
            type=int,
            default=0,
            metavar="N",
            help="fill up to N products with numbered copies, for measurements (the originals count)",
        )

    def handle(self, *, products: int, **options: Any) -> None:
        begun = time.monotonic()
        goods = catalogue.load()
        missing = list(seeding.seed(goods))
        for done, good in enumerate(seeding.draw_pictures(missing) if missing else (), start=1):
            self.say(f"drawn {done}/{len(missing)}: {good.name}", options)
        for good in seeding.add_shapes(goods):
            self.say(f"modelled {good.name}", options)
        for made in seeding.multiply(goods, products):
            self.say(f"copied {made}", options)
        total = Product.objects.count()
        seconds = time.monotonic() - begun
        self.stdout.write(f"{total} products, {len(missing)} of them with new pictures, in {seconds:.1f} s")

    def say(self, text: str, options: dict[str, Any]) -> None:
        if options["verbosity"] > 0:
            self.stderr.write(text)
