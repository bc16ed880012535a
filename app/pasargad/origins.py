"""Where a browser says that a request comes from."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest


def is_ours(request: HttpRequest) -> bool:
    """Whether a request comes from a page of ours, or from no browser.

    One without `Sec-Fetch-Site`, `Origin` and `Referer` is not from a browser that follows a foreign page, so it
    carries nobody's cookies unwillingly.
    """
    trusted = {f"{request.scheme}://{request.get_host()}", *settings.CSRF_TRUSTED_ORIGINS}
    if origin := request.headers.get("Origin"):
        return origin in trusted
    if site := request.headers.get("Sec-Fetch-Site"):
        return site in ("same-origin", "none")
    if referer := request.headers.get("Referer"):
        parts = urlsplit(referer)
        return f"{parts.scheme}://{parts.netloc}" in trusted
    return True
