"""Feed a program with a stream, always to the stream's end: its sum and its last block are only judged there."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ..masking import mask
from .errors import BackupError, Code
from .pipes import Chain, Ended, write_all

# Building indexes may take hours without a word; whoever waits has his own bounds.
PATIENCE_SECONDS = 7 * 24 * 3600.0
HINT = "the words above are the program's; mend the cause and restore again, nothing of it has got its name"


class Feeds:
    """The programs that a restore is feeding; `end` kills them all, from any thread."""

    def __init__(self) -> None:
        self._running: set[Chain] = set()
        self._lock = threading.Lock()

    def pour(self, blocks: Iterable[bytes], command: Sequence[str], environment: Mapping[str, str]) -> Ended:
        """Run `command` with `blocks` as its input; it need not read all of them, but all are fetched.

        Raises what `blocks` raises, else RESTORE_FAILED with the program's last words.
        """
        chain = self._begin()
        try:
            with Path(os.devnull).open("wb") as nowhere:
                source, sink = chain.pipe()
                chain.start(command, stdin=source, stdout=nowhere.fileno(), environment=environment)
                wanted = True
                for block in blocks:
                    if wanted:
                        try:
                            write_all(sink, block)
                        except BrokenPipeError:
                            # It has what it needs, or it has failed: only then is the rest not worth reading.
                            wanted = False
                            chain.close(sink)
                            _judge(chain)
                chain.close(sink)
                return _judge(chain)
        finally:
            self._done(chain)

    def run(self, source: int, command: Sequence[str], environment: Mapping[str, str]) -> Ended:
        """Run `command` with an open file as its input, which it may open again by the name /dev/stdin."""
        chain = self._begin()
        try:
            with Path(os.devnull).open("wb") as nowhere:
                chain.start(command, stdin=source, stdout=nowhere.fileno(), environment=environment)
                return _judge(chain)
        finally:
            self._done(chain)

    def end(self) -> None:
        """Kill every program."""
        with self._lock:
            running = list(self._running)
        for chain in running:
            chain.kill()

    def _begin(self) -> Chain:
        chain = Chain()
        with self._lock:
            self._running.add(chain)
        return chain

    def _done(self, chain: Chain) -> None:
        chain.end()
        with self._lock:
            self._running.discard(chain)


def _judge(chain: Chain) -> Ended:
    (ended,) = chain.wait(PATIENCE_SECONDS)
    if ended.code != 0:
        words = mask(ended.tail) or "it said nothing"
        raise BackupError(Code.RESTORE_FAILED, f"{ended.name} {ended.how}: {words}", hint=HINT)
    return ended
