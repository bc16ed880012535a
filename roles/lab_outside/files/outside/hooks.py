"""The webhook sink: keeps every request made to it, as notification services would receive it."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

from .database import Database
from .web import Request, Response

SCHEMA = """
CREATE TABLE IF NOT EXISTS hooks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    received REAL NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    query TEXT NOT NULL,
    headers TEXT NOT NULL,
    body BLOB NOT NULL,
    status INTEGER NOT NULL
);
"""
LARGEST_BODY = 10 << 20
_WISHED_STATUS = re.compile(r"/status/([2-5][0-9]{2})(?:/|$)")


class HookSink:
    """Answers 200 "ok" to everything; a path that starts with /status/503 is answered so."""

    def __init__(self, database: Path) -> None:
        self._database = Database(database, SCHEMA)

    def __call__(self, request: Request) -> Response:
        """Keep the request before answering it."""
        wished = _WISHED_STATUS.match(request.path)
        status = int(wished[1]) if wished else 200
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO hooks (received, method, path, query, headers, body, status) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    time.time(),
                    request.method,
                    request.path,
                    request.query,
                    json.dumps(dict(request.headers)),
                    request.body,
                    status,
                ),
            )
        return Response(status, b"ok" if status == 200 else b"as you wished")

    def start(self) -> None:
        """Nothing runs beside the requests."""

    def stop(self) -> None:
        """Close the file."""
        self._database.close()


def describe(row: Any) -> dict[str, Any]:
    """Return a stored request; a JSON body also stands decoded under `json`."""
    body = row["body"].decode("utf-8", "replace")
    try:
        decoded = json.loads(body)
    except ValueError:
        decoded = None
    return {
        "id": row["id"],
        "received": row["received"],
        "method": row["method"],
        "path": row["path"],
        "query": row["query"],
        "headers": json.loads(row["headers"]),
        "body": body,
        "json": decoded,
        "status": row["status"],
    }
