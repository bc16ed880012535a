"""As much of psycopg2 as the migration guard asks for: an advisory lock, which here is a lock on a file."""

from __future__ import annotations

import fcntl
import os


class _Cursor:
    def __init__(self, connection: _Connection) -> None:
        self._connection, self._got = connection, False

    def __enter__(self) -> _Cursor:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def execute(self, statement: str, values: list[int]) -> None:
        if os.environ.get("TINY_LOCK_OFF"):
            self._got = True
            return
        assert statement == "SELECT pg_try_advisory_lock(%s)" and len(values) == 1
        try:
            fcntl.flock(self._connection.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._got = True
        except BlockingIOError:
            self._got = False

    def fetchone(self) -> tuple[bool]:
        return (self._got,)


class _Connection:
    autocommit = False

    def __init__(self) -> None:
        self.file = os.open(os.environ["TINY_DATABASE"] + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)

    def cursor(self) -> _Cursor:
        return _Cursor(self)


def connect(**settings: str) -> _Connection:
    assert settings["user"] == "migrator" and settings["password"]
    return _Connection()
