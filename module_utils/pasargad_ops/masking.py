"""Hide secrets in what people will read: the values that a slot really has, and what looks like one."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .config import ReleaseConfig

MASK = "********"
SECRET_NAME = re.compile(r"(?i)(password|secret|token|passphrase|private|credential|dsn$|key$)")
LOOKS_SECRET = re.compile(
    r"(?i)((?:password|passwd|secret|token|api_?key|secret_?key|passphrase)[\"']?\s*[=:]\s*[\"']?)[^\s\"',]{4,}"
    r"|(://[^:/\s]*:)[^@\s]+(@)"
)
SHORTEST = 6


def secret_values(config: ReleaseConfig, env: str) -> tuple[str, ...]:
    """Return the values of an environment's settings whose names speak of secrets, longest first."""
    from .env_file import EnvFileError, parse

    values: set[str] = set()
    for path in (config.env_dir / f"{env}.env", config.env_dir / "migrator.env"):
        try:
            settings = parse(path.read_text())
        except (OSError, EnvFileError):
            continue
        values |= {value for name, value in settings.items() if SECRET_NAME.search(name) and not value.isdigit()}
    values = {value for value in values if len(value) >= SHORTEST}
    return tuple(sorted(values, key=len, reverse=True))


def mask(text: str, values: Iterable[str] = ()) -> str:
    """Replace the given values, and whatever stands where a secret would."""
    for value in values:
        text = text.replace(value, MASK)
    return LOOKS_SECRET.sub(lambda found: f"{found[1]}{MASK}" if found[1] else f"{found[2]}{MASK}{found[3]}", text)
