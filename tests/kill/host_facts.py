"""Run on a store host by the kill matrix: print what the files and units of the releases say, as one JSON line."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

OPERATIONS, SRV = Path("/var/lib/pasargad/release"), Path("/srv/pasargad")


def lines(name: str) -> list[dict[str, Any]]:
    path = OPERATIONS / name
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def systemctl(*arguments: str) -> str:
    return subprocess.run(["systemctl", *arguments], capture_output=True, text=True, check=False).stdout.strip()


def is_half(release: Path) -> bool:
    return not ((release / "RELEASE.json").exists() and (release / "app" / "manage.py").exists())


if __name__ == "__main__":
    releases = [path for path in (SRV / "releases").iterdir() if path.suffix != ".tmp"]
    workers = {slot: systemctl("is-active", f"pasargad-worker@{slot}") for slot in ("blue", "green")}
    facts = {
        "state": json.loads((OPERATIONS / "state.json").read_text()),
        "ids": [line["deploy"] for line in lines("audit.jsonl")],
        "begun": sorted({line["deploy"] for line in lines("journal.jsonl")}),
        "halves": [path.name for path in releases if is_half(path)],
        "leftovers": [path.name for parent in ("releases", "deps") for path in (SRV / parent).glob("*.tmp")],
        "migrations": len(systemctl("list-units", "--plain", "--no-legend", "pasargad-migrate-*").splitlines()),
        "workers": [slot for slot, state in workers.items() if state == "active"],
    }
    print(json.dumps(facts))
