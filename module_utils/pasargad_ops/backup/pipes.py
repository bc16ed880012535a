"""Run programs side by side, joined by pipes, so that none outlives its chain: the door of streams to subprocess."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import BackupError, Code

BLOCK = 1 << 20
WORDS_BYTES = 64 << 10
WORDS_LINES = 8
END_SECONDS = 60.0
# Only what a program needs to be found and to speak English; secrets are handed to the one program that needs them.
PLAIN_ENVIRONMENT = {"LC_ALL": "C", "LANG": "C"}


@dataclass(frozen=True)
class Ended:
    """A program that ended: `code` is minus the signal that killed it, `words` its stderr, `cut` at 64 KiB.

    `peak_rss_bytes` is never below the peak of the process that started it: Linux counts the moment before exec too.
    """

    name: str
    code: int
    words: str
    cpu_seconds: float
    peak_rss_bytes: int
    cut: bool = False

    @property
    def tail(self) -> str:
        """The last lines of its stderr."""
        return "\n".join(self.words.splitlines()[-WORDS_LINES:])

    @property
    def how(self) -> str:
        """How it ended, for people."""
        return f"was killed by {signal.Signals(-self.code).name}" if self.code < 0 else f"ended with code {self.code}"


class Silent(Exception):
    """Nothing came through a pipe for too long."""


@dataclass
class _Running:
    name: str
    process: subprocess.Popen[bytes]
    words: int
    ended: Ended | None = None


class Chain:
    """Programs and relays between them; `end` leaves no process, and no descriptor that belongs to no relay."""

    def __init__(self) -> None:
        self.trouble: BaseException | None = None
        self._running: list[_Running] = []
        self._relays: list[threading.Thread] = []
        self._open: set[int] = set()
        self._lock = threading.Lock()

    def pipe(self) -> tuple[int, int]:
        """Return the reading and the writing end of a pipe that holds a whole block."""
        ends = os.pipe()
        self._open.update(ends)
        with contextlib.suppress(OSError):
            fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, BLOCK)
        return ends

    def start(
        self, command: Sequence[str], *, stdin: int | None, stdout: int, environment: Mapping[str, str] | None = None
    ) -> None:
        """Start a program that takes over both ends; raise CONFIG when it is not installed."""
        name = Path(command[0]).name
        # Kept in memory: stderr must never fill a pipe that nobody reads, and no disk is needed for it.
        words = os.memfd_create(name, os.MFD_CLOEXEC)
        self._open.add(words)
        path = os.environ.get("PATH", os.defpath)
        try:
            process = subprocess.Popen(
                # The server is spoken to in UTF-8, whatever the locale of this process.
                [word.encode() for word in command],
                stdin=subprocess.DEVNULL if stdin is None else stdin,
                stdout=stdout,
                stderr=words,
                env={**PLAIN_ENVIRONMENT, "PATH": path, **(environment or {})},
                start_new_session=True,  # a group to kill, and no terminal on which to ask for a passphrase
            )
        except FileNotFoundError as error:
            hint = f"install the package that holds {name} (zstd, age, tar, postgresql-client), then run the job again"
            raise BackupError(Code.CONFIG, f"{command[0]} is not installed", hint=hint) from error
        self._running.append(_Running(name, process, words))
        for end in (stdin, stdout):
            if end is not None:
                self.close(end)

    def relay(self, work: Callable[[], None], *ends: int) -> None:
        """Let a thread move bytes; it owns `ends`, and its trouble is kept unless the reader has just gone."""
        self._open.difference_update(ends)

        def run() -> None:
            try:
                work()
            except BrokenPipeError:
                pass
            except BaseException as error:
                self.trouble = error
            finally:
                for end in ends:
                    os.close(end)

        thread = threading.Thread(target=run, daemon=True)
        self._relays.append(thread)
        thread.start()

    def blocks(self, end: int, quiet_seconds: float) -> Iterator[bytes]:
        """Yield what comes in blocks of 1 MiB, the last one shorter; raise Silent after `quiet_seconds` of nothing."""
        waiting = select.poll()
        waiting.register(end, select.POLLIN)
        block = bytearray()
        while True:
            if not waiting.poll(quiet_seconds * 1000):
                raise Silent(f"nothing came for {quiet_seconds:g} s")
            piece = os.read(end, BLOCK - len(block))
            block += piece
            if len(block) == BLOCK or (not piece and block):
                yield bytes(block)
                block.clear()
            if not piece:
                return

    def wait(self, seconds: float = END_SECONDS) -> list[Ended]:
        """Return how each ended, in order; raise Silent when one has closed its output and stays."""
        deadline = time.monotonic() + seconds
        for one in self._running:
            while not self._reap(one):
                if time.monotonic() > deadline:
                    raise Silent(f"{one.name} did not end within {seconds:g} s")
                time.sleep(0.005)
        for thread in self._relays:
            thread.join(seconds)
        return [one.ended for one in self._running if one.ended]

    def kill(self) -> None:
        """Kill every program that has not ended, with its children; may be called from any thread."""
        for one in self._running:
            with self._lock:
                if one.ended is None:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.killpg(one.process.pid, signal.SIGKILL)

    def end(self) -> None:
        """Kill what still runs, reap it, and close what is open; may be repeated."""
        self.kill()
        for one in self._running:
            while not self._reap(one):
                time.sleep(0.005)
        for thread in self._relays:
            # One that waits for a slow source ends by itself as soon as it writes; it owns its ends.
            thread.join(5)
        for end in list(self._open):
            self.close(end)

    def close(self, end: int) -> None:
        """Close a descriptor once."""
        with contextlib.suppress(KeyError):
            self._open.remove(end)
            os.close(end)

    def _reap(self, one: _Running) -> bool:
        with self._lock:
            if one.ended is not None:
                return True
            # Looked at first and reaped afterwards: until then nobody else can get this number, so the group is ours.
            if os.waitid(os.P_PID, one.process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
                return False
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(one.process.pid, signal.SIGKILL)
            _, status, usage = os.wait4(one.process.pid, 0)
            one.process.returncode = os.waitstatus_to_exitcode(status)
            one.ended = Ended(
                one.name,
                one.process.returncode,
                _last_words(one.words),
                usage.ru_utime + usage.ru_stime,
                usage.ru_maxrss * 1024,
                os.fstat(one.words).st_size > WORDS_BYTES,
            )
            return True


def _last_words(words: int) -> str:
    size = os.fstat(words).st_size
    return os.pread(words, WORDS_BYTES, max(0, size - WORDS_BYTES)).decode(errors="replace").strip()


def write_all(end: int, block: bytes) -> None:
    """Write the whole block, however small the pipe."""
    view = memoryview(block)
    while view:
        view = view[os.write(end, view) :]
