"""Lists as Stripe pages them: newest first, with cursors that are object identifiers."""

from __future__ import annotations

import json
from typing import Any

from . import params
from .books import Books, Object
from .errors import ApiError

PAGE_FIELDS: params.FieldDict = {
    "limit": params.integer(1),
    "starting_after": params.string(),
    "ending_before": params.string(),
    "expand": params.array(params.string()),
}


def _created(name: str, raw: Any) -> Any:
    bounds = dict.fromkeys(("gt", "gte", "lt", "lte"), params.integer())
    return params.nested(bounds)(name, raw) if isinstance(raw, dict) else params.integer()(name, raw)


CREATED_FIELD: params.FieldDict = {"created": _created}
_COMPARISONS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def page(books: Books, kind: str, path: str, wanted: dict[str, Any], equal: dict[str, Any]) -> Object:
    """Return one page of a kind; `equal` holds members that must have a value, or one of a list of values."""
    conditions, values = ["kind = ?"], [kind]
    for member, value in equal.items():
        options = value if isinstance(value, list) else [value]
        conditions.append(f"json_extract(body, '$.{member}') IN ({', '.join('?' * len(options))})")
        values += options
    created = wanted.get("created", {})
    for bound, number in (created if isinstance(created, dict) else {"gte": created, "lte": created}).items():
        conditions.append(f"json_extract(body, '$.created') {_COMPARISONS[bound]} ?")
        values.append(number)
    limit = wanted.get("limit", 10)
    if limit > 100:
        raise ApiError("This value must be less than or equal to 100.", code="parameter_invalid_integer", param="limit")
    backwards = "ending_before" in wanted
    for name, sign in (("starting_after", "<"), ("ending_before", ">")):
        if name in wanted:
            books.find(kind, wanted[name], name)
            conditions.append(f"seq {sign} (SELECT seq FROM objects WHERE id = ?)")  # noqa: S608 - sign is ours
            values.append(wanted[name])
    # Only the names written in this package's own code are put into the statement; what a caller sends is bound.
    statement = (
        f"SELECT body FROM objects WHERE {' AND '.join(conditions)} "  # noqa: S608
        f"ORDER BY seq {'ASC' if backwards else 'DESC'} LIMIT {limit + 1}"
    )
    found = [json.loads(row["body"]) for row in books.connection.execute(statement, values)]
    items = found[:limit]
    return {
        "object": "list",
        "data": items[::-1] if backwards else items,
        "has_more": len(found) > limit,
        "url": path,
    }
