"""Structured data for search engines (schema.org)."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings

from pasargad.catalog.models import Product

from .presenting import Crumb, Picture, VariantView

AVAILABILITY = {
    "in_stock": "https://schema.org/InStock",
    "low": "https://schema.org/LimitedAvailability",
    "made_to_order": "https://schema.org/MadeToOrder",
    "sold_out": "https://schema.org/OutOfStock",
}
# What would end the script element, or begin a comment in it, is written as escapes.
ESCAPES = {ord("<"): "\\u003C", ord(">"): "\\u003E", ord("&"): "\\u0026"}


def product_data(product: Product, variants: list[VariantView], pictures: list[Picture], crumbs: list[Crumb]) -> str:
    """Return JSON-LD of a product page, safe inside a script element."""
    url = f"{settings.SITE_URL}/p/{product.slug}/"
    offers = [
        {
            "@type": "Offer",
            "sku": variant.sku,
            "url": f"{settings.SITE_URL}{variant.url}",
            "price": str(variant.price.decimal),
            "priceCurrency": variant.price.currency.upper(),
            "availability": AVAILABILITY[variant.stock.state],
            "itemCondition": "https://schema.org/NewCondition",
        }
        for variant in variants
    ]
    graph: list[dict[str, Any]] = [
        {
            "@type": "Product",
            "@id": url,
            "name": product.name,
            "description": product.summary or product.description[:300],
            "image": [absolute(picture.src) for picture in pictures],
            "sku": variants[0].sku if variants else "",
            "brand": {"@type": "Brand", "name": settings.BUSINESS.name},
            "material": product.material,
            "offers": offers,
        },
        {
            "@type": "BreadcrumbList",
            "itemListElement": [
                {"@type": "ListItem", "position": place, "name": crumb.name, "item": f"{settings.SITE_URL}{crumb.url}"}
                for place, crumb in enumerate(crumbs, 1)
            ],
        },
    ]
    return json.dumps({"@context": "https://schema.org", "@graph": graph}, ensure_ascii=False).translate(ESCAPES)


def absolute(url: str) -> str:
    return url if url.startswith("http") else f"{settings.SITE_URL}{url}"
