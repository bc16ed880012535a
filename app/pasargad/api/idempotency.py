"""A request that is sent twice is done once: its answer is stored in the transaction of its effect.

Whoever sends a key while the first request with it is under way is told so (409) and waits for nobody. An answer that
refuses is not stored, because nothing happened. Part of a request may have to wait for the world outside (the payment
provider): it runs after the commit, under a lease in the stored row, and must be safe to repeat.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.db.models import Q
from django.utils import timezone

from .models import StoredAnswer
from .problems import Problem

# Longer than the slowest answer of the provider with all its retries.
LEASE = timedelta(minutes=3)
KEPT_FOR = timedelta(days=2)


@dataclass(frozen=True)
class Request:
    """What a key stands for: who sent it, and what was asked."""

    owner: str
    key: str
    digest: str


@dataclass(frozen=True)
class Stored:
    """A status and a JSON body; `replayed` when they are those of an earlier request."""

    status: int
    body: Any
    replayed: bool = False


def request_of(*, identity: str, key: str, method: str, path: str, body: Any) -> Request:
    asked = json.dumps([method, path, body], sort_keys=True)
    return Request(_digest(identity), key, _digest(asked))


def once(asked: Request, work: Callable[[], Stored]) -> Stored:
    """Do work and store its answer in one transaction, or give the stored answer; raises Problem."""
    with transaction.atomic():
        if (known := _known(asked)) is not None:
            return known
        done = work()
        _store(asked, status=done.status, body=json.dumps(done.body), finished_at=timezone.now())
    return done


def once_outside(asked: Request, work: Callable[[], Stored] | None, finish: Callable[[Any], Stored]) -> Stored:
    """Do the first part like `once`, then the second under a lease; a part that was cut off is taken up again."""
    now = timezone.now()
    with transaction.atomic():
        row = _locked(asked)
        if row is None:
            done = work() if work else Stored(0, None)
            row = _store(asked, status=done.status, body=json.dumps(done.body), leased_until=now + LEASE)
        elif row.finished_at is not None:
            return Stored(row.status, json.loads(row.body), replayed=True)
        else:
            # The condition makes one of several that come after a crash win.
            late = StoredAnswer.objects.filter(pk=row.pk, finished_at=None, leased_until__lt=now)
            if not late.update(leased_until=now + LEASE):
                raise Problem("in-progress", headers={"Retry-After": "1"})
    try:
        done = finish(json.loads(row.body))
    except BaseException:
        # The same key may try again at once; what was written before the world was asked stays and is found again.
        _give_up(row, keep=work is not None)
        raise
    StoredAnswer.objects.filter(pk=row.pk).update(
        status=done.status, body=json.dumps(done.body), finished_at=timezone.now()
    )
    return done


def answers_prune() -> int:
    """Forget answers that nobody asks for again; returns how many."""
    deleted, _ = StoredAnswer.objects.filter(created_at__lt=timezone.now() - KEPT_FOR).delete()
    return deleted


def _known(asked: Request) -> Stored | None:
    row = _locked(asked)
    if row is None:
        return None
    if row.finished_at is None:
        raise Problem("in-progress", headers={"Retry-After": "1"})
    return Stored(row.status, json.loads(row.body), replayed=True)


def _locked(asked: Request) -> StoredAnswer | None:
    """Take the key until the transaction ends and return what is stored for it; raises Problem."""
    if not _take(asked):
        raise Problem("in-progress", headers={"Retry-After": "1"})
    row = StoredAnswer.objects.filter(owner=asked.owner, key=asked.key).first()
    if row is not None and row.digest != asked.digest:
        raise Problem("key-reused")
    return row


def _take(asked: Request) -> bool:
    """Take the key's lock, which a pooled connection gives back with its transaction; False if somebody has it."""
    number = int.from_bytes(hashlib.sha256(f"{asked.owner}:{asked.key}".encode()).digest()[:8], signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [number])
        return bool(cursor.fetchone()[0])


def _store(asked: Request, **columns: Any) -> StoredAnswer:
    try:
        with transaction.atomic():
            return StoredAnswer.objects.create(owner=asked.owner, key=asked.key, digest=asked.digest, **columns)
    except IntegrityError as error:
        # The last line of defence: the caller's transaction, and so the second effect, is rolled back.
        raise Problem("in-progress", headers={"Retry-After": "1"}) from error


def _give_up(row: StoredAnswer, *, keep: bool) -> None:
    rows = StoredAnswer.objects.filter(Q(finished_at=None), pk=row.pk)
    if keep:
        rows.update(leased_until=timezone.now())
    else:
        rows.delete()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
