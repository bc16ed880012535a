"""The map for search engines: an index, and lists of addresses that stay where they are when goods are added."""

from __future__ import annotations

from collections.abc import Callable
from xml.sax.saxutils import escape

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from pasargad import languages
from pasargad.catalog.models import Category, Product

from ..caching import shared
from .info import PAGES

# Products are put into lists by their number, so no list has to be counted through; protocol's limit is 50,000.
LIST_SIZE = 5000
KEPT_SECONDS = 3600
NAMESPACE = "http://www.sitemaps.org/schemas/sitemap/0.9"
XHTML = "http://www.w3.org/1999/xhtml"


@shared
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    return _kept("index", _index)


@shared
@require_safe
def pages(request: HttpRequest) -> HttpResponse:
    return _kept("pages", _pages)


@shared
@require_safe
def products(request: HttpRequest, number: int) -> HttpResponse:
    return _kept(f"products:{number}", lambda: _products(number))


def _index() -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id / %s, max(updated_at) FROM catalog_product WHERE state = 'published' GROUP BY 1 ORDER BY 1",
            [LIST_SIZE],
        )
        lists = cursor.fetchall()
    entries = [_entry("sitemap", reverse("sitemap_pages"))]
    entries += [_entry("sitemap", reverse("sitemap_products", args=[number]), f"{at:%Y-%m-%d}") for number, at in lists]
    return _document("sitemapindex", entries)


def _pages() -> str:
    paths = [reverse("home"), reverse("product_list"), *(reverse("info", args=[page]) for page in sorted(PAGES))]
    slugs = Category.objects.filter(is_active=True, products__state=Product.State.PUBLISHED).distinct()
    paths += [reverse("category", args=[slug]) for slug in slugs.order_by("path").values_list("slug", flat=True)]
    return _document("urlset", [entry for path in paths for entry in _in_every_language(path)])


def _products(number: int) -> str:
    if number > 10**9:
        raise Http404
    first = number * LIST_SIZE
    rows = Product.objects.published().filter(pk__gte=first, pk__lt=first + LIST_SIZE).order_by("pk")
    found = rows.values_list("slug", "updated_at")
    entries = [
        entry for slug, at in found for entry in _in_every_language(reverse("product", args=[slug]), f"{at:%Y-%m-%d}")
    ]
    if not entries:
        raise Http404
    return _document("urlset", entries)


def _in_every_language(path: str, changed: str = "") -> list[str]:
    """Return an entry for each language's address of a page; each names all of them, as the protocol wants it."""
    addresses = [(one.code, languages.path_in(path, one.code)) for one in languages.spoken()]
    links = "".join(
        f'<xhtml:link rel="alternate" hreflang="{code}" href="{escape(settings.SITE_URL + address)}"/>'
        for code, address in (*addresses, ("x-default", path))
    )
    return [_entry("url", address, changed, links) for _code, address in addresses]


def _entry(tag: str, path: str, changed: str = "", links: str = "") -> str:
    lastmod = f"<lastmod>{changed}</lastmod>" if changed else ""
    return f"<{tag}><loc>{escape(settings.SITE_URL + path)}</loc>{lastmod}{links}</{tag}>"


def _document(tag: str, entries: list[str]) -> str:
    body = "\n".join(entries)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<{tag} xmlns="{NAMESPACE}" xmlns:xhtml="{XHTML}">\n{body}\n</{tag}>\n'
    )


def _kept(name: str, make: Callable[[], str]) -> HttpResponse:
    # A release with other languages writes other texts: the number changes with what they say.
    key = f"storefront:sitemap:2:{name}"
    text = cache.get(key)
    if text is None:
        text = make()
        cache.set(key, text, KEPT_SECONDS)
    return HttpResponse(text, content_type="application/xml; charset=utf-8")
