"""Shows what is running right now: a ticking last line on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from .layout import duration, phase_line, shorten

TICK_SECONDS = 0.5
# Short tasks come and go without a flicker.
QUIET_SECONDS = 1.0
# Without a terminal, a long step says that it lives after half a minute, then after each minute.
FIRST_BEAT_SECONDS = 30.0
BEAT_SECONDS = 60.0


class Live:
    """Owns the ticking line.

    The lock is the one that Ansible holds while it forks a worker, so that no worker is born with half a line of ours.
    """

    def __init__(
        self, lock: AbstractContextManager[object], say: Callable[[str], None], columns: Callable[[], int]
    ) -> None:
        self._lock = lock
        self._say = say
        self._columns = columns
        self._terminal = sys.stdout.isatty()
        self._current: tuple[str, str, float] | None = None
        self._hosts: list[str] = []
        self._drawn = False
        self._next_beat = FIRST_BEAT_SECONDS
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def show(self, name: str, task: str) -> None:
        """Begin a task; the thread starts with the first one."""
        self._hosts = []
        self._next_beat = FIRST_BEAT_SECONDS
        self._current = (name, task, time.monotonic())
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="pasargad-output", daemon=True)
            self._thread.start()

    def host(self, name: str) -> None:
        """Note that a host began the current task."""
        self._hosts = [*self._hosts, name]

    def host_done(self, name: str) -> None:
        """Note that a host ended it; nothing ticks when none is at work."""
        self._hosts = [host for host in self._hosts if host != name]

    def pause(self) -> None:
        """Stop ticking until the next task, for example because somebody is being asked something."""
        self._current = None
        self.clear()

    def clear(self) -> None:
        """Wipe the ticking line, so that a lasting line can be printed in its place."""
        with self._lock:
            if self._drawn:
                self._drawn = False
                sys.stdout.write("\r\x1b[K")
                sys.stdout.flush()

    def close(self) -> None:
        """End the thread and wipe the line."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=2 * TICK_SECONDS)
        self.pause()

    def _run(self) -> None:
        while not self._stop.wait(TICK_SECONDS):
            current, hosts = self._current, self._hosts
            if current is None or not hosts:
                continue
            name, task, started = current
            seconds = time.monotonic() - started
            if self._terminal and seconds >= QUIET_SECONDS:
                self._draw(phase_line(name, hosts, f"{task}  {duration(seconds)}"))
            elif not self._terminal and seconds >= self._next_beat:
                self._next_beat += BEAT_SECONDS
                self._say(phase_line(name, hosts, f"still at: {task}", seconds))

    def _draw(self, line: str) -> None:
        with self._lock:
            if self._current is not None and not self._stop.is_set():
                sys.stdout.write("\r\x1b[K" + shorten(line.rstrip(), self._columns() - 1))
                sys.stdout.flush()
                self._drawn = True
