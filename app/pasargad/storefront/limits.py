"""Rate limits for one client address, counted in Redis; when Redis is away, nobody is refused."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django_redis.exceptions import ConnectionInterrupted
from redis.exceptions import RedisError

from config.env import Rate
from pasargad.clients import client_address

logger = logging.getLogger(__name__)
View = Callable[..., HttpResponse]


def too_many(request: HttpRequest, name: str, rate: Rate) -> int:
    """Count this request; returns 0, or in how many seconds the next one is welcome."""
    if not settings.RATE_LIMITS.enabled:
        return 0
    window, elapsed = divmod(int(time.time()), rate.seconds)
    address = hashlib.sha256(client_address(request).encode()).hexdigest()[:20]
    key = f"{name}:{address}:{window}"
    counts = caches["limits"]
    try:
        # Only the first request of a window creates the key; all others count atomically.
        if counts.add(key, 1, timeout=rate.seconds + 1):
            return 0
        return 0 if counts.incr(key) <= rate.limit else rate.seconds - elapsed
    except ValueError:
        # The window ended between the two calls.
        return 0
    except (ConnectionInterrupted, RedisError, OSError) as error:
        logger.warning("rate limits do not work", extra={"limit": name, "reason": str(error)})
        return 0


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
