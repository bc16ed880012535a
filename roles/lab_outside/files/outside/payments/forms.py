"""Stripe's form encoding: `a[b][0]=x` becomes {"a": {"b": ["x"]}}."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

from .errors import ApiError

_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")

Tree = dict[str, Any]


def pairs(encoded: str) -> list[tuple[str, str]]:
    """Return the name-value pairs in the order sent; empty values count."""
    return parse_qsl(encoded, keep_blank_values=True)


def decode(encoded: str) -> Tree:
    """Return the nested parameters; a dictionary whose keys are all indexes is a list."""
    tree: Tree = {}
    for name, value in pairs(encoded):
        found = _NAME.fullmatch(name)
        if not found:
            raise ApiError(f"Invalid request: the parameter name {name!r} cannot be read.", param=name)
        keys = [found[1], *re.findall(r"\[([^\[\]]*)\]", found[2])]
        _plant(tree, keys, value, name)
    return {key: _settle(value) for key, value in tree.items()}


def _plant(node: Tree, keys: list[str], value: str, name: str) -> None:
    for key in keys[:-1]:
        node = node.setdefault(_index(node, key), {})
        if not isinstance(node, dict):
            raise ApiError(f"Invalid request: {name!r} contradicts another parameter.", param=name)
    last = _index(node, keys[-1])
    if isinstance(node.get(last), dict):
        raise ApiError(f"Invalid request: {name!r} contradicts another parameter.", param=name)
    node[last] = value


def _index(node: Tree, key: str) -> str:
    return key or str(len(node))


def _settle(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    settled = {key: _settle(item) for key, item in value.items()}
    if settled and all(key.isdigit() for key in settled):
        return [settled[key] for key in sorted(settled, key=int)]
    return settled
