"""Names the passwords that differ from those of the slot that serves; nothing serves, nothing is named.

Usage: changed_secrets.py STATE_FILE ENV_DIRECTORY, with {setting: SHA-256 of its password} as JSON on standard input. A
setting that is an address counts by the password in it.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import urllib.parse
from pathlib import Path


def served(state_file: Path, env_directory: Path) -> dict[str, str]:
    """Return the settings of the slot that serves, or none."""
    try:
        slot = json.loads(state_file.read_text())["active"]
        text = (env_directory / f"slot-{slot}.env").read_text()
    except (OSError, ValueError, KeyError):
        return {}
    lines = re.findall(r'(?m)^([A-Z][A-Z0-9_]*)="((?:[^"\\]|\\.)*)"$', text)
    return {name: re.sub(r"\\(.)", r"\1", value) for name, value in lines}


def password(value: str) -> str:
    if "://" not in value:
        return value
    return urllib.parse.unquote(urllib.parse.urlsplit(value).password or "")


def main() -> None:
    wanted = json.load(sys.stdin)
    settings = served(Path(sys.argv[1]), Path(sys.argv[2]))
    for name, digest in wanted.items():
        if name in settings and hashlib.sha256(password(settings[name]).encode()).hexdigest() != digest:
            print(name)


if __name__ == "__main__":
    main()
