"""Checks of parameters: each takes the full name and the raw value and returns what the operation may use."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from .errors import ApiError, missing, not_implemented, unknown

Check = Callable[[str, Any], Any]

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")


class Required:
    """Marks a check whose parameter must be sent."""

    def __init__(self, check: Check) -> None:
        self.check = check


FieldDict = dict[str, Check | Required]
Fields = Mapping[str, Check | Required]


def check_fields(fields: Fields, raw: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the checked values of what was sent; raise for unknown, missing or wrong parameters."""

    def full(name: str) -> str:
        return f"{prefix}[{name}]" if prefix else name

    strangers = [full(name) for name in raw if name not in fields]
    if strangers:
        raise unknown(strangers)
    checked = {}
    for name, field in fields.items():
        if name in raw:
            checked[name] = (field.check if isinstance(field, Required) else field)(full(name), raw[name])
        elif isinstance(field, Required):
            raise missing(full(name))
    return checked


def string(longest: int = 5000, *, clearable: bool = False) -> Check:
    """A text; an empty one unsets the value where that is possible."""

    def check(name: str, raw: Any) -> str | None:
        if not isinstance(raw, str):
            raise ApiError(f"Invalid string: {raw}", param=name)
        if raw == "":
            if clearable:
                return None
            raise ApiError(
                f"You passed an empty string for '{name}'. We assume empty values are an attempt to unset a parameter; "
                f"however '{name}' cannot be unset. You should remove '{name}' from your request or supply a "
                "non-empty value.",
                code="parameter_invalid_empty",
                param=name,
            )
        if len(raw) > longest:
            raise ApiError(
                f"Invalid {name}: must be at most {longest} characters", code="parameter_invalid_string", param=name
            )
        return raw

    return check


def integer(smallest: int | None = None) -> Check:
    """A whole number, as Stripe's amounts are: "10.0" and "1e3" are refused."""

    def check(name: str, raw: Any) -> int:
        if not isinstance(raw, str) or not re.fullmatch(r"-?[0-9]+", raw):
            raise ApiError(f"Invalid integer: {raw}", code="parameter_invalid_integer", param=name)
        if smallest is not None and int(raw) < smallest:
            raise ApiError(
                f"This value must be greater than or equal to {smallest}.", code="parameter_invalid_integer", param=name
            )
        return int(raw)

    return check


def boolean(name: str, raw: Any) -> bool:
    """Exactly `true` or `false`."""
    if raw not in ("true", "false"):
        raise ApiError(f"Invalid boolean: {raw}", param=name)
    return bool(raw == "true")


def choice(allowed: Collection[str]) -> Check:
    """One of a few words."""

    def check(name: str, raw: Any) -> str:
        if raw not in allowed:
            raise ApiError(f"Invalid {name}: must be one of {', '.join(allowed)}", param=name)
        return str(raw)

    return check


def array(item: Check) -> Check:
    """A list with at least one item."""

    def check(name: str, raw: Any) -> list[Any]:
        if not isinstance(raw, list):
            raise ApiError("Invalid array", param=name)
        return [item(f"{name}[{index}]", value) for index, value in enumerate(raw)]

    return check


def nested(fields: Fields, *, clearable: bool = False) -> Check:
    """A group of parameters."""

    def check(name: str, raw: Any) -> dict[str, Any] | None:
        if raw == "" and clearable:
            return None
        if not isinstance(raw, dict):
            raise ApiError("Invalid object", param=name)
        return check_fields(fields, raw, name)

    return check


def metadata(name: str, raw: Any) -> dict[str, str]:
    """Up to 50 short texts under names of the caller's choice; an empty text removes one, an empty value all."""
    if raw == "":
        return {"": ""}
    if isinstance(raw, list):
        raw = {str(index): value for index, value in enumerate(raw)}
    if not isinstance(raw, dict) or not all(isinstance(value, str) for value in raw.values()):
        raise ApiError("Invalid metadata: metadata must be a set of key-value pairs", param=name)
    if len(raw) > 50:
        raise ApiError("You can only specify up to 50 metadata keys.", param=name)
    for key, value in raw.items():
        if len(key) > 40:
            raise ApiError(f"Metadata keys must be under 40 characters: {key}", param=name)
        if len(value) > 500:
            raise ApiError("Metadata values must be at most 500 characters", param=f"{name}[{key}]")
    return dict(raw)


def email(name: str, raw: Any) -> str | None:
    """An address that could receive a receipt; empty unsets it."""
    value: str | None = string(clearable=True)(name, raw)
    if value is not None and not _EMAIL.fullmatch(value):
        raise ApiError(f"Invalid email address: {value}", code="email_invalid", param=name)
    return value


def url(name: str, raw: Any) -> str:
    """An absolute web address."""
    parts = urlsplit(str(raw))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ApiError("Not a valid URL", code="url_invalid", param=name)
    return str(raw)


def absent(name: str, raw: Any) -> None:
    """A parameter that Stripe has and the lab does not need yet."""
    raise not_implemented(name)


def absent_all(*names: str) -> FieldDict:
    """Return fields that are all `absent`."""
    return dict.fromkeys(names, absent)


def merge_metadata(old: Mapping[str, str], sent: Mapping[str, str]) -> dict[str, str]:
    """Return `old` changed by what `metadata` returned."""
    if sent == {"": ""}:
        return {}
    return {key: value for key, value in ({**old, **sent}).items() if value != ""}
