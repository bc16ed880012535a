"""Everything that the shop keeps about a person, as one JSON file, written piece by piece."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone

from pasargad.accounts.models import User

from .register import Entry, Person, guest, person, register, rows_of

BATCH = 500


def export_of(user: User) -> Iterator[str]:
    """Yield the file of an account's owner."""
    return _file(person(user), {"account": user.email})


def export_of_guest(email: str) -> Iterator[str]:
    """Yield the file of somebody without an account; raises NoGuest."""
    return _file(guest(email), {"guest": email})


def _file(who: Person, name: dict[str, str]) -> Iterator[str]:
    """Yield one list for each model that has rows of this person, secrets left out."""
    head = {"shop": settings.SITE_URL, "made_at": timezone.now(), **name}
    yield json.dumps(head, cls=DjangoJSONEncoder)[:-1] + ', "data": {'
    first = True
    for entry in register().values():
        for piece in _rows(entry, who):
            yield ("" if first else ",") + piece if piece.startswith('\n"') else piece
            first = False
    yield "\n}}\n"


def _rows(entry: Entry, who: Person) -> Iterator[str]:
    """Yield one model's list; nothing where the person has no rows."""
    if not entry.whose:
        return
    found = rows_of(entry, who).order_by("pk").values(*entry.exported).iterator(chunk_size=BATCH)
    row: dict[str, Any] | None = next(found, None)
    if row is None:
        return
    yield f"\n{json.dumps(entry.label)}: [\n{_json(row)}"
    for row in found:
        yield f",\n{_json(row)}"
    yield "\n]"


def _json(row: dict[str, Any]) -> str:
    return json.dumps(row, cls=DjangoJSONEncoder, ensure_ascii=False)
