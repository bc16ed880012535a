"""Where pages tell that they were looked at. The answer says nothing, and no cookie is read or set."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, resolve
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from config.env import Rate
from pasargad.analytics.collecting import HOST, View, clean_term, is_bot, view_note
from pasargad.analytics.models import Page
from pasargad.clients import client_address
from pasargad.languages import without_prefix

from ..limits import too_many

LARGEST = 2048
LIMIT = Rate(120, 60)
# Pages that are counted, by the name of their address. An order's page is nobody's business.
PAGES = {
    "home": Page.HOME, "product_list": Page.LIST, "category": Page.LIST, "product": Page.PRODUCT, "cart": Page.CART,
    "checkout": Page.CHECKOUT, "reviews": Page.OTHER, "compare": Page.OTHER, "info": Page.OTHER,
}  # fmt: skip


@csrf_exempt
@require_POST
def beacon(request: HttpRequest) -> HttpResponse:
    """Take note of one view: 204 whether it counted or not, 400 and 413 for what no page of ours sends."""
    agent = request.headers.get("User-Agent", "")[:300]
    if request.headers.get("DNT") == "1" or request.headers.get("Sec-GPC") == "1" or is_bot(agent):
        return HttpResponse(status=204)
    length = request.headers.get("Content-Length") or "0"
    if len(length) > 4 or not length.isdecimal() or int(length) > LARGEST or len(request.body) > LARGEST:
        return HttpResponse(status=413)
    if wait := too_many(request, "beacon", LIMIT):
        return HttpResponse(status=429, headers={"Retry-After": str(wait)})
    try:
        view = _view(json.loads(request.body), request.get_host())
    except (ValueError, RecursionError):
        return HttpResponse(status=400)
    if view is not None:
        view_note(view, address=client_address(request), agent=agent)
    return HttpResponse(status=204)


def _view(told: Any, host: str) -> View | None:
    """Return what a page tells, checked; None for a page that is not counted. Raises ValueError."""
    if not isinstance(told, dict) or not told.keys() <= {"p", "r", "q", "n"}:
        raise ValueError
    path, term, found = told.get("p"), told.get("q", ""), told.get("n")
    if not isinstance(path, str) or not isinstance(term, str) or len(path) > 300 or not path.startswith("/"):
        raise ValueError
    if found is not None and (not isinstance(found, int) or isinstance(found, bool) or not 0 <= found < 1_000_000):
        raise ValueError
    try:
        found_at = resolve(without_prefix(path))
    except Resolver404:
        return None
    page = None if found_at.namespaces else PAGES.get(found_at.url_name or "")
    if page is None:
        return None
    wanted = clean_term(term) if page == Page.LIST else ""
    if page == Page.LIST and term:
        return View(Page.SEARCH, _referrer(told.get("r", ""), host), wanted, found)
    return View(page, _referrer(told.get("r", ""), host))


def _referrer(text: Any, host: str) -> str:
    """Return the host that a visit came from: empty for none, for our own and for what is no host."""
    if not isinstance(text, str) or len(text) > 300:
        raise ValueError
    found = (urlsplit(text).hostname or "").lower().removeprefix("www.")
    own = host.split(":")[0].lower().removeprefix("www.")
    return found if found != own and HOST.fullmatch(found) else ""
