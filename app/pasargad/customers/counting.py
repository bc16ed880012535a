"""Where the sign-in library counts attempts: beside the shop's own limits, and nobody is refused when Redis is away."""

from __future__ import annotations

import logging
from typing import Any

from django.core.cache import caches
from django_redis.exceptions import ConnectionInterrupted
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)
AWAY = (ConnectionInterrupted, RedisError, OSError)


class LimitsCache:
    """The part of a cache that the library uses; its own choice would be the cache of pages, which is pruned."""

    def add(self, key: str, value: Any, timeout: float | None = None) -> bool:
        try:
            return bool(caches["limits"].add(key, value, timeout=timeout))
        except AWAY as error:
            logger.warning("rate limits do not work", extra={"limit": "sign-in", "reason": str(error)})
            return True

    def get(self, key: str, default: Any = None) -> Any:
        try:
            return caches["limits"].get(key, default)
        except AWAY:
            return default

    def set(self, key: str, value: Any, timeout: float | None = None) -> None:
        try:
            caches["limits"].set(key, value, timeout=timeout)
        except AWAY:
            return

    def delete(self, key: str) -> None:
        try:
            caches["limits"].delete(key)
        except AWAY:
            return
