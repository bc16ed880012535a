"""Let one operation at a time work on this host; the kernel frees the lock when its holder dies."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .outcome import Locked


def is_held(path: Path) -> bool:
    """Tell whether some process holds the lock right now."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def holder(path: Path) -> dict[str, Any]:
    """Return what the exclusive holder wrote about itself: `pid`, `doing`, `since`; empty when it wrote nothing."""
    try:
        return dict(json.loads(path.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return {}


@contextmanager
def held(path: Path, *, wait_seconds: float = 10.0, shared: bool = False, doing: str = "") -> Iterator[None]:
    """Hold the lock for the body, saying in the file what for; raise Locked when it is not free within
    `wait_seconds`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    said = False
    try:
        deadline = time.monotonic() + wait_seconds
        while True:
            try:
                fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise _refusal(path) from None
                time.sleep(0.05)
        if doing:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "doing": doing, "since": time.time()}).encode(), 0)
            said = True
        yield
    finally:
        # What it did is over; who holds the lock together with others next writes nothing, and must not pass for it.
        if said:
            os.ftruncate(descriptor, 0)
        os.close(descriptor)


def _refusal(path: Path) -> Locked:
    about = holder(path)
    if not about or not Path(f"/proc/{about['pid']}").exists():
        # Nobody, or one that was killed: then others hold it together, and do not say who they are.
        return Locked(f"another operation holds {path}", hint="pasargad-ops status", details={"lock": {}})
    return Locked(
        f"{about['doing']} is still at work on this host (process {about['pid']}, "
        f"for {time.time() - float(about['since']):.0f} s)",
        hint="wait for its end and run the same command again; see pasargad-ops status",
        details={"lock": about},
    )
