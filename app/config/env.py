"""Strict, typed reading of environment variables: every problem is found in one run and reported at once.

A reader never raises: it notes what is wrong, returns a harmless stand-in and goes on, so that `require_valid()`
can name all bad and missing variables together. Each name asked for is recorded with its type, its group and
whether it must be present; `python3 -m config.env` prints that list as JSON (contract tests and templates use it).

`NAME_FILE` may stand for `NAME`: the value is then read from that file, without the line end.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

TRUE_WORDS = {"1", "true", "yes", "on"}
FALSE_WORDS = {"0", "false", "no", "off"}
PERIOD_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
EMAIL_PATTERN = re.compile(r"[^@\s<>]+@[^@\s<>]+")


class EnvironmentInvalid(Exception):
    """The environment cannot run the shop; `problems` maps each bad name to what is wrong with it."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)
        listed = "\n".join(f"  {name}: {problem}" for name, problem in sorted(self.problems.items()))
        count = len(self.problems)
        noun = "setting is" if count == 1 else "settings are"
        super().__init__(
            f"{count} {noun} missing or wrong in the environment:\n{listed}\n"
            "Each may be given as NAME or as NAME_FILE (a file holding the value)."
        )


@dataclass(frozen=True)
class Declared:
    """What is known about one name: `provided_by` is the environment file, or the process manager."""

    name: str
    type: str
    group: str
    required: bool
    may_be_empty: bool
    secret: bool
    provided_by: str
    choices: tuple[str, ...]
    help: str


@dataclass(frozen=True)
class Rate:
    """At most `limit` events in each `seconds`."""

    limit: int
    seconds: int


