"""The rules of all flags as each process keeps them: asked for in Redis once a second, in the database when Redis has
none, or is away for a minute, and kept as they were while neither answers.

Redis holds a generation and, under it, the rules. Switching a flag begins a new generation after the commit, so what
a slow reader stores of the old rules is stored under the old one, where nobody looks any more.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.core.cache import cache
from django.db import DatabaseError, InterfaceError, connection, transaction
from django_redis.exceptions import ConnectionInterrupted
from redis.exceptions import RedisError

from .rules import Rule

logger = logging.getLogger(__name__)
GENERATION_KEY = "flags:generation"
# Everything in Redis expires. Rules are read anew after a minute even if a change was not announced.
GENERATION_SECONDS = 86_400
RULES_SECONDS = 60
CHECK_SECONDS = 1.0
AWAY_SECONDS = 4.0


@dataclass(frozen=True)
class Kept:
    """Rules by flag, of one generation; monotonic times of when they were read and when they were last compared."""

    rules: Mapping[str, Rule] = field(default_factory=dict)
    generation: int | None = None
    read_at: float = float("-inf")
    checked_at: float = float("-inf")


_lock = threading.Lock()
_kept = Kept()


def rules() -> Mapping[str, Rule]:
    """Return the rules; whoever comes while another thread asks gets what is here."""
    now = time.monotonic()
    if now - _kept.checked_at < CHECK_SECONDS or not _lock.acquire(blocking=_kept.generation is None):
        return _kept.rules
    try:
        _refresh(now)
    finally:
        _lock.release()
    return _kept.rules


def announce() -> None:
    """Make every process read the rules anew, within a second."""
    forget()
    try:
        _redis(cache.incr, GENERATION_KEY)
    except ValueError:
        _redis(cache.set, GENERATION_KEY, time.time_ns(), GENERATION_SECONDS)


def forget() -> None:
    """Drop what this process knows."""
    global _kept
    _kept = Kept()


def keep(found: Mapping[str, Rule]) -> None:
    """Take rules as the present ones, here and in Redis, without asking the database."""
    global _kept
    generation = time.time_ns()
    _redis(cache.set, GENERATION_KEY, generation, GENERATION_SECONDS)
    _share(generation, found)
    now = time.monotonic()
    _kept = Kept(found, generation, now, now)


def _refresh(now: float) -> None:
    global _kept
    if now - _kept.checked_at < CHECK_SECONDS:
        return
    generation = _redis(cache.get, GENERATION_KEY)
    if now - _kept.read_at < RULES_SECONDS and generation in (_kept.generation, None):
        # A Redis that forgot, or is away, says nothing against what was read a moment ago; it is asked less often, as
        # one that does not answer costs its timeout.
        asked_at = now + (AWAY_SECONDS if generation is None else 0)
        _kept = Kept(_kept.rules, _kept.generation, _kept.read_at, asked_at)
        return
    if generation is None:
        # Redis is new, or away: of several that find this out one names the generation.
        _redis(cache.add, GENERATION_KEY, time.time_ns(), GENERATION_SECONDS)
        generation = _redis(cache.get, GENERATION_KEY)
    found = _shared(generation) if generation is not None else None
    if found is None:
        found = _from_database()
        if found is not None and generation is not None:
            _share(generation, found)
    asked_at = now + (AWAY_SECONDS if generation is None else 0)
    if found is None:
        # Neither answers: what was known stays, and without any knowledge the defaults hold.
        _kept = Kept(_kept.rules, _kept.generation, _kept.read_at, asked_at)
    else:
        _kept = Kept(found, generation or 0, now, asked_at)


def _redis(call: Callable[..., Any], *arguments: Any) -> Any:
    """Ask Redis, whatever the settings say of its errors: a flag must not fail because it is away."""
    try:
        return call(*arguments)
    except (ConnectionInterrupted, RedisError, OSError):
        return None


def _shared(generation: int) -> dict[str, Rule] | None:
    text = _redis(cache.get, f"flags:rules:{generation}")
    return {name: Rule.from_json(rule) for name, rule in json.loads(text).items()} if text else None


def _share(generation: int, found: Mapping[str, Rule]) -> None:
    text = json.dumps({name: rule.as_json() for name, rule in found.items()})
    _redis(cache.set, f"flags:rules:{generation}", text, RULES_SECONDS)


def _from_database() -> dict[str, Rule] | None:
    from .models import FlagRule

    columns = ("name", "is_on", "percentage", "for_staff", "starts_at", "ends_at")
    if connection.needs_rollback:
        # The caller's transaction is lost already; a failing query here would hide why.
        return None
    try:
        # In a transaction a failed statement would spoil what the caller does next: a savepoint keeps it whole.
        with transaction.atomic():
            rows = list(FlagRule.objects.values_list(*columns))
    except (DatabaseError, InterfaceError) as error:
        logger.warning("flags cannot be read", extra={"reason": type(error).__name__})
        return None
    return {name: Rule(*rule) for name, *rule in rows}
