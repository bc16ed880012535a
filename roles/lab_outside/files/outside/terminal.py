"""`outside-received`: what arrived, one line each, on the outside host's terminal."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any

from .board import READABLE
from .received import fetch_json


def show(board: dict[str, Any], name: str | None, *, as_json: bool) -> int:
    """Print one kind of records, or how many there are of each."""
    base = f"http://{board['host']}:{board['port']}/api"
    if name is not None and name not in READABLE:
        sys.stderr.write(f"outside-received: no {name}; there are {', '.join(READABLE)}\n")
        return 2
    try:
        if name is None:
            for kind in READABLE:
                sys.stdout.write(f"{len(fetch_json(f'{base}/{kind}')):6} {kind}\n")
            return 0
        rows = fetch_json(f"{base}/{name}")
    except OSError as error:
        sys.stderr.write(f"outside-received: the board does not answer ({error}); see journalctl -u outside-board\n")
        return 1
    if as_json:
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
    else:
        sys.stdout.writelines(line(name, row) + "\n" for row in reversed(rows))
    return 0


def line(name: str, row: dict[str, Any]) -> str:
    """Return a record in one line."""
    seconds = row.get("received") or row.get("created")
    when = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S  ") if seconds else ""
    return when + {
        "mails": "{subject}  ->  {to}",
        "payments": "{id}  {amount} {currency}  {status}  {metadata}",
        "deliveries": "{type}  {url}  {state}  attempts {attempts}  {last_status}",
        "hooks": "{method} {path}  {status}  {body}",
        "buckets": "{name}  objects {objects}  bytes {bytes}",
        "certificates": "{names}  {status}  until {not_after}",
    }[name].format(**row)
