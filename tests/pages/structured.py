"""Structured data: what search engines' documentation requires and recommends of the types that a shop uses."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from .findings import Finding

SCRIPT = re.compile(r'<script type="application/ld\+json">(.*?)</script>', re.DOTALL)
AVAILABILITIES = {
    "InStock", "OutOfStock", "PreOrder", "BackOrder", "LimitedAvailability", "MadeToOrder", "SoldOut", "Discontinued",
    "InStoreOnly", "OnlineOnly", "PreSale",
}  # fmt: skip
CONDITIONS = {"NewCondition", "UsedCondition", "RefurbishedCondition", "DamagedCondition"}
# Required and recommended properties by type. Left out of the recommended ones: `gtin` and `mpn` (we make these goods,
# nobody registered them), `priceValidUntil` (prices have no end), an offer's shipping (it follows from zones, weights
# and the cart), and a site's SearchAction, which engines dropped.
EXPECTED: dict[str, tuple[set[str], set[str]]] = {
    "Product": ({"name", "image", "offers"}, {"description", "sku", "brand", "material", "url"}),
    "Offer": ({"price", "priceCurrency"}, {"availability", "itemCondition", "url", "sku", "seller"}),
    "AggregateRating": ({"ratingValue", "reviewCount"}, {"bestRating", "worstRating"}),
    "Review": ({"author", "reviewRating"}, {"datePublished", "reviewBody"}),
    "Rating": ({"ratingValue"}, {"bestRating"}),
    "Brand": ({"name"}, set()),
    "Person": ({"name"}, set()),
    "BreadcrumbList": ({"itemListElement"}, set()),
    "ListItem": ({"position", "name", "item"}, set()),
    "Organization": (
        {"name", "url"},
        {"logo", "address", "email", "telephone", "legalName", "hasMerchantReturnPolicy"},
    ),
    "OnlineStore": ({"name", "url"}, {"logo", "address", "email", "telephone", "legalName", "hasMerchantReturnPolicy"}),
    "PostalAddress": ({"streetAddress", "addressLocality", "postalCode", "addressCountry"}, {"addressRegion"}),
    "MerchantReturnPolicy": (
        {"applicableCountry", "returnPolicyCategory"},
        {"merchantReturnDays", "returnMethod", "merchantReturnLink"},
    ),
    "WebSite": ({"name", "url"}, {"publisher", "inLanguage"}),
}
PRICE = re.compile(r"\d+(\.\d{1,3})?")
CURRENCY = re.compile(r"[A-Z]{3}")
URL = re.compile(r"https://[^\s<>\"]+")
# Some of these hold only where it is filled in: an engine shows nothing for a shop without a state, or a shop abroad.
MAY_BE_EMPTY = {"addressRegion", "material", "reviewBody"}


def _one_of(names: set[str]) -> Callable[[Any], bool]:
    return lambda value: str(value).removeprefix("https://schema.org/") in names


def _is_url(value: Any) -> bool:
    values = value if isinstance(value, list) else [value]
    return bool(values) and all(isinstance(one, str) and URL.fullmatch(one) for one in values)


FORMS: dict[str, Callable[[Any], bool]] = {
    "price": lambda value: bool(PRICE.fullmatch(str(value))),
    "priceCurrency": lambda value: bool(CURRENCY.fullmatch(str(value))),
    "availability": _one_of(AVAILABILITIES),
    "itemCondition": _one_of(CONDITIONS),
    "url": _is_url,
    "image": _is_url,
    "logo": _is_url,
    "item": _is_url,
    "merchantReturnLink": _is_url,
    "ratingValue": lambda value: 1 <= float(value) <= 5,
    "reviewCount": lambda value: int(value) > 0,
    "position": lambda value: isinstance(value, int) and value > 0,
    "applicableCountry": lambda value: bool(value) and all(re.fullmatch(r"[A-Z]{2}", one) for one in value),
}


def errors(page: str, text: str, wanted: set[str]) -> Iterator[Finding]:
    """Check the structured data of a page, which must have nodes of the wanted types."""
    found: set[str] = set()
    for source in SCRIPT.findall(text):
        try:
            data = json.loads(source)
        except ValueError as error:
            yield Finding(page, "structured", f"cannot be parsed: {error}")
            continue
        if not isinstance(data, dict) or data.get("@context") != "https://schema.org":
            yield Finding(page, "structured", "its context is not https://schema.org")
            continue
        for node in data.get("@graph", [data]):
            if isinstance(node, dict):
                found.add(str(node.get("@type")))
            yield from _node(page, node)
    for missing in sorted(wanted - found):
        yield Finding(page, "structured", f"has no {missing}")


def _node(page: str, node: Any) -> Iterator[Finding]:
    if not isinstance(node, dict):
        yield Finding(page, "structured", f"is no object: {node!r}")
        return
    kind = str(node.get("@type", ""))
    if not kind:
        if set(node) != {"@id"}:
            yield Finding(page, "structured", f"has no type: {sorted(node)}")
        return
    if kind not in EXPECTED:
        yield Finding(page, "structured", f"{kind} is a type nobody wrote rules for")
        return
    required, recommended = EXPECTED[kind]
    for name in sorted(required | recommended):
        if name not in node or (node[name] in ("", None, [], {}) and name not in MAY_BE_EMPTY):
            word = "required" if name in required else "recommended"
            yield Finding(page, "structured", f"{kind} lacks {name} ({word})")
    yield from _values(page, kind, node)
    if kind == "BreadcrumbList":
        places = [item.get("position") for item in node.get("itemListElement", [])]
        if len(places) < 2 or places != list(range(1, len(places) + 1)):
            yield Finding(page, "structured", f"BreadcrumbList counts {places}")


def _values(page: str, kind: str, node: dict[str, Any]) -> Iterator[Finding]:
    for name, value in node.items():
        if name in FORMS and value not in ("", None, []):
            try:
                right = FORMS[name](value)
            except (TypeError, ValueError):
                right = False
            if not right:
                yield Finding(page, "structured", f"{kind} has a wrong {name}: {value!r}")
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, dict):
                yield from _node(page, part)
