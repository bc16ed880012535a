"""Rate limits for one client, counted in Redis; when Redis is away, nobody is refused."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from config.env import Rate
from pasargad.clients import limit_subject
from pasargad.limits import count

View = Callable[..., HttpResponse]


def too_many(request: HttpRequest, name: str, rate: Rate) -> int:
    """Count this request; returns 0, or in how many seconds the next one is welcome."""
    found = count(name, limit_subject(request), rate)
    return found.reset if found and found.exceeded else 0


def limited(name: str, *, methods: tuple[str, ...] = ("POST",)) -> Callable[[View], View]:
    """Refuse a view to a client that asks more often than RATE_LIMITS allows."""

    def decorate(view: View) -> View:
        @wraps(view)
        def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if request.method in methods and (wait := too_many(request, name, getattr(settings.RATE_LIMITS, name))):
                return refused(request, wait)
            return view(request, *args, **kwargs)

        return wrapped

    return decorate


def refused(request: HttpRequest, wait: int) -> HttpResponse:
    response = render(request, "429.html", {"retry_after": wait}, status=429)
    response.headers["Retry-After"] = str(wait)
    response.headers["Cache-Control"] = "no-store"
    return response
