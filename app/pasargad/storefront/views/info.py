"""Pages of text."""

from __future__ import annotations

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from pasargad import languages
from pasargad.catalog import selectors
from pasargad.catalog.cards import cards_newest

from ..caching import shared

PAGES = {"about", "shipping", "returns", "privacy", "terms", "contact"}
PRODUCTS_TO_WARM = 6


@shared
@require_safe
def info(request: HttpRequest, page: str) -> HttpResponse:
    if page not in PAGES:
        raise Http404
    return render(request, f"storefront/info/{page}.html")


@shared
@require_safe
def robots(request: HttpRequest) -> HttpResponse:
    private = ["/cart/", "/checkout/", "/orders/", "/wishlist/", "/compare/", "/seen/"]
    closed = [languages.path_in(path, one.code) for one in languages.spoken() for path in private]
    lines = ["User-agent: *", *(f"Disallow: {path}" for path in closed)]
    lines.append(f"Sitemap: {settings.SITE_URL}{reverse('sitemap')}")
    return HttpResponse("\n".join([*lines, ""]), content_type="text/plain; charset=utf-8")


@shared
@require_safe
def security(request: HttpRequest) -> HttpResponse:
    """Say whom to tell of a weakness (RFC 9116); the text is good for a year from now."""
    expires = timezone.now().replace(year=timezone.now().year + 1, month=1, day=1, hour=0, minute=0, second=0)
    lines = [
        f"Contact: mailto:{settings.BUSINESS.security_email}",
        f"Expires: {expires:%Y-%m-%dT%H:%M:%SZ}",
        f"Canonical: {settings.SITE_URL}/.well-known/security.txt",
    ]
    return HttpResponse("\n".join([*lines, ""]), content_type="text/plain; charset=utf-8")


@never_cache
@require_safe
def warm(request: HttpRequest) -> HttpResponse:
    """List the paths worth asking for before a release goes live; the proxy keeps /health/ from the public."""
    paths = [reverse("home"), reverse("product_list"), reverse("cart")]
    paths += [reverse("category", args=[branch.slug]) for branch in selectors.category_tree()]
    paths += [reverse("product", args=[product.slug]) for product in cards_newest(PRODUCTS_TO_WARM)]
    # The others share the data that these fill in; their words are read with the first page.
    paths += [languages.path_in(reverse("home"), one.code) for one in languages.spoken()[1:]]
    return JsonResponse({"paths": paths})
