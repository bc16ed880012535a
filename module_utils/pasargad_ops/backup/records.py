"""Turn dataclasses into one form of JSON, byte for byte, and back without guessing."""

from __future__ import annotations

import dataclasses
import functools
import json
import types
import typing
from collections.abc import Mapping
from typing import Any

from .errors import BackupError, Code

DAMAGED = "restore this object from an older version of the bucket, or take another set"
T = typing.TypeVar("T")


@functools.cache
def _types(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def canonical(value: Any) -> bytes:
    """Return the one form of `value` in bytes: sorted keys, no spaces, UTF-8.

    Raises BackupError (INTEGRITY) on floats and other values that have more than one form.
    """
    _refuse_second_forms(value, "the value")
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise unclear(f"a text is not Unicode ({error.reason})") from error


def _refuse_second_forms(value: Any, where: str) -> None:
    if isinstance(value, Mapping):
        for name, item in value.items():
            if type(name) is not str:
                raise unclear(f"{where} has the name {name!r}, which is no text")
            _refuse_second_forms(item, name)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_second_forms(item, where)
    elif value is not None and type(value) not in (str, int, bool):
        # The same float is written in different ways by different programs, so a signature over it would not last.
        raise unclear(f"{where} is a {type(value).__name__}, which has no single form in bytes")


def to_record(value: Any) -> dict[str, Any]:
    """Return a dataclass as plain JSON values."""
    return dataclasses.asdict(value)


def from_record(kind: type[T], record: Any, where: str) -> T:
    """Build a dataclass from plain JSON values.

    Raises BackupError (INTEGRITY) that names the field that is missing, unknown or of another type.
    """
    return typing.cast(T, _read(kind, record, where))


def _read(kind: Any, value: Any, where: str) -> Any:
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return None if value is None else _read(inner[0], value, where)
    if origin is tuple:
        _want(value, list, where)
        return tuple(_read(inner[0], item, f"{where}[{number}]") for number, item in enumerate(value))
    if origin is not None:
        _want(value, dict, where)
        return {name: _read(inner[1], item, f"{where}.{name}") for name, item in value.items()}
    if not dataclasses.is_dataclass(kind):
        _want(value, kind, where)
        return value
    return _read_fields(kind, value, where)


def _read_fields(kind: Any, value: Any, where: str) -> Any:
    _want(value, dict, where)
    wanted = _types(kind)
    if missing := sorted(set(wanted) - set(value)):
        raise unclear(f"{where} lacks {', '.join(missing)}")
    if unknown := sorted(set(value) - set(wanted)):
        raise unclear(f"{where} has the unknown field {', '.join(unknown)}")
    return kind(**{name: _read(of, value[name], f"{where}.{name}") for name, of in wanted.items()})


def _want(value: Any, kind: type, where: str) -> None:
    if type(value) is not kind:
        raise unclear(f"{where} is a {type(value).__name__} where a {kind.__name__} belongs")


def unclear(message: str) -> BackupError:
    """Return the error of a record that is not what it should be."""
    return BackupError(Code.INTEGRITY, message, hint=DAMAGED)
