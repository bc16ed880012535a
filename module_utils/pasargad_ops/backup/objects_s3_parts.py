"""Cut a stream into parts of constant size and send two at a time, in bounded memory."""

from __future__ import annotations

import math
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from itertools import chain
from typing import Any

from .errors import BackupError, Code
from .objects import Tally

MIN_PART_BYTES = 8 << 20
# S3 takes no smaller ones, but for the last.
SMALLEST_PART_BYTES = 5 << 20
MAX_PARTS = 10_000
PLANNED_PARTS = 9_000
THREADS, WAITING = 2, 2
# What is sent, what waits, and the one that is being filled.
BUFFERS = THREADS + WAITING + 1


def part_bytes(estimate: int, least: int = MIN_PART_BYTES) -> int:
    """Return the size of parts for a stream of about `estimate` bytes: S3 takes 10 000 parts, the rest is reserve."""
    return max(least, math.ceil(estimate / PLANNED_PARTS))


def share(least: int, beside: int) -> tuple[int, int]:
    """Return the least size of parts, and how many buffers each of `beside` streams may have.

    Two is the fewest: one is sent while the other is filled. From three streams on, even that is too much of 8 MiB.
    """
    return (least if beside <= 2 else min(least, SMALLEST_PART_BYTES)), max(2, BUFFERS // max(1, beside))


class Parts:
    """Iterate over a stream's parts, all of one size but the last; buffers that were given back are filled again.

    An empty stream has one empty part. Buffers are reused, because freed ones of this size would not go back to the
    system at once.
    """

    def __init__(self, chunks: Iterable[bytes], size: int, tally: Tally, buffers: int = BUFFERS) -> None:
        self.size = size
        self._buffers = buffers
        self._tally = tally
        self._free: queue.SimpleQueue[bytearray] = queue.SimpleQueue()
        self._made = 0
        self._cut = self._parts(chunks)

    def __iter__(self) -> Iterator[bytearray]:
        return self

    def __next__(self) -> bytearray:
        return next(self._cut)

    def give_back(self, part: bytearray) -> None:
        """Let a part's buffer be filled again."""
        self._free.put(part)

    def _parts(self, chunks: Iterable[bytes]) -> Iterator[bytearray]:
        part, filled = self._buffer(), 0
        for chunk in chunks:
            self._tally.add(chunk)
            rest = memoryview(chunk)
            while rest:
                if filled == self.size:
                    yield part
                    part, filled = self._buffer(), 0
                taken = min(self.size - filled, len(rest))
                with memoryview(part) as window:
                    window[filled : filled + taken] = rest[:taken]
                filled, rest = filled + taken, rest[taken:]
        del part[filled:]
        yield part

    def _buffer(self) -> bytearray:
        if self._made < self._buffers:
            self._made += 1
            return bytearray(self.size)
        return self._free.get()


def send_all(
    parts: Parts,
    begun: list[bytearray],
    send: Callable[[int, bytearray], dict[str, Any]],
    stopped: threading.Event,
) -> list[dict[str, Any]]:
    """Send `begun` and the rest of the parts; returns what `send` answered, in order.

    The first failure ends it: what waits is not sent, `stopped` tells what is being sent not to try again.
    """

    def send_one(number: int, part: bytearray) -> dict[str, Any]:
        try:
            if stopped.is_set():
                raise CancelledError
            return send(number, part)
        except BaseException:
            stopped.set()
            raise
        finally:
            # Also after a failure: the reader waits for a buffer and must wake to see it.
            parts.give_back(part)

    sent: list[Future[dict[str, Any]]] = []
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="upload")
    try:
        for number, part in enumerate(chain(begun, parts), 1):
            if stopped.is_set():
                break
            if number > MAX_PARTS:
                raise BackupError(
                    Code.CONFIG,
                    f"the stream is longer than {MAX_PARTS} parts of {parts.size} bytes",
                    hint="the estimate of its size was far too small; run ANALYZE, then the job again",
                )
            sent.append(pool.submit(send_one, number, part))
        return [each.result() for each in sent]
    except BaseException:
        stopped.set()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
