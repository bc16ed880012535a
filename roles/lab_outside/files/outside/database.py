"""One SQLite file behind one lock: what a commit acknowledged survives kill -9 and a power cut."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Database:
    """Holds the service's only connection; transactions of its threads run one after another.

    Other processes (the board, the command line) may open the same file: WAL lets them read meanwhile,
    and the busy timeout makes them wait for each other's writes.
    """

    def __init__(self, path: Path, schema: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode = WAL")
        # WAL's usual NORMAL may lose the last commits in a power cut; a provider that said "paid" may not.
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.executescript(schema)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit what the block wrote, or nothing if it raises."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for reads; nothing else of this process runs meanwhile."""
        with self._lock:
            yield self._connection

    def close(self) -> None:
        """Close the connection once the running transaction has ended."""
        with self._lock:
            self._connection.close()
