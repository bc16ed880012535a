"""The register of questions: each is one statement whose rows are what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

LIMIT = 20


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong; `subject` names the row to look at."""

    invariant: str
    oracle: str
    subject: str
    text: str

    def __str__(self) -> str:
        return f"{self.invariant} {self.oracle}: {self.subject}: {self.text}"


@dataclass(frozen=True)
class Oracle:
    """A question; `ask` returns (subject, what is wrong) of at most LIMIT rows."""

    name: str
    invariant: str
    text: str
    ask: Callable[[], Iterable[tuple[str, str]]]


ORACLES: dict[str, Oracle] = {}


def rule(name: str, invariant: str, text: str, sql: str, **values: Any) -> None:
    """Register a statement that selects (subject, what is wrong)."""

    def ask() -> list[tuple[str, str]]:
        with connection.cursor() as cursor:
            cursor.execute(f"{sql} LIMIT {LIMIT}", values or None)
            return [(str(subject), str(wrong)) for subject, wrong in cursor.fetchall()]

    if name in ORACLES:
        raise ValueError(f"two oracles are called {name}")
    ORACLES[name] = Oracle(name, invariant, text, ask)


def names() -> list[str]:
    return sorted(ORACLES)


def check(only: Iterable[str] = ()) -> list[Finding]:
    """Ask every question (or those named) of one snapshot of the database."""
    chosen = [ORACLES[name] for name in only] or list(ORACLES.values())
    with _snapshot():
        return [
            Finding(oracle.invariant, oracle.name, subject, wrong)
            for oracle in chosen
            for subject, wrong in oracle.ask()
        ]


@contextmanager
def _snapshot() -> Iterator[None]:
    """Look at one moment: what is moving meanwhile is either before it or after it."""
    if connection.in_atomic_block:
        # A test's own transaction: what is deferred to the commit is asked for now.
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield


# Importing is what registers them.
from . import coupons, guards, money, orders, parcels, stock  # noqa: E402, F401
