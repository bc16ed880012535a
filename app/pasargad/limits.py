"""Counts of rate limits in Redis; when Redis is away, nobody is refused."""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import dataclass

from django.conf import settings
from django.core.cache import caches
from django_redis.exceptions import ConnectionInterrupted
from redis.exceptions import RedisError

from config.env import Rate

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Count:
    """How a limit stands after a request was counted; `reset` is the rest of its window in seconds."""

    rate: Rate
    used: int
    reset: int

    @property
    def left(self) -> int:
        return max(0, self.rate.limit - self.used)

    @property
    def exceeded(self) -> bool:
        return self.used > self.rate.limit


def count(name: str, who: str, rate: Rate) -> Count | None:
    """Count one request of somebody; None where limits are off or cannot be counted."""
    if not settings.RATE_LIMITS.enabled:
        return None
    window, elapsed = divmod(int(time.time()), rate.seconds)
    digest = hashlib.sha256(who.encode()).hexdigest()[:20]
    key = f"{name}:{digest}:{window}"
    counts = caches["limits"]
    try:
        # Only the first request of a window creates the key; all others count atomically.
        used = 1 if counts.add(key, 1, timeout=rate.seconds + 1) else int(counts.incr(key))
    except ValueError:
        # The window ended between the two calls.
        used = 1
    except (ConnectionInterrupted, RedisError, OSError) as error:
        logger.warning("rate limits do not work", extra={"limit": name, "reason": str(error)})
        return None
    return Count(rate, used, rate.seconds - elapsed)
