"""Lists of products by cursor: where the last page ended, not how many pages there were, so nothing is skipped or
shown twice while products come and go. What a search ranks has no such place; there a position must do.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .cards import CardRow, cards
from .listing import RANKED, Statement, Wanted
from .searching import query_of

# Of each order: its columns, whether it falls, and what the last card says of them.
PLACES = {
    "newest": ("(p.published_at, p.id)", "<", lambda row: [row.published_at.isoformat(), row.id]),
    "price": ("(p.price_minor, p.id)", ">", lambda row: [row.price_minor, row.id]),
    "-price": ("(p.price_minor, p.id)", "<", lambda row: [row.price_minor, row.id]),
    "name": ("(p.name, p.id)", ">", lambda row: [row.name, row.id]),
}


@dataclass(frozen=True)
class Slice:
    """Some cards, and the place after them; None at the end."""

    rows: list[CardRow]
    after: list[Any] | None


def list_after(wanted: Wanted, *, after: list[Any] | None, size: int) -> Slice:
    """Return the cards after a place (None: from the beginning): one query. Raises ValueError for no place of ours."""
    parts = Statement(wanted)
    if wanted.sort == "best":
        return _ranked(wanted, parts, after, size)
    columns, sign, place_of = PLACES[wanted.sort]
    if after is not None:
        first, identity = after
        if wanted.sort == "newest":
            first = datetime.fromisoformat(first)
        parts.conditions.append(f"{columns} {sign} (%s, %s)")
        parts.parameters += [first, int(identity)]
    rows = cards(f"{parts.ids()} LIMIT %s", [*parts.parameters, size + 1])
    return Slice(rows[:size], place_of(rows[size - 1]) if len(rows) > size else None)


def _ranked(wanted: Wanted, parts: Statement, after: list[Any] | None, size: int) -> Slice:
    skipped = int(after[0]) if after else 0
    if not 0 <= skipped <= RANKED:
        raise ValueError("a place behind everything that is ranked")
    parameters = [*parts.parameters, query_of(wanted.words), size + 1, skipped]
    rows = cards(f"{parts.ids()} LIMIT %s OFFSET %s", parameters)
    return Slice(rows[:size], [skipped + size] if len(rows) > size else None)
