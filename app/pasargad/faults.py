"""Labelled points at which a test may end the process, as a power cut would.

`PASARGAD_FAULT=payments.refund.sent:2` ends the process with status 137 when it comes to that point for the second
time. Without the variable a point costs one comparison; in production the settings refuse the variable unless
`PASARGAD_FAULTS_ALLOWED=yes` stands beside it.
"""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass, field

from django.conf import settings

logger = logging.getLogger(__name__)
KILLED = 137

# Every label of the code, so that a test can visit all of them and a wrong name is refused at once.
POINTS = (
    "orders.place.held",
    "orders.place.written",
    "payments.start.noted",
    "payments.start.answered",
    "payments.start.adopted",
    "payments.settle.locked",
    "payments.settle.noted",
    "payments.settle.received",
    "payments.settle.done",
    "payments.webhook.noted",
    "payments.webhook.applied",
    "payments.expire.withdrawn",
    "payments.expire.done",
    "payments.reconcile.asked",
    "payments.events.applied",
    "payments.events.marked",
    "payments.refund.opened",
    "payments.refund.sending",
    "payments.refund.sent",
    "payments.refund.settled",
    "orders.return.received",
    "payments.return.refunding",
    "notifications.mail.booked",
    "notifications.mail.sent",
    "webhooks.event.written",
    "webhooks.delivery.booked",
    "webhooks.delivery.sent",
)


@dataclass
class _Plan:
    """The point to die at and how many visits are left."""

    point: str
    left: int
    lock: threading.Lock = field(default_factory=threading.Lock)


def read_plan(text: str) -> tuple[str, int]:
    """Return the point and the visit of `point` or `point:n`; raises ValueError for what is no point."""
    name, _, count = text.partition(":")
    if name not in POINTS or (count and not count.isdigit()) or count == "0":
        raise ValueError(f"no such fault: {text!r}")
    return name, int(count or 1)


_plan = _Plan(*read_plan(settings.PASARGAD_FAULT)) if settings.PASARGAD_FAULT else None


def crash_point(name: str) -> None:
    """End the process here if the environment asks for it; no handler, no rollback, no goodbye."""
    if _plan is None or _plan.point != name:
        return
    with _plan.lock:
        _plan.left -= 1
        if _plan.left == 0:
            logger.critical("killed by a planned fault", extra={"point": name})
            os._exit(KILLED)
