"""Events: written with their cause, sent until they are taken, each try noted."""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from operator import itemgetter
from typing import Any

from django.core.mail import mail_admins
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from pasargad import flags
from pasargad.background.urgency import SWEEP_SECONDS
from pasargad.faults import crash_point

from . import signing, transport
from .kinds import Kind
from .models import Attempt, Delivery, Endpoint, Event

logger = logging.getLogger(__name__)
State = Delivery.State

FIRST_WAIT = 10
LONGEST_WAIT = 6 * 3600
# With the waits above: about three days.
MOST_ATTEMPTS = 23
DISABLED_AFTER = timedelta(days=2)
FORMER_SECRET_LIVES = timedelta(days=1)
LOG_KEPT_FOR = timedelta(days=30)
GONE = 410
_random = secrets.SystemRandom()


def event_emit(kind: Kind, data: Callable[[], Mapping[str, Any]]) -> Event | None:
    """Write an event for every endpoint that wants it, in the caller's transaction; None if nobody does.

    `data` is asked only if somebody does: most shops have no endpoint, and pay one look at a small table.
    """
    wanting = list(wanting_of(kind))
    if not wanting:
        return None
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("An event is written in the transaction of its cause.")
    now = timezone.now()
    body = {"type": kind.value, "timestamp": now.isoformat(), "data": dict(data())}
    event = Event.objects.create(message_id=f"msg_{secrets.token_hex(16)}", kind=kind, body=body)
    made = Delivery.objects.bulk_create(
        Delivery(event=event, endpoint_id=pk, next_attempt_at=now) for pk in sorted(wanting)
    )
    _enqueue(row.pk for row in made)
    crash_point("webhooks.event.written")
    return event


def wanting_of(kind: Kind) -> QuerySet[Endpoint, int]:
    """Return the ids of the endpoints that are told of a kind of event."""
    return Endpoint.objects.filter(is_enabled=True, events__contains=[kind]).values_list("pk", flat=True)


def delivery_send(delivery_id: int, *, sweeping: bool = False) -> bool:
    """Send a delivery that is due; returns whether it was taken. Two workers do not send it at the same time.

    The next attempt is booked before this one is made: a worker that dies here is followed by another. An endpoint that
    is known to fail is left to the sweep, which tries it once: a worker does not wait for it at every event.
    """
    if not flags.is_on("webhooks"):
        return False
    with transaction.atomic():
        due = Delivery.objects.select_for_update(skip_locked=True, of=("self",)).select_related("endpoint", "event")
        row = due.filter(
            pk=delivery_id, state=State.PENDING, next_attempt_at__lte=timezone.now(), endpoint__is_enabled=True
        ).first()
        if row is None or (row.endpoint.failing_since and not sweeping):
            return False
        row.attempts += 1
        row.next_attempt_at = timezone.now() + wait_after(row.attempts)
        row.save(update_fields=["attempts", "next_attempt_at"])
    crash_point("webhooks.delivery.booked")
    body = json.dumps(row.event.body, separators=(",", ":")).encode()
    result = transport.post(row.endpoint.url, body, _headers(row, body))
    crash_point("webhooks.delivery.sent")
    _record(row, result)
    return result.accepted


def deliveries_send_due(limit: int = 200) -> int:
    """Send what earlier attempts left, and tell staff of endpoints that were disabled; returns how many were taken.

    Of an endpoint that is known to fail only the oldest is tried, after all others: its many hide nobody's few.
    """
    until = time.monotonic() + SWEEP_SECONDS
    due = Delivery.objects.filter(
        state=State.PENDING, next_attempt_at__lte=timezone.now(), endpoint__is_enabled=True
    ).values_list("pk", "endpoint_id", "next_attempt_at")
    well = list(due.filter(endpoint__failing_since=None).order_by("next_attempt_at")[:limit])
    oldest = due.filter(endpoint__failing_since__isnull=False).order_by("endpoint_id", "next_attempt_at")
    ill = sorted(oldest.distinct("endpoint_id"), key=itemgetter(2))
    taken, failing = 0, set()
    for pk, endpoint_id, _since in [*well, *ill]:
        if time.monotonic() > until:
            break
        if endpoint_id in failing:
            continue
        if delivery_send(pk, sweeping=True):
            taken += 1
        else:
            failing.add(endpoint_id)
    _tell_staff()
    return taken


def redeliver(delivery_ids: Iterable[int]) -> int:
    """Send deliveries once more from the beginning, taken or not; returns how many."""
    with transaction.atomic():
        ids = list(Delivery.objects.select_for_update().filter(pk__in=list(delivery_ids)).values_list("pk", flat=True))
        Delivery.objects.filter(pk__in=ids).update(
            state=State.PENDING, attempts=0, next_attempt_at=timezone.now(), delivered_at=None
        )
        _enqueue(ids)
    return len(ids)


def endpoint_create(*, name: str, url: str, events: Iterable[str], is_enabled: bool = True) -> Endpoint:
    """Store an endpoint with a fresh secret. Raises transport.Forbidden for an address that we never send to."""
    transport.parts_of(url)
    return Endpoint.objects.create(
        name=name, url=url, events=sorted(set(events)), is_enabled=is_enabled, secret=signing.new_secret()
    )


