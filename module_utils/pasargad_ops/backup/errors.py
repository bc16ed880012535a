"""How a backup job ends: one code for each kind of failure, the same on the command line, in metrics and in modules."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from ..outcome import OperationError


class Code(IntEnum):
    """The exit code of a job; people look it up, so a number never changes its meaning."""

    DONE = 0
    BROKEN = 1
    CONFIG = 10
    CLAIMED = 11
    DATABASE_UNREACHABLE = 20
    DUMP_FAILED = 21
    VERSION_MISMATCH = 22
    STORAGE_TRANSIENT = 30
    STORAGE_DENIED = 31
    NO_SPACE = 32
    INTEGRITY = 40
    KEY = 41
    CHAIN = 42
    WAL_GAP = 50
    ARCHIVER = 51
    TARGET_REFUSED = 60
    RESTORE_FAILED = 61
    TARGET_TIME = 62
    DRILL_FAILED = 70
    RTO_OVER = 71
    RPO_OVER = 72
    RETENTION_REFUSED = 80
    UNDELIVERED = 90
    INTERRUPTED = 130


class BackupError(OperationError):
    """A backup job refused or failed; `code` says how it ends."""

    def __init__(self, code: Code, message: str, *, hint: str = "", details: dict[str, Any] | None = None) -> None:
        super().__init__(message, hint=hint, details=details)
        self.code = code
