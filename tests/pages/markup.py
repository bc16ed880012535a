"""The Nu HTML checker over the pages' own bytes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from .findings import Finding

CHECK_SECONDS = 300


def errors(pages: Mapping[str, str], directory: Path, vnu: Path) -> Iterator[Finding]:
    """Check pages by name; warnings count, remarks do not."""
    directory.mkdir(parents=True, exist_ok=True)
    names = {}
    for number, (name, text) in enumerate(pages.items()):
        path = directory / f"{number:03d}.html"
        path.write_text(text, encoding="utf-8")
        names[path.name] = name
    command = ["java", "-Xss1024k", "-jar", str(vnu), "--exit-zero-always", "--format", "json", "--stdout"]
    done = subprocess.run(
        [*command, *map(str, sorted(directory.glob("*.html")))],
        capture_output=True, text=True, timeout=CHECK_SECONDS, check=True,
    )  # fmt: skip
    for message in json.loads(done.stdout)["messages"]:
        if message["type"] == "info" and message.get("subType") != "warning":
            continue
        place = f"line {message.get('lastLine', '?')}: {message['message']} {message.get('extract', '')!r}"
        yield Finding(names.get(str(message.get("url")).rpartition("/")[2], "?"), f"html {message['type']}", place)
