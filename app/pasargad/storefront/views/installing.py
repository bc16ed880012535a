"""What makes the shop a thing on a phone's screen: the manifest, the service worker and the page without a network."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.urls import reverse
from django.utils.translation import get_language, get_language_bidi, gettext
from django.views.decorators.http import require_safe

from pasargad import languages

from ..caching import shared

PAPER = "#fbf6ee"
SHELL = ("css/shop.css", "css/rtl.css", "js/shop.js", "img/favicon.svg")
# A second lock: these are never `public`, which is the first.
NEVER_KEPT = ("cart", "checkout", "orders", "wishlist", "account", "accounts", "api", "seen", "health")


@shared
@require_safe
def manifest(request: HttpRequest) -> HttpResponse:
    """Describe the shop to whoever puts it on a home screen (W3C web app manifest)."""
    icons = [("img/icon-192.png", 192, "any"), ("img/icon-512.png", 512, "any")]
    icons.append(("img/icon-maskable-512.png", 512, "maskable"))
    described: dict[str, Any] = {
        "id": "/",
        "name": settings.BUSINESS.name,
        "short_name": settings.BUSINESS.name[:30],
        "description": gettext("Things worth keeping, printed in layers, to order."),
        "lang": get_language(),
        "dir": "rtl" if get_language_bidi() else "ltr",
        "start_url": reverse("home"),
        "scope": "/",
        "display": "standalone",
        "background_color": PAPER,
        "theme_color": PAPER,
        "categories": ["shopping"],
        "icons": [
            {"src": static(path), "sizes": f"{size}x{size}", "type": "image/png", "purpose": purpose}
            for path, size, purpose in icons
        ],
        "shortcuts": [
            {"name": gettext("All goods"), "url": reverse("product_list")},
            {"name": gettext("Find my order"), "url": reverse("order_find")},
        ],
    }
    return HttpResponse(json.dumps(described, ensure_ascii=False), content_type="application/manifest+json")


@shared
@require_safe
def service_worker(request: HttpRequest) -> HttpResponse:
    """Return the worker of this release: its text differs with the release and its files, so browsers take it anew."""
    offline = {languages.split(path)[0]: path for path in _in_every_language(reverse("offline"))}
    shell = [*offline.values(), *(url for path in SHELL if (url := static(path)).startswith("/"))]
    named = hashlib.sha256("\n".join([settings.PASARGAD_RELEASE, *shell]).encode()).hexdigest()[:16]
    told = {
        "version": named,
        "own": settings.LANGUAGE_CODE,
        "offline": offline,
        "shell": shell,
        "static": settings.STATIC_URL,
        "media": settings.MEDIA_URL,
        "never": [path for name in NEVER_KEPT for path in _in_every_language(f"/{name}/")],
    }
    text = render_to_string("storefront/service-worker.js", {"told": json.dumps(told)})
    # The type that the proxy compresses.
    return HttpResponse(text, content_type="application/javascript; charset=utf-8")


def _in_every_language(path: str) -> list[str]:
    return [languages.path_in(path, one.code) for one in languages.spoken()]


@shared
@require_safe
def offline(request: HttpRequest) -> HttpResponse:
    return render(request, "storefront/offline.html")
