import json
from typing import Any

from django.core.management.base import BaseCommand
from django.urls import reverse

from pasargad.catalog import selectors

PRODUCTS = 6


class Command(BaseCommand):
    help = "Print a JSON list of paths worth asking for before a release goes live"

    def handle(self, **options: Any) -> None:
        paths = [reverse("home"), reverse("product_list"), reverse("cart")]
        paths += [reverse("category", args=[branch.slug]) for branch in selectors.category_tree()]
        paths += [reverse("product", args=[product.slug]) for product in selectors.products_newest(PRODUCTS)]
        self.stdout.write(json.dumps(paths))