def endpoint_enable(endpoint_id: int) -> None:
    """Let events flow again, with a clean slate: what waits is sent at once."""
    with transaction.atomic():
        Endpoint.objects.filter(pk=endpoint_id).update(
            is_enabled=True, failing_since=None, disabled_at=None, disabled_reason="", staff_told_at=None
        )
        Delivery.objects.filter(endpoint_id=endpoint_id, state=State.PENDING).update(next_attempt_at=timezone.now())


def secret_rotate(endpoint_id: int) -> str:
    """Give an endpoint a new secret and return it; the former one signs too for another day."""
    with transaction.atomic():
        row = Endpoint.objects.select_for_update().get(pk=endpoint_id)
        row.former_secret, row.secret = row.secret, signing.new_secret()
        row.former_until = timezone.now() + FORMER_SECRET_LIVES
        row.save(update_fields=["secret", "former_secret", "former_until"])
    return row.secret


def log_prune() -> int:
    """Forget events that are over, with their deliveries and tries; returns how many rows."""
    before = timezone.now() - LOG_KEPT_FOR
    waiting = Delivery.objects.filter(event=OuterRef("pk"), state=State.PENDING, endpoint__is_enabled=True)
    deleted, _ = Event.objects.filter(~Exists(waiting), at__lt=before).delete()
    Endpoint.objects.filter(former_until__lt=timezone.now()).update(former_secret="", former_until=None)
    return deleted


def wait_after(attempts: int) -> timedelta:
    """Return how long to wait after so many attempts: twice as long each time, spread by a quarter to both sides, and
    never so short that the attempt that was just booked could still be running."""
    seconds = min(FIRST_WAIT * 2 ** min(attempts - 1, 20), LONGEST_WAIT) * _random.uniform(0.75, 1.25)
    return timedelta(seconds=max(seconds, transport.TOTAL_SECONDS + 2 * transport.CONNECT_SECONDS))


def living_secrets(endpoint: Endpoint) -> list[str]:
    living = [endpoint.secret]
    if endpoint.former_secret and endpoint.former_until and endpoint.former_until > timezone.now():
        living.append(endpoint.former_secret)
    return living


def _headers(row: Delivery, body: bytes) -> dict[str, str]:
    signed = signing.headers(
        living_secrets(row.endpoint), message_id=row.event.message_id, timestamp=int(time.time()), body=body
    )
    return {"Content-Type": "application/json", **signed}


def _enqueue(ids: Iterable[int]) -> None:
    from .tasks import delivery_send_task

    for pk in ids:
        delivery_send_task.enqueue(pk)


def _record(row: Delivery, result: transport.Result) -> None:
    """Note a try, and what follows from it for the delivery and its endpoint."""
    with transaction.atomic():
        Attempt.objects.create(delivery=row, status=result.status, error=result.error[:300], took_ms=result.took_ms)
        waiting = Delivery.objects.filter(pk=row.pk, state=State.PENDING)
        endpoint = Endpoint.objects.filter(pk=row.endpoint_id)
        if result.accepted:
            waiting.update(state=State.DELIVERED, delivered_at=timezone.now())
            endpoint.filter(failing_since__isnull=False).update(failing_since=None)
            return
        logger.warning("webhook not taken", extra={"delivery": row.pk, "reason": result.error})
        if row.attempts >= MOST_ATTEMPTS:
            waiting.update(state=State.GIVEN_UP)
        endpoint.filter(failing_since=None).update(failing_since=timezone.now())
        _disable_if_hopeless(row.endpoint_id, result)


def _disable_if_hopeless(endpoint_id: int, result: transport.Result) -> None:
    """Give up an endpoint that says it is gone, or that has taken nothing for days."""
    now = timezone.now()
    found = Endpoint.objects.filter(pk=endpoint_id, is_enabled=True)
    if result.status != GONE:
        found = found.filter(failing_since__lt=now - DISABLED_AFTER)
    if found.update(is_enabled=False, disabled_at=now, disabled_reason=result.error[:300], staff_told_at=None):
        logger.error("webhook endpoint disabled", extra={"endpoint": endpoint_id, "reason": result.error})


def _tell_staff() -> None:
    """Mail staff about endpoints that were disabled; what could not be mailed is tried again by the next sweep."""
    for row in Endpoint.objects.filter(disabled_at__isnull=False, staff_told_at=None):
        text = (
            f"The webhook endpoint {row.name!r} took nothing for long, and gets no more events.\n"
            f"Last: {row.disabled_reason}\n\nWhen it works again, enable it on the staff's pages: what waits is sent."
        )
        try:
            mail_admins(f"Webhook endpoint disabled: {row.name}", text)
        except OSError as error:
            logger.warning("staff not told", extra={"endpoint": row.pk, "reason": str(error)})
            return
        Endpoint.objects.filter(pk=row.pk).update(staff_told_at=timezone.now())
