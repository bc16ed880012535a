"""The log as a file for a spreadsheet."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from typing import Any

from django.db.models import QuerySet

from .models import Entry

COLUMNS = ("id", "at", "actor", "address", "action", "target_type", "target_id", "target", "changes", "request_id")
# What a spreadsheet takes for the beginning of a formula, also behind blanks.
DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")


def safe_cell(value: Any) -> str:
    """Return a value as text that no spreadsheet takes for a formula."""
    text = str(value)
    return f"'{text}" if text.lstrip(" \u00a0\ufeff").startswith(DANGEROUS) or text.startswith(("\t", "\r")) else text


class _Echo:
    def write(self, value: str) -> str:
        return value


def in_pages(entries: QuerySet[Entry], size: int = 1000) -> Iterator[Entry]:
    """Yield entries in the order of their numbers, some at a time: no cursor of the server is kept open."""
    last = 0
    while page := list(entries.order_by("id").filter(id__gt=last)[:size]):
        yield from page
        last = page[-1].id


def csv_rows(entries: Iterable[Entry]) -> Iterator[str]:
    """Yield lines of CSV, one at a time, however long the log is."""
    writer = csv.writer(_Echo())
    yield writer.writerow(COLUMNS)
    for entry in entries:
        values = (entry.id, entry.at.isoformat(), entry.actor, entry.address, entry.action, entry.target_type,
                  entry.target_id, entry.target, json.dumps(entry.changes, ensure_ascii=False, sort_keys=True),
                  entry.request_id)  # fmt: skip
        yield writer.writerow([safe_cell(value) for value in values])
