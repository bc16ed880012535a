"""Taking note of views without keeping who looked.

A visitor is a hash of the address and the browser's name under a salt that is made anew each day and lives in Redis
only; so does the hash, for a day at most. Views wait in Redis and are written many at a time. What Redis cannot take is
not counted: no shopper waits for figures.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.core.cache import caches
from django.utils import timezone
from django_redis.exceptions import ConnectionInterrupted
from redis.exceptions import RedisError

from .models import Hit, Page

logger = logging.getLogger(__name__)

SESSION_SECONDS = 1800
DAY_SECONDS = 86400
MOST_WAITING = 20_000
PREFIX = "limits:analytics:"
# One round trip: whether the visitor, the session and the step are new, and the place in the buffer.
NOTE = """
if redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[4]) then return 0 end
local place = redis.call('INCR', KEYS[4])
local visitor = redis.call('SET', KEYS[1], 1, 'NX', 'EX', ARGV[1]) and 1 or 0
local session = redis.call('SET', KEYS[2], place, 'NX', 'EX', ARGV[2]) and 1 or 0
if session == 0 then redis.call('EXPIRE', KEYS[2], ARGV[2]) end
local step = KEYS[2] .. ':' .. redis.call('GET', KEYS[2]) .. ':' .. ARGV[3]
local new = redis.call('SET', step, 1, 'NX', 'EX', ARGV[1]) and 1 or 0
redis.call('ZADD', KEYS[3], place, visitor .. session .. new .. ARGV[5])
redis.call('EXPIRE', KEYS[3], 172800)
redis.call('EXPIRE', KEYS[4], 604800)
return 1
"""
BOTS = re.compile(
    r"bot|crawl|spider|slurp|preview|fetch|monitor|probe|scan|headless|phantom|selenium|puppeteer|playwright|lighthouse|"
    r"python|curl|wget|httpx|okhttp|java/|go-http|libwww|facebookexternalhit|embedly|validator",
    re.IGNORECASE,
)
HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,98}[a-z0-9])?")
# Terms that look like somebody's address or number are not kept.
PERSONAL = re.compile(r"@|\d[\d\s().+-]{5,}")


@dataclass(frozen=True)
class View:
    """One view of a page, checked: `referrer` is a host, `found` how many goods a search found."""

    page: Page
    referrer: str = ""
    term: str = ""
    found: int | None = None


def is_bot(agent: str) -> bool:
    """Whether a browser's name is none of a person's browser."""
    return len(agent) < 20 or bool(BOTS.search(agent))


def clean_term(text: str) -> str:
    """Return a search as it is counted: small letters, single blanks, nothing personal."""
    term = " ".join(text.replace("\0", "").lower().split())[:80]
    return "" if PERSONAL.search(term) else term


def view_note(view: View, *, address: str, agent: str) -> bool:
    """Count a view; False if it was not taken. Neither address nor agent is kept."""
    try:
        client = _redis()
        day = timezone.now().date().isoformat()
        visitor = hashlib.sha256(f"{_salt(day)}|{address}|{agent}".encode()).hexdigest()[:32]
        event = {"k": secrets.token_hex(8), "t": round(time.time(), 3), "p": view.page.value, "r": view.referrer,
                 "q": view.term, "n": view.found}  # fmt: skip
        keys = [f"{PREFIX}visitor:{visitor}", f"{PREFIX}session:{visitor}", f"{PREFIX}buffer", f"{PREFIX}count"]
        values = [DAY_SECONDS, SESSION_SECONDS, view.page.value, MOST_WAITING, json.dumps(event)]
        return bool(client.eval(NOTE, len(keys), *keys, *values))
    except (ConnectionInterrupted, RedisError, OSError) as error:
        logger.warning("a view was not counted", extra={"reason": str(error)})
        return False


def views_store(batch: int = 1000, most: int = MOST_WAITING) -> int:
    """Write what waits, many rows at a time; returns how many were read. Safe to repeat and beside others."""
    client, stored = _redis(), 0
    while stored < most:
        waiting = client.zrange(f"{PREFIX}buffer", 0, batch - 1, withscores=True)
        if not waiting:
            break
        hits = [hit for member, _ in waiting if (hit := _hit(member)) is not None]
        # A key that is here already was written by somebody whose removal has not come yet.
        Hit.objects.bulk_create(hits, ignore_conflicts=True)
        client.zremrangebyscore(f"{PREFIX}buffer", "-inf", waiting[-1][1])
        stored += len(waiting)
    return stored


def _hit(member: bytes) -> Hit | None:
    try:
        flags, event = member[:3].decode(), json.loads(member[3:])
        return Hit(
            key=event["k"],
            at=datetime.fromtimestamp(event["t"], UTC),
            page=event["p"],
            referrer=event["r"] if flags[1] == "1" else "",
            term=event["q"],
            found=event["n"],
            new_visitor=flags[0] == "1",
            new_session=flags[1] == "1",
            new_step=flags[2] == "1",
        )
    except (ValueError, KeyError, IndexError):
        logger.exception("a view cannot be read")
        return None


def _salt(day: str) -> str:
    """Return the day's salt: the first who asks makes it, and nobody can tell it again two days later."""
    client, key = _redis(), f"{PREFIX}salt:{day}"
    if (known := client.get(key)) is None:
        client.set(key, secrets.token_hex(16), nx=True, ex=2 * DAY_SECONDS)
        known = client.get(key)
    return bytes(known).decode()


def _redis() -> Any:
    return caches["limits"].client.get_client(write=True)
