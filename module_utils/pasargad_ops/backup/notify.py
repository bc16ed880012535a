"""Send what the jobs left for people, and say how much still waits."""

from __future__ import annotations

import time

from ..files import write_atomically
from ..metrics import render
from ..outcome import Outcome
from .context import Context
from .errors import Code
from .job import as_failure
from .measures import NOTIFY_CHANNELS, NOTIFY_GIVEN_UP, NOTIFY_OUTBOX
from .notices import notices_send

FILE = "backup_notify.prom"


def send_notices(context: Context) -> Outcome:
    """Send what is due; a message that a channel refuses waits for the next time, and ends this with UNDELIVERED."""
    channels = context.channels()
    sent = notices_send(context.config.outbox, channels, time.time())
    values = {NOTIFY_OUTBOX: sent.waiting, NOTIFY_GIVEN_UP: sent.given_up, NOTIFY_CHANNELS: len(channels)}
    text = "".join(render(*name, [({}, float(value))]) for name, value in values.items())
    problems = [*sent.problems]
    code = Code.UNDELIVERED if problems or sent.given_up else Code.DONE
    try:
        write_atomically(context.config.metrics_dir / FILE, text.encode(), mode=0o644)
    except OSError as error:
        # What was delivered is delivered; that nobody can see it is a failure of its own.
        failure = as_failure(error)
        problems.append(f"{context.config.metrics_dir / FILE}: {failure.message}")
        code = code if code is not Code.DONE else failure.code
    words = f"{sent.delivered} delivered, {sent.waiting} waiting"
    return Outcome(sent.delivered > 0, words, {"code": int(code), "lines": problems})
