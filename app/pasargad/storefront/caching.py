"""Which answers shared caches may keep."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_cache_control

from pasargad.flags import same_for_everybody

View = Callable[..., HttpResponse]


def shared(view: View) -> View:
    """Mark a page that is the same for everybody: the proxy may keep it, and serve it stale while it fetches a new one.

    Browsers ask again each time (`max-age=0`), because nothing can take a page back from them.
    """

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with same_for_everybody():
            response = view(request, *args, **kwargs)
        # A permanent redirect without a word on caching would be kept for ever, though its address may be taken again.
        if response.status_code in (200, 301, 404) and not response.cookies:
            pages = settings.PAGES
            patch_cache_control(
                response,
                public=True,
                max_age=0,
                s_maxage=pages.shared_seconds,
                stale_while_revalidate=pages.stale_seconds,
                stale_if_error=pages.stale_seconds,
            )
        return response

    return wrapped


def private(view: View) -> View:
    """Mark a page that belongs to one shopper: nobody keeps it."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = view(request, *args, **kwargs)
        response.headers["Cache-Control"] = "private, no-store"
        return response

    return wrapped
