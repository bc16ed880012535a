"""Send what the jobs left for people, and say how much still waits."""

from __future__ import annotations

import time

from ..files import write_atomically
from ..metrics import render
from ..outcome import Outcome
from .context import Context
from .errors import Code
from .notices import notices_send

FILE = "backup_notify.prom"


def send_notices(context: Context) -> Outcome:
    """Send what is due; a message that a channel refuses waits for the next time, and ends this with UNDELIVERED."""
    channels = context.channels()
    sent = notices_send(context.config.outbox, channels, time.time())
    text = "".join(
        render(name, words, [({}, float(value))])
        for name, words, value in (
            ("pasargad_backup_notify_outbox", "Messages that some channel has still to take.", sent.waiting),
            ("pasargad_backup_notify_given_up", "Messages that a channel was given up for just now.", sent.given_up),
            ("pasargad_backup_notify_channels", "Ways to people that are set.", len(channels)),
        )
    )
    write_atomically(context.config.metrics_dir / FILE, text.encode(), mode=0o644)
    words = f"{sent.delivered} delivered, {sent.waiting} waiting"
    code = Code.UNDELIVERED if sent.problems or sent.given_up else Code.DONE
    return Outcome(sent.delivered > 0, words, {"code": int(code), "lines": list(sent.problems)})
