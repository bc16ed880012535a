"""Keeps the values of secret variables out of everything that is printed."""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Iterable, Mapping
from typing import Any

MASK = "********"

# A mask for "on" or "5432" would make the output unreadable and protect nothing.
SHORTEST_SECRET = 6
# Single lines of a private key are secrets too; its short lines and frames are not.
SHORTEST_SECRET_LINE = 16

_SECRET_NAME = re.compile(r"^vault_|(secret|password|passphrase|token|private_key|access_key)(s|_id)?$|_secret_")


def is_secret_name(name: str) -> bool:
    """Tell whether a variable of this name holds a secret."""
    return _SECRET_NAME.search(name) is not None


def secret_values(variables: Mapping[str, Any]) -> set[str]:
    """Return the literal values of the secret variables; a template is left out: what it names is found itself."""
    found: set[str] = set()
    for name, value in variables.items():
        if is_secret_name(str(name)):
            found.update(_strings(value))
    return {value for value in found if len(value) >= SHORTEST_SECRET and "{{" not in value}


def _strings(value: Any) -> Iterable[str]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list | tuple | set):
        for item in value:
            yield from _strings(item)
    elif value is not None and not isinstance(value, bool | int | float):
        yield str(value)


class Masker:
    """Replaces every known secret in a text, also as it looks inside JSON, URLs and as single lines of a longer one."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def learn(self, values: Iterable[str]) -> None:
        """Add secrets to what is masked from now on."""
        new = set(values) - self._secrets
        if not new:
            return
        self._secrets |= new
        forms = {form for secret in self._secrets for form in _forms(secret)}
        # The longest first: a secret that contains another one is masked as a whole.
        self._pattern = re.compile("|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True)))

    def mask(self, text: str) -> str:
        """Return the text with every known secret replaced."""
        return self._pattern.sub(MASK, text) if self._pattern else text


def _forms(secret: str) -> Iterable[str]:
    yield secret
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield urllib.parse.quote(secret, safe="")
    yield urllib.parse.quote_plus(secret)
    lines = secret.splitlines()
    if len(lines) > 1:
        yield from (line for line in lines if len(line) >= SHORTEST_SECRET_LINE and not line.startswith("-----"))
