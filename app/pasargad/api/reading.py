"""From bytes to values: bounded in size and depth, strict, and with all that is wrong said at once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, get_args, get_origin

from django.http import HttpRequest, QueryDict
from django.http.request import RawPostDataException
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from .problems import FieldError, Problem

MOST_BYTES = 64 * 1024
DEEPEST = 8
MOST_VALUES = 40
# PostgreSQL's text holds no NUL, and a lone surrogate is no character at all.
UNSTORABLE = re.compile("[\0\ud800-\udfff]")
WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,18})")


def read_json(request: HttpRequest) -> Any:
    """Return the body's JSON value; raises Problem for anything else, before more than is allowed is read."""
    declared = request.headers.get("Content-Length", "")
    if declared.isdigit() and int(declared) > MOST_BYTES:
        raise Problem("too-large", f"A body may have {MOST_BYTES} bytes.")
    if request.content_type != "application/json":
        raise Problem("not-json")
    try:
        raw = request.read(MOST_BYTES + 1)
    except (OSError, RawPostDataException) as error:
        raise Problem("malformed", "The body could not be read.") from error
    if len(raw) > MOST_BYTES:
        raise Problem("too-large", f"A body may have {MOST_BYTES} bytes.")
    try:
        text = raw.decode()
        refuse_depth(text)
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse, parse_float=_number)
    except (ValueError, RecursionError) as error:
        raise Problem("malformed", f"The body is not JSON that we read: {str(error)[:200]}") from error
    if UNSTORABLE.search("".join(_texts(value))):
        raise Problem("malformed", "A text holds characters that are none.")
    return value


def refuse_depth(text: str) -> None:
    """Refuse brackets in brackets in brackets before a parser sees them; raises ValueError."""
    depth, inside, escaped = 0, False, False
    for sign in text:
        if inside:
            inside = escaped or sign != '"'
            escaped = sign == "\\" and not escaped
        elif sign == '"':
            inside = True
        elif sign in "[{":
            depth += 1
            if depth > DEEPEST:
                raise ValueError(f"it is nested deeper than {DEEPEST}")
        elif sign in "]}":
            depth -= 1


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name comes twice")
    return found


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _number(text: str) -> float | int:
    """JSON knows one kind of number: 1.0 is a whole one."""
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def read_query(asked: QueryDict, model: type[BaseModel] | None) -> tuple[BaseModel | None, list[FieldError]]:
    """Read an address's parameters: unknown ones are refused, because a misspelt filter would show everything."""
    known = model.model_fields if model else {}
    values: dict[str, Any] = {}
    errors = [FieldError("query", name[:80], "There is no such parameter.") for name in asked if name not in known]
    for name, described in known.items():
        given = asked.getlist(name)
        if not given:
            continue
        kinds = get_args(described.annotation) or (described.annotation,)
        if get_origin(described.annotation) is tuple:
            values[name] = tuple(given[: MOST_VALUES + 1])
        elif len(given) > 1:
            errors.append(FieldError("query", name, "It may be given once."))
        else:
            values[name] = _scalar(given[0], kinds)
    if any(UNSTORABLE.search(text) for name in known for text in asked.getlist(name)):
        errors.append(FieldError("query", "", "A text holds characters that are none."))
    if model is None:
        return None, errors
    try:
        return model.model_validate(values), errors
    except ValidationError as error:
        return None, [*errors, *field_errors("query", error)]


def _scalar(text: str, kinds: tuple[Any, ...]) -> Any:
    """Parameters are texts; a number or a truth value is read where one belongs, and left as it is where it is none."""
    if bool in kinds:
        return {"true": True, "false": False}.get(text, text)
    if int in kinds and WHOLE.fullmatch(text):
        return int(text)
    return text


def read_body(value: Any, model: type[BaseModel]) -> tuple[BaseModel | None, list[FieldError]]:
    try:
        # Strict, by the rules of JSON: a list is what a tuple is written as.
        return model.model_validate_json(json.dumps(value)), []
    except ValidationError as error:
        return None, field_errors("body", error)


def field_errors(place: str, error: ValidationError) -> list[FieldError]:
    found: list[ErrorDetails] = error.errors(include_url=False, include_context=False, include_input=False)
    return [FieldError(place, _name(place, item["loc"]), item["msg"][:200]) for item in found[:100]]


def _name(place: str, location: tuple[int | str, ...]) -> str:
    if place != "body":
        return str(location[0])[:80] if location else ""
    steps = (str(step)[:80].replace("~", "~0").replace("/", "~1") for step in location)
    return "".join(f"/{step}" for step in steps)
