"""Limits of the control node's kernel that all lab hosts share."""

from __future__ import annotations

from pathlib import Path

INOTIFY_INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")
# A host takes about ten, counted together for every root of this machine; the kernel's default of 128 fits a dozen.
NEEDED_INSTANCES = 2048


def ensure_inotify_instances() -> bool:
    """Raise how many inotify instances a user may have, or systemd of a further host cannot start; never lower it."""
    if int(INOTIFY_INSTANCES.read_text()) >= NEEDED_INSTANCES:
        return False
    INOTIFY_INSTANCES.write_text(f"{NEEDED_INSTANCES}\n")
    return True
