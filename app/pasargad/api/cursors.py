"""Where a page of a list ended, signed: only what we gave out comes back, and only to the list that it is of."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.core import signing
from pydantic import BaseModel

from .problems import FieldError, Problem

SALT = "pasargad.api.cursor"


def cursor_of(place: Any, asked: BaseModel) -> str | None:
    """Return the text for a place in the list that was asked for; None at its end."""
    return None if place is None else signing.dumps([_list(asked), place], salt=SALT, compress=True)


def place_of(asked: Any) -> Any:
    """Return the place of a query's cursor, or None without one; raises Problem."""
    if asked.cursor is None:
        return None
    try:
        of_list, place = signing.loads(asked.cursor, salt=SALT)
    except (signing.BadSignature, ValueError, TypeError):
        raise no_cursor() from None
    if of_list != _list(asked):
        raise no_cursor()
    return place


def no_cursor() -> Problem:
    return Problem("refused", "This cursor does not belong to this list: begin without one.", errors=[ERROR])


ERROR = FieldError("query", "cursor", "Not a cursor of this list.")


def _list(asked: BaseModel) -> str:
    """Name a list by what narrows and orders it; the size of its pages may change."""
    shown = asked.model_dump(mode="json", exclude={"cursor", "limit", "facets"})
    return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()[:16]
