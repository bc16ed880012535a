"""`expand[]`: identifiers replaced by the objects they name."""

from __future__ import annotations

from .books import Books, Object
from .errors import ApiError

_EXPANDABLE = {
    "payment_intent": {"payment_method", "latest_charge"},
    "charge": {"payment_intent", "balance_transaction"},
    "dispute": {"payment_intent", "charge"},
    "refund": {"payment_intent", "charge", "balance_transaction"},
    "balance_transaction": {"source"},
}
DEEPEST = 4


class ExpandError(ApiError):
    """A path that cannot be expanded: nothing of the request may have happened."""


def expand(books: Books, item: Object, paths: list[str]) -> Object:
    """Return `item` with each dotted path expanded."""
    for path in paths:
        steps = path.split(".")
        if len(steps) > DEEPEST:
            raise ExpandError(f"You cannot expand more than {DEEPEST} levels of a property", param="expand")
        if item["object"] == "list":
            if steps[0] != "data" or len(steps) == 1:
                raise _cannot(path)
            for member in item["data"]:
                _walk(books, member, steps[1:], path)
        else:
            _walk(books, item, steps, path)
    return item


def _walk(books: Books, item: Object, steps: list[str], path: str) -> None:
    if steps[0] not in _EXPANDABLE.get(item["object"], ()):
        raise _cannot(path)
    value = item.get(steps[0])
    if isinstance(value, str):
        value = item[steps[0]] = books.peek(value)
    if len(steps) > 1 and isinstance(value, dict):
        _walk(books, value, steps[1:], path)


def _cannot(path: str) -> ExpandError:
    return ExpandError(f"This property cannot be expanded ({path}).", param="expand")
