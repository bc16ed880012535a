"""Compare this host's clock with the storage's, by which all ages are told."""

from __future__ import annotations

import time
from pathlib import Path

from .manifest import Clock
from .objects import Objects

# systemd-timesyncd touches it, chrony's unit for systemd-time-wait-sync as well.
SYNCHRONISED = Path("/run/systemd/timesync/synchronized")


def read_clock(objects: Objects) -> Clock:
    """Return how far the host's clock is ahead of the storage's; S3 tells whole seconds, so half of one is nothing."""
    before = time.time()
    told = objects.now()
    host = (before + time.time()) / 2
    if not told.microsecond:
        host -= 0.5
    return Clock(round((host - told.timestamp()) * 1000), SYNCHRONISED.exists())