class Env:
    """Reads names from a mapping (by default the process environment)."""

    def __init__(self, source: Mapping[str, str] | None = None) -> None:
        self.source: Mapping[str, str] = os.environ if source is None else source
        self.declared: dict[str, Declared] = {}
        self.problems: dict[str, str] = {}
        self._group = "core"
        self._describing = False

    def begin(self, group: str) -> None:
        """Put the names that follow into a group."""
        self._group = group

    @contextmanager
    def describing(self) -> Iterator[None]:
        """Within, nothing is refused: only the names are of interest."""
        self._describing = True
        try:
            yield
        finally:
            self._describing = False

    def require_valid(self) -> None:
        """Raise EnvironmentInvalid with every problem noted so far."""
        if self.problems and not self._describing:
            raise EnvironmentInvalid(self.problems)

    def problem(self, name: str, text: str) -> None:
        """Note a problem that only a look at several values can find."""
        self.problems.setdefault(name, text)

    def text(
        self,
        name: str,
        help: str,
        *,
        empty: bool = False,
        secret: bool = False,
        choices: Sequence[str] = (),
        min_length: int = 0,
        pattern: str = "",
    ) -> str:
        raw = self._raw(name, "text", help, empty=empty, secret=secret, choices=tuple(choices))
        if not raw:
            return choices[0] if choices else ""
        if choices and raw not in choices:
            self.problem(name, f"must be one of {', '.join(choices)}, is {raw!r}")
            return choices[0]
        if len(raw) < min_length:
            self.problem(name, f"must have at least {min_length} characters, has {len(raw)}")
        if pattern and not re.fullmatch(pattern, raw):
            shown = "the value" if secret else repr(raw)
            self.problem(name, f"{shown} does not match the pattern {pattern}")
        return raw

    def runtime(self, name: str, help: str, *, default: str) -> str:
        """Read what the process manager, not the environment file, hands to the process."""
        self._declare(name, "text", help, required=False, provided_by="process")
        return self.source.get(name, "") or default

    def integer(self, name: str, help: str, *, minimum: int = 0, maximum: int | None = None) -> int:
        raw = self._raw(name, "integer", help)
        if raw and not re.fullmatch(r"-?\d+", raw):
            self.problem(name, f"must be a whole number, is {raw!r}")
            return minimum
        return int(self._bounded(name, int(raw or minimum), minimum, maximum))

    def number(self, name: str, help: str, *, minimum: float = 0.0, maximum: float | None = None) -> float:
        raw = self._raw(name, "number", help)
        if raw and not re.fullmatch(r"-?\d+(\.\d+)?", raw):
            self.problem(name, f"must be a number such as 0.5, is {raw!r}")
            return minimum
        return float(self._bounded(name, float(raw or minimum), minimum, maximum))

    def boolean(self, name: str, help: str) -> bool:
        raw = self._raw(name, "boolean", help).lower()
        if raw and raw not in TRUE_WORDS | FALSE_WORDS:
            self.problem(name, f"must be true or false, is {raw!r}")
        return raw in TRUE_WORDS

    def items(self, name: str, help: str, *, empty: bool = False, secret: bool = False, pattern: str = "") -> list[str]:
        """Read a list separated by commas."""
        raw = self._raw(name, "list", help, empty=empty, secret=secret)
        values = [item.strip() for item in raw.split(",") if item.strip()]
        bad = [item for item in values if pattern and not re.fullmatch(pattern, item)]
        if bad:
            shown = "an item" if secret else ", ".join(map(repr, bad))
            self.problem(name, f"{shown} does not match the pattern {pattern}")
        return values

    def url(
        self,
        name: str,
        help: str,
        *,
        schemes: Sequence[str],
        empty: bool = False,
        secret: bool = False,
        path: bool = False,
    ) -> str:
        """Read an address; `path` also allows one that starts with a slash. Never ends up in a message if secret."""
        raw = self._raw(name, "url", help, empty=empty, secret=secret)
        if not raw or (path and raw.startswith("/")):
            return raw
        parts = urlsplit(raw)
        if parts.scheme not in schemes or not (parts.netloc or parts.path):
            shown = "" if secret else f", is {raw!r}"
            self.problem(name, f"must be an address starting with {' or '.join(s + '://' for s in schemes)}{shown}")
        return raw

    def email(self, name: str, help: str, *, empty: bool = False, display_name: bool = False) -> str:
        """Read a mail address; `display_name` also allows `Name <user@host>`."""
        raw = self._raw(name, "email", help, empty=empty)
        address = raw
        if display_name and raw.endswith(">"):
            address = raw.rpartition("<")[2][:-1]
        if raw and not EMAIL_PATTERN.fullmatch(address):
            self.problem(name, f"must be a mail address, is {raw!r}")
        return raw

    def rate(self, name: str, help: str) -> Rate:
        """Read a limit such as `10/minute` (second, minute, hour, day)."""
        raw = self._raw(name, "rate", help)
        match = re.fullmatch(r"(\d+)/(second|minute|hour|day)", raw)
        if raw and (not match or not int(match[1])):
            self.problem(name, f"must look like 10/minute (second, minute, hour or day), is {raw!r}")
        return Rate(int(match[1]), PERIOD_SECONDS[match[2]]) if match else Rate(1, 60)

    def _bounded(self, name: str, value: float, minimum: float, maximum: float | None) -> float:
        if value < minimum or (maximum is not None and value > maximum):
            bounds = f"at least {minimum}" if maximum is None else f"between {minimum} and {maximum}"
            self.problem(name, f"must be {bounds}, is {value}")
            return minimum
        return value

    def _declare(self, name: str, type: str, help: str, *, required: bool = True, provided_by: str = "file",
                 empty: bool = False, secret: bool = False, choices: tuple[str, ...] = ()) -> None:  # fmt: skip
        self.declared[name] = Declared(name, type, self._group, required, empty, secret, provided_by, choices, help)

    def _raw(
        self,
        name: str,
        type: str,
        help: str,
        *,
        empty: bool = False,
        secret: bool = False,
        choices: tuple[str, ...] = (),
    ) -> str:
        self._declare(name, type, help, empty=empty, secret=secret, choices=choices)
        value, file_name = self.source.get(name), self.source.get(f"{name}_FILE")
        if value is not None and file_name is not None:
            self.problem(name, f"is given twice, as {name} and as {name}_FILE; remove one")
        if value is None and file_name is not None:
            try:
                value = Path(file_name).read_text(encoding="utf-8").rstrip("\r\n")
            except (OSError, UnicodeDecodeError) as error:
                self.problem(name, f"cannot be read from {file_name}: {getattr(error, 'strerror', None) or error}")
                return ""
        if value is None:
            self.problem(name, f"is missing ({help})")
            return ""
        if not value and not empty:
            self.problem(name, f"is empty ({help})")
        return value


env = Env()


def describe_production() -> list[Declared]:
    """Return every name that production settings and the application server read; needs no environment at all."""
    with env.describing():
        import config.settings.production  # noqa: F401  # reading it is what records the names
    return [env.declared[name] for name in env.declared]


def main() -> int:
    rows: list[dict[str, Any]] = [asdict(name) for name in describe_production()]
    json.dump(rows, sys.stdout, indent=1)
    sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    # Settings import `config.env`; run as a program this file is another module, with another `env`.
    from config import env as module

    sys.exit(module.main())
