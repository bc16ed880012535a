"""Structured data for search engines (schema.org)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.urls import reverse

from pasargad.catalog.selectors import ProductDetail
from pasargad.orders.returns import RETURN_DAYS

from .presenting import Crumb, Picture, VariantView, product_url, rating

AVAILABILITY = {
    "in_stock": "https://schema.org/InStock",
    "low": "https://schema.org/LimitedAvailability",
    "made_to_order": "https://schema.org/MadeToOrder",
    "sold_out": "https://schema.org/OutOfStock",
}
# What would end the script element, or begin a comment in it, is written as escapes.
ESCAPES = {ord("<"): "\\u003C", ord(">"): "\\u003E", ord("&"): "\\u0026"}


def product_data(
    product: ProductDetail, variants: Sequence[VariantView], pictures: Sequence[Picture], crumbs: Sequence[Crumb]
) -> str:
    """Return JSON-LD of a product page, safe inside a script element."""
    described: dict[str, Any] = {
        "@type": "Product",
        "@id": f"{settings.SITE_URL}/p/{product.slug}/",
        "url": f"{settings.SITE_URL}{product_url(product.slug)}",
        "name": product.name,
        "description": product.summary or product.description[:300],
        "image": [absolute(picture.src) for picture in pictures],
        "sku": variants[0].sku if variants else "",
        "brand": {"@type": "Brand", "name": settings.BUSINESS.name},
        "material": product.material,
        "offers": [_offer(variant) for variant in variants],
    }
    if stars := rating(product.rating_sum, product.rating_count):
        described["aggregateRating"] = {
            "@type": "AggregateRating",
            "ratingValue": stars.text,
            "reviewCount": stars.count,
            "bestRating": "5",
            "worstRating": "1",
        }
    return as_script([described, breadcrumb_list(crumbs)])


def _offer(variant: VariantView) -> dict[str, Any]:
    return {
        "@type": "Offer",
        "sku": variant.sku,
        "url": f"{settings.SITE_URL}{variant.url}",
        "price": str(variant.price.decimal),
        "priceCurrency": variant.price.currency.upper(),
        "availability": AVAILABILITY[variant.stock.state],
        "itemCondition": "https://schema.org/NewCondition",
        "seller": {"@id": f"{settings.SITE_URL}/#organization"},
    }


def breadcrumb_list(crumbs: Sequence[Crumb]) -> dict[str, Any]:
    return {
        "@type": "BreadcrumbList",
        "itemListElement": [
            {"@type": "ListItem", "position": place, "name": crumb.name, "item": f"{settings.SITE_URL}{crumb.url}"}
            for place, crumb in enumerate(crumbs, 1)
        ],
    }


@lru_cache(maxsize=4)
def organization_data(site_url: str, business: Any, logo: str, countries: tuple[str, ...], language: str) -> str:
    """Return JSON-LD of who runs the shop, and how goods come back, for the first page."""
    address = business.address
    organization = {
        "@type": "OnlineStore",
        "@id": f"{site_url}/#organization",
        "name": business.name,
        "legalName": business.legal_name or business.name,
        "url": f"{site_url}/",
        "logo": absolute(logo),
        "email": address.email,
        "telephone": address.phone,
        "address": {
            "@type": "PostalAddress",
            "streetAddress": address.street,
            "addressLocality": address.city,
            "addressRegion": address.state,
            "postalCode": address.zip,
            "addressCountry": address.country,
        },
        "hasMerchantReturnPolicy": {
            "@type": "MerchantReturnPolicy",
            "applicableCountry": list(countries),
            "returnPolicyCategory": "https://schema.org/MerchantReturnFiniteReturnWindow",
            "merchantReturnDays": RETURN_DAYS,
            "returnMethod": "https://schema.org/ReturnByMail",
            "merchantReturnLink": f"{site_url}{reverse('info', args=['returns'])}",
        },
    }
    site = {
        "@type": "WebSite",
        "@id": f"{site_url}/#website",
        "url": f"{site_url}/",
        "name": business.name,
        "publisher": {"@id": f"{site_url}/#organization"},
        "inLanguage": language,
    }
    return as_script([organization, site])


def as_script(graph: list[dict[str, Any]]) -> str:
    """Return a graph as JSON-LD that a script element can hold."""
    return json.dumps({"@context": "https://schema.org", "@graph": graph}, ensure_ascii=False).translate(ESCAPES)


def absolute(url: str) -> str:
    return url if url.startswith("http") else f"{settings.SITE_URL}{url}"
